"""Headers of safetensors files: names and shapes of tensors and what the file says about itself. Tensors are not read.

Source: github.com/huggingface/safetensors, README, section Format.
"""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Mapping
from pathlib import Path

from memoryd.foundation.canonical_json import Json, JsonTooDeep, NotJson, read_json
from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.weights.headers import Tensor

SUFFIXES = (".safetensors", ".sft")

HEADER_LIMIT = 100_000_000
"""Bytes of a header. Source: safetensors, MAX_HEADER_SIZE."""
TENSOR_LIMIT = 500_000
"""Tensors of a file; the largest mixtures of experts have about 100,000."""

VALUES_LIMIT = 6_000_000
"""Lists, objects and commas of a header: twelve for each of TENSOR_LIMIT tensors. Parsed, each takes 60 bytes and more."""

SHAPE_LIMIT = 16
"""Dimensions of a tensor; real ones have 5 at most."""
PARAMETER_LIMIT = 2**48
"""Numbers in one file; the largest model published has 2^41."""


class NotSafetensors(NotAcceptable):
    """This is no safetensors file."""


class HeaderTooLarge(TooLarge):
    """This safetensors header is too large."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SafetensorsHeader:
    """What a safetensors file says before its tensors. Every text in it is hostile."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    missing_bytes: int
    """Bytes that tensors are promised and the file does not have: an interrupted download. 0 in a whole file."""


def read_header(path: Path) -> SafetensorsHeader:
    """Return a safetensors file's header, checked against the file's size.

    Raises: NotSafetensors, HeaderTooLarge, OSError.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        if len(start) < 8:
            raise NotSafetensors(f"{size} bytes are too few", hint="an interrupted download? fetch it again")
        length = struct.unpack("<Q", start)[0]
        if length > size - 8:
            # Said before the limit: a file of another format names any length.
            raise NotSafetensors(
                f"a header of {length} bytes in a file of {size}", hint="another format, or an interrupted download"
            )
        if length > HEADER_LIMIT:
            raise HeaderTooLarge(f"{length} bytes", hint=f"HEADER_LIMIT is {HEADER_LIMIT}")
        raw = file.read(length)
    if not raw.startswith(b"{"):
        raise NotSafetensors("its header is no JSON object", hint="another format with this file's suffix")
    values = raw.count(b"[") + raw.count(b"{") + raw.count(b",")
    if values > VALUES_LIMIT:
        raise HeaderTooLarge(f"{values} lists, objects and commas", hint=f"VALUES_LIMIT is {VALUES_LIMIT}")
    try:
        members = read_json(raw)
    except (NotJson, JsonTooDeep) as error:
        raise NotSafetensors(f"its header cannot be read: {error}", hint="fetch the file again") from None
    if not isinstance(members, dict):
        raise NotSafetensors("its header is no JSON object", hint="another format with this file's suffix")
    if len(members) > TENSOR_LIMIT:
        raise HeaderTooLarge(f"{len(members)} tensors", hint=f"TENSOR_LIMIT is {TENSOR_LIMIT}")
    return _read_members(members, data_size=size - 8 - length)


def _read_members(members: Mapping[str, Json], *, data_size: int) -> SafetensorsHeader:
    stated = members.get("__metadata__", {})
    metadata = {k: v for k, v in stated.items() if isinstance(v, str)} if isinstance(stated, dict) else {}
    tensors, promised = {}, 0
    for name, value in members.items():
        if name == "__metadata__":
            continue
        tensors[name], end = _read_tensor(name, value)
        promised = max(promised, end)
    parameters = sum(tensor.parameters for tensor in tensors.values())
    if parameters > PARAMETER_LIMIT:
        raise HeaderTooLarge(f"{parameters} parameters", hint=f"PARAMETER_LIMIT is {PARAMETER_LIMIT}")
    return SafetensorsHeader(metadata=metadata, tensors=tensors, missing_bytes=max(0, promised - data_size))


def _read_tensor(name: str, value: Json) -> tuple[Tensor, int]:
    match value:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]} if (
            len(shape) <= SHAPE_LIMIT
            and all(type(n) is int and 0 <= n <= PARAMETER_LIMIT for n in shape)
            and 0 <= begin <= end
        ):
            tensor = Tensor(dtype=dtype, shape=tuple(n for n in shape if isinstance(n, int)))
            bits = _bits(dtype)
            fits = bits is None or (tensor.parameters * bits + 7) // 8 == end - begin
            if fits and tensor.parameters <= PARAMETER_LIMIT:
                return tensor, end
            detail = f"tensor {name[:100]!r}: {end - begin} bytes for {dtype[:20]} {list(tensor.shape)}"
            raise NotSafetensors(detail, hint="the header contradicts itself: fetch the file again")
    raise NotSafetensors(f"tensor {name[:100]!r} is not described as the format asks", hint="fetch the file again")


def _bits(dtype: str) -> int | None:
    """Bits of one number: what the type's name says (`BF16`, `F8_E4M3`), None where it says nothing that is known."""
    if dtype == "BOOL":
        return 8
    digits = dtype.split("_", 1)[0].lstrip("BFIUC")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 3 else None
