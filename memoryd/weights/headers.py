"""What the headers of all formats have in common: tensors by name, and texts that the file says about itself."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Protocol


class ModelFormat(enum.StrEnum):
    """What a model file's bytes are."""

    SAFETENSORS = "safetensors"
    GGUF = "gguf"
    PICKLE = "pickle"
    """What `torch.save` writes: a zip, a tar or bare pickles. Loading one may run code; reading it here does not."""
    ONNX = "onnx"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """What a header says about one tensor."""

    dtype: str
    shape: tuple[int, ...]
    """In PyTorch's order: the outermost first."""

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


class Header(Protocol):
    """What every format's reader returns. Every text in it is hostile."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says about itself."""

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """By name."""

    @property
    def missing_bytes(self) -> int:
        """Bytes that tensors are promised and the file does not have: an interrupted download. 0 in a whole file."""
