"""What `torch.save` wrote, listed without loading it: zip files, the bare pickles before 2020, the tar files before 2017.

Source: pytorch, torch/serialization.py (`_save`, `_legacy_save`, `_legacy_load`); PKWARE, APPNOTE.TXT; POSIX, pax.
"""

from __future__ import annotations

import dataclasses
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path

from memoryd.foundation.errors import MemorydError, TooLarge
from memoryd.weights.headers import Tensor
from memoryd.weights.pickles import PICKLE_LIMIT, Call, Global, NotPickle, Persistent, Plan, plan_of
from memoryd.weights.safetensors import PARAMETER_LIMIT, SHAPE_LIMIT, TENSOR_LIMIT

DIRECTORY_LIMIT = 64 * 2**20
"""Bytes of a zip's directory: one entry of about 100 bytes for each of TENSOR_LIMIT tensors."""
MEMBER_LIMIT = 64
"""Members of a tar that are looked at; `torch.save` wrote four."""
LEGACY_PICKLES = 5
"""Magic number, protocol, machine, the object, the keys of its tensors. Source: torch, `_legacy_save`."""
DEPTH_LIMIT = 4
"""Dicts within dicts that are looked through: `{"state_dict": {"name": tensor}}` has two."""
TEXT_LIMIT = 2_000

_BLOCK = 512
_END, _END64, _LOCATOR64, _ENTRY, _LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2", b"PK\3\4"
_COMMENT_LIMIT = 65_535
_STORED, _DEFLATED = 0, 8

_NAMES_OF_TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_AROUND_TENSORS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_DTYPES = {
    "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "DoubleStorage": "F64",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}  # fmt: skip


class TorchFileTooLarge(TooLarge):
    """This file's directory is too large."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TorchHeader:
    """What a file of `torch.save` would load. Every text in it is hostile."""

    metadata: Mapping[str, str]
    """Texts and numbers that stand beside the tensors."""
    tensors: Mapping[str, Tensor]
    missing_bytes: int
    imported: frozenset[str]
    """What loading would import, as `module.name`."""
    called: frozenset[str]
    broken: MemorydError | None
    """Why it could not be read to its end."""


def read_header(path: Path) -> TorchHeader:
    """Return what a file would load; nothing of it is loaded.

    Raises: NotPickle, PickleTooLarge, TorchFileTooLarge, OSError.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(_BLOCK)
        file.seek(0)
        if start.startswith(_LOCAL):
            return _header([plan_of(_pickle_of_zip(file, size))[0]])
        if start[257:262] == b"ustar" or start.startswith(b"sys_info\0"):
            return _header([plan_of(_pickle_of_tar(file, size))[0]])
        return _header(list(_bare(file.read(PICKLE_LIMIT))))


def _bare(content: bytes) -> Iterator[Plan]:
    """Plans of the pickles that stand one behind the other; raw tensors follow them, and are none."""
    at = 0
    for number in range(LEGACY_PICKLES):
        try:
            plan, at = plan_of(content, at)
        except NotPickle:
            if number == 0:
                raise
            return
        yield plan
        if plan.broken is not None or (not isinstance(plan.value, int) and number < 2):
            # A pickle of Python's own: one object, and nothing behind it.
            return


def _pickle_of_zip(file: BufferedReader, size: int) -> bytes:
    """The bytes of `*/data.pkl`."""
    for name, method, at, packed in _zip_entries(file, size):
        if name == b"data.pkl" or name.endswith(b"/data.pkl"):
            return _unpacked(file, size, method, at, packed)
    raise NotPickle("a zip without data.pkl", hint="another kind of zip, or an interrupted download")


def _zip_entries(file: BufferedReader, size: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Name, method, place of the local header, packed size of each entry."""
    tail_at = max(0, size - _COMMENT_LIMIT - 22)
    file.seek(tail_at)
    tail = file.read(_COMMENT_LIMIT + 22)
    place = tail.rfind(_END)
    if place < 0 or place + 22 > len(tail):
        raise NotPickle("a zip without an end", hint="an interrupted download? fetch it again")
    length, begin = struct.unpack("<II", tail[place + 12 : place + 20])
    if place >= 20 and tail[place - 20 : place - 16] == _LOCATOR64:
        (end_at,) = struct.unpack("<Q", tail[place - 12 : place - 4])
        file.seek(min(end_at, size))
        end = file.read(56)
        if end[:4] == _END64 and len(end) == 56:
            length, begin = struct.unpack("<QQ", end[40:56])
    if begin + length > size:
        raise NotPickle("a zip whose directory lies beyond its end", hint="an interrupted download? fetch it again")
    if length > DIRECTORY_LIMIT:
        raise TorchFileTooLarge(f"a directory of {length} bytes", hint=f"DIRECTORY_LIMIT is {DIRECTORY_LIMIT}")
    file.seek(begin)
    directory, at = file.read(length), 0
    while directory[at : at + 4] == _ENTRY and at + 46 <= len(directory):
        (method,) = struct.unpack("<H", directory[at + 10 : at + 12])
        packed, unpacked = struct.unpack("<II", directory[at + 20 : at + 28])
        names, extras, comment = struct.unpack("<HHH", directory[at + 28 : at + 34])
        (local,) = struct.unpack("<I", directory[at + 42 : at + 46])
        name = directory[at + 46 : at + 46 + names]
        extra = directory[at + 46 + names : at + 46 + names + extras]
        packed, local = _wide(extra, packed, unpacked, local)
        yield name, method, local, packed
        at += 46 + names + extras + comment


def _wide(extra: bytes, packed: int, unpacked: int, local: int) -> tuple[int, int]:
    """Sizes beyond 32 bits stand in an extra field, those that need it. Source: APPNOTE.TXT, 4.5.3."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<HH", extra[at : at + 4])
        if kind == 1:
            held = extra[at + 4 : at + 4 + length]
            values = list(struct.unpack(f"<{len(held) // 8}Q", held[: len(held) // 8 * 8]))
            if unpacked == 0xFFFFFFFF and values:
                values.pop(0)
            if packed == 0xFFFFFFFF and values:
                packed = values.pop(0)
            if local == 0xFFFFFFFF and values:
                local = values.pop(0)
            break
        at += 4 + length
    return packed, local


def _unpacked(file: BufferedReader, size: int, method: int, at: int, packed: int) -> bytes:
    file.seek(min(at, size))
    local = file.read(30)
    if local[:4] != _LOCAL or len(local) != 30:
        raise NotPickle("a zip whose data.pkl is not where its directory says", hint="fetch the file again")
    names, extras = struct.unpack("<HH", local[26:30])
    file.seek(names + extras, os.SEEK_CUR)
    content = file.read(min(packed, PICKLE_LIMIT + 1))
    if method == _STORED:
        return content
    if method != _DEFLATED:
        raise NotPickle(f"a data.pkl packed by method {method}", hint="save it again with torch.save")
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, PICKLE_LIMIT + 1)
    except zlib.error:
        raise NotPickle("a data.pkl that cannot be unpacked", hint="fetch the file again") from None


def _pickle_of_tar(file: BufferedReader, size: int) -> bytes:
    """The bytes of the member `pickle`."""
    at = 0
    for _ in range(MEMBER_LIMIT):
        file.seek(at)
        head = file.read(_BLOCK)
        if len(head) < _BLOCK or not head.strip(b"\0"):
            break
        digits = head[124:136].strip(b"\0 ")
        if not digits or digits.strip(b"01234567"):
            break
        length = int(digits, 8)
        if head[:100].rstrip(b"\0").removeprefix(b"./") == b"pickle":
            return file.read(min(length, PICKLE_LIMIT + 1))
        at += _BLOCK + -(-length // _BLOCK) * _BLOCK
        if at > size:
            break
    raise NotPickle("a tar without a member named pickle", hint="another kind of tar, or an interrupted download")


def _header(plans: list[Plan]) -> TorchHeader:
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    # Of the bare ones the object comes last that is a dict: the machine's description stands before it.
    roots = [plan.value for plan in plans if isinstance(plan.value, dict)]
    for root in roots[-1:]:
        _look_through(root, "", 0, tensors, metadata)
    return TorchHeader(
        metadata=metadata,
        tensors=tensors,
        missing_bytes=0,
        imported=frozenset().union(*(plan.imported for plan in plans)),
        called=frozenset().union(*(plan.called for plan in plans)),
        broken=next((plan.broken for plan in plans if plan.broken is not None), None),
    )


def _look_through(
    place: Mapping[object, object], within: str, depth: int, tensors: dict[str, Tensor], metadata: dict[str, str]
) -> None:
    for key, value in place.items():
        if len(tensors) >= TENSOR_LIMIT:
            return
        name = f"{within}{str(key)[:TEXT_LIMIT]}"
        tensor = _tensor(value)
        if tensor is not None:
            tensors.setdefault(name, tensor)
        elif isinstance(value, dict) and depth < DEPTH_LIMIT:
            # Names of containers are no part of a tensor's name: `state_dict`, `params_ema`, `model`.
            _look_through(value, within if depth == 0 else f"{name}.", depth + 1, tensors, metadata)
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool) and len(metadata) < TENSOR_LIMIT:
            metadata.setdefault(name, str(value)[:TEXT_LIMIT] if isinstance(value, str) else _shown(value))


def _shown(number: float) -> str:
    # A pickled integer may have more digits than Python is willing to write.
    return str(number) if -(2**64) < number < 2**64 or math.isinf(number) or math.isnan(number) else ""


def _tensor(value: object) -> Tensor | None:
    for _ in range(DEPTH_LIMIT):
        if not isinstance(value, Call) or not isinstance(value.function, Global):
            return None
        arguments = value.arguments
        if value.function.name in _NAMES_OF_TENSORS:
            match arguments:
                case (Persistent(key=key), _, tuple(shape), *_) if _is_shape(shape):
                    return Tensor(dtype=_dtype(key), shape=tuple(side for side in shape if isinstance(side, int)))
            return None
        if value.function.name not in _AROUND_TENSORS or not isinstance(arguments, tuple) or not arguments:
            return None
        value = arguments[0]
    return None


def _is_shape(shape: tuple[object, ...]) -> bool:
    if len(shape) > SHAPE_LIMIT or not all(type(side) is int and 0 <= side <= PARAMETER_LIMIT for side in shape):
        return False
    return math.prod(side for side in shape if isinstance(side, int)) <= PARAMETER_LIMIT


def _dtype(key: object) -> str:
    match key:
        case ("storage", Global(name=name), *_):
            return _DTYPES.get(name.rpartition(".")[2], "unknown")
    return "unknown"
