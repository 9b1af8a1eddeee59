"""Headers of GGUF files, versions 2 and 3: what the file says about itself, names and shapes of tensors.

Source: github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path

from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.weights.headers import Tensor
from memoryd.weights.safetensors import HEADER_LIMIT, PARAMETER_LIMIT, TENSOR_LIMIT

MAGIC = b"GGUF"
VERSIONS = (2, 3)
"""Version 1 counted in 32 bits and was used for some weeks in 2023."""

ENTRY_LIMIT = 10_000
"""Entries about the file; real ones have fewer than 100."""
KEY_LIMIT = 65_535
"""Bytes of an entry's name. Source: gguf.md."""
TEXT_LIMIT = 65_536
"""Bytes kept of one text; of longer ones (chat templates, licences) the beginning."""
ARRAY_LIMIT = 4_000_000
"""Elements of all lists of texts together: vocabularies have 262,144, with merges and types three times as many."""
NAME_LIMIT = 1_024
"""Bytes of a tensor's name; ggml itself has 64, builds for image models 128."""
DIMENSION_LIMIT = 8
"""Dimensions of a tensor; ggml has 4, image models' are flattened to it."""

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_ARRAY_DEPTH_LIMIT = 4

_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
}  # fmt: skip
"""Name, numbers of a block and its bytes. Source: ggml, gguf-py/gguf/constants.py, GGML_QUANT_SIZES."""

_SHAPE_KEY = "comfy.gguf.orig_shape."
"""Shapes before they were flattened to what ggml holds. Source: city96/ComfyUI-GGUF, loader.py."""


class NotGguf(NotAcceptable):
    """This is no GGUF file."""


class GgufTooLarge(TooLarge):
    """This GGUF header is too large."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What a GGUF file says before its tensors. Every text in it is hostile."""

    metadata: Mapping[str, str]
    """Texts and numbers; lists (vocabularies) are left out."""
    tensors: Mapping[str, Tensor]
    missing_bytes: int


def read_header(path: Path) -> GgufHeader:
    """Return a GGUF file's header, checked against the file's size. Raises: NotGguf, GgufTooLarge, OSError."""
    with path.open("rb") as file:
        return _Reading(file, os.fstat(file.fileno()).st_size).header()


class _Reading:
    """One header, from its beginning to its end. Nothing is taken that the file does not have."""

    def __init__(self, file: BufferedReader, size: int) -> None:
        self._file, self._size, self._at, self._elements = file, size, 0, 0
        self._order = "<"
        self._shapes: dict[str, tuple[int, ...]] = {}

    def header(self) -> GgufHeader:
        if self._take(4) != MAGIC:
            raise NotGguf("it does not begin with GGUF", hint="another format with this file's suffix")
        version = self._take(4)
        if int.from_bytes(version, "little") not in VERSIONS:
            self._order = ">"
        if int.from_bytes(version, "big" if self._order == ">" else "little") not in VERSIONS:
            raise NotGguf(f"version {int.from_bytes(version, 'little')}", hint="versions 2 and 3 are read: convert it")
        tensors, entries = self._number("Q"), self._number("Q")
        if tensors > TENSOR_LIMIT or entries > ENTRY_LIMIT:
            raise GgufTooLarge(
                f"{tensors} tensors, {entries} entries",
                hint=f"TENSOR_LIMIT is {TENSOR_LIMIT}, ENTRY_LIMIT is {ENTRY_LIMIT}",
            )
        metadata = {}
        for _ in range(entries):
            key = self._text(KEY_LIMIT, "an entry's name")
            value = self._value(self._number("I"), key, 0)
            if value is not None:
                metadata[key] = value
        return self._with_tensors(metadata, tensors)

    def _with_tensors(self, metadata: dict[str, str], count: int) -> GgufHeader:
        found, promised, parameters = {}, 0, 0
        for _ in range(count):
            name = self._text(NAME_LIMIT, "a tensor's name")
            dimensions = self._number("I")
            if dimensions > DIMENSION_LIMIT:
                raise NotGguf(f"tensor {name[:100]!r} has {dimensions} dimensions", hint="fetch the file again")
            shape = tuple(self._number("Q") for _ in range(dimensions))[::-1]
            kind, offset = self._number("I"), self._number("Q")
            tensor, size = _tensor(name, kind, shape)
            parameters += tensor.parameters
            found[name] = dataclasses.replace(tensor, shape=self._shapes.get(name, shape))
            promised = max(promised, offset + size)
        if parameters > PARAMETER_LIMIT:
            raise GgufTooLarge(f"{parameters} parameters", hint=f"PARAMETER_LIMIT is {PARAMETER_LIMIT}")
        alignment = metadata.get("general.alignment", "")
        step = (
            int(alignment) if alignment.isascii() and alignment.isdigit() and 0 < int(alignment[:9]) <= 65_536 else 32
        )
        begin = -(-self._at // step) * step
        missing = max(0, begin + promised - self._size) if found else 0
        return GgufHeader(metadata=metadata, tensors=found, missing_bytes=missing)

    def _value(self, kind: int, key: str, depth: int) -> str | None:
        """Read one value; None for a list."""
        if kind in _SCALARS:
            return str(self._number(_SCALARS[kind]))
        if kind == _TEXT:
            return self._text(None, key)
        if kind != _ARRAY or depth >= _ARRAY_DEPTH_LIMIT:
            raise NotGguf(f"entry {key[:100]!r} has type {kind}", hint="the header contradicts itself: fetch it again")
        element, count = self._number("I"), self._number("Q")
        if element in _SCALARS:
            self._numbers(element, count, key)
            return None
        self._elements += count
        if self._elements > ARRAY_LIMIT:
            raise GgufTooLarge(f"lists of {self._elements} elements", hint=f"ARRAY_LIMIT is {ARRAY_LIMIT}")
        for _ in range(count):
            if element == _TEXT:
                self._skip(self._number("Q"))
            else:
                self._value(element, key, depth + 1)
        return None

    def _numbers(self, element: int, count: int, key: str) -> None:
        form = _SCALARS[element]
        size = struct.calcsize(f"<{form}")
        if not key.startswith(_SHAPE_KEY) or form != "i" or count > DIMENSION_LIMIT:
            self._skip(count * size)
            return
        shape = struct.unpack(f"{self._order}{count}i", self._take(count * size))
        if all(side >= 0 for side in shape):
            self._shapes[key.removeprefix(_SHAPE_KEY)] = shape

    def _text(self, limit: int | None, what: str) -> str:
        """Read a text; beyond `limit` it is refused, without one only its beginning is kept."""
        length = self._number("Q")
        if limit is not None and length > limit:
            raise NotGguf(f"{what} of {length} bytes", hint=f"the limit is {limit}: the header lies, or is another's")
        kept = self._take(min(length, TEXT_LIMIT))
        self._skip(length - len(kept))
        return kept.decode("utf-8", "replace")

    def _number(self, form: str) -> int:
        # Floats and booleans are only shown.
        number: int = struct.unpack(self._order + form, self._take(struct.calcsize(f"<{form}")))[0]
        return number

    def _take(self, count: int) -> bytes:
        self._advance(count)
        taken = self._file.read(count)
        if len(taken) != count:
            raise NotGguf("the file ends in its header", hint="an interrupted download? fetch it again")
        return taken

    def _skip(self, count: int) -> None:
        self._advance(count)
        self._file.seek(count, os.SEEK_CUR)

    def _advance(self, count: int) -> None:
        self._at += count
        # Said before the limit: a length that is no length leads beyond the file first.
        if self._at > self._size:
            raise NotGguf(f"{self._at} bytes of header in a file of {self._size}", hint="an interrupted download?")
        if self._at > HEADER_LIMIT:
            raise GgufTooLarge(f"more than {HEADER_LIMIT} bytes", hint=f"HEADER_LIMIT is {HEADER_LIMIT}")


def _tensor(name: str, kind: int, shape: tuple[int, ...]) -> tuple[Tensor, int]:
    """Return a tensor, and its bytes as far as its type is known."""
    dtype, block, size = _TYPES.get(kind, (f"type {kind}", 1, 0))
    tensor = Tensor(dtype=dtype, shape=shape)
    if tensor.parameters > PARAMETER_LIMIT:
        raise GgufTooLarge(f"tensor {name[:100]!r}: {shape}", hint=f"PARAMETER_LIMIT is {PARAMETER_LIMIT}")
    return tensor, -(-tensor.parameters // block) * size
