"""Safetensors files written by hand."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

WriteModel = Callable[..., Path]


def write_safetensors(
    path: Path, tensors: Mapping[str, Sequence[int]], metadata: Mapping[str, str] | None = None, cut: int = 0
) -> Path:
    """Write F16 tensors of zeros under these names; `cut` bytes are left out at the end."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, shape in tensors.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(at - cut))
    return path


@pytest.fixture
def write_model(tmp_path: Path) -> WriteModel:
    def write(
        tensors: Mapping[str, Sequence[int]],
        metadata: Mapping[str, str] | None = None,
        name: str = "model.safetensors",
        cut: int = 0,
    ) -> Path:
        return write_safetensors(tmp_path / name, tensors, metadata, cut)

    return write
