"""Writes small model files of every format, each by its own specification, not by our readers. Seeds of the fuzzer, too."""

from __future__ import annotations

import collections
import io
import json
import math
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any


def safetensors_file(tensors: Mapping[str, Sequence[int]], metadata: Mapping[str, str] | None = None) -> bytes:
    """F16 tensors of zeros."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    at = 0
    for name, shape in tensors.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(at)


def text(value: str, order: str = "<") -> bytes:
    """A text as GGUF has it."""
    raw = value.encode()
    return struct.pack(f"{order}Q", len(raw)) + raw


def gguf_file(
    entries: Mapping[str, str | int | Sequence[str]],
    tensors: Mapping[str, Sequence[int]],
    *,
    version: int = 3,
    order: str = "<",
) -> bytes:
    """F32 tensors of zeros. Source: ggml, docs/gguf.md."""
    out = b"GGUF" + struct.pack(f"{order}IQQ", version, len(tensors), len(entries))
    for key, value in entries.items():
        out += text(key, order)
        if isinstance(value, str):
            out += struct.pack(f"{order}I", 8) + text(value, order)
        elif isinstance(value, int):
            out += struct.pack(f"{order}II", 4, value)
        else:
            out += struct.pack(f"{order}IIQ", 9, 8, len(value)) + b"".join(text(item, order) for item in value)
    at = 0
    for name, shape in tensors.items():
        out += text(name, order) + struct.pack(f"{order}I", len(shape))
        out += struct.pack(f"{order}{len(shape)}Q", *reversed(shape)) + struct.pack(f"{order}IQ", 0, at)
        at += -(-4 * math.prod(shape) // 32) * 32
    return out + bytes(-len(out) % 32) + bytes(at)


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.key if isinstance(value, Storage) else None


class Storage:
    """What torch keeps outside of the pickle."""

    def __init__(self, number: int, size: int) -> None:
        self.key = ("storage", _torch_name("HalfStorage"), str(number), "cpu", size)


class Fake:
    """A tensor, pickled as torch pickles one."""

    def __init__(self, number: int, shape: Sequence[int]) -> None:
        self.number, self.shape = number, tuple(shape)

    def __reduce__(self) -> tuple[Any, ...]:
        size = math.prod(self.shape)
        arguments: tuple[Any, ...] = (
            Storage(self.number, size),
            0,
            self.shape,
            (1,) * len(self.shape),
            False,
            collections.OrderedDict(),
        )
        return (_torch_name("_rebuild_tensor_v2", "torch._utils"), arguments)


def _torch_name(name: str, module: str = "torch") -> Any:
    """Something that pickles as `module.name` without torch being there."""
    import sys
    import types

    def stand_in() -> None: ...

    stand_in.__module__, stand_in.__qualname__, stand_in.__name__ = module, name, name
    place = sys.modules.setdefault(module, types.ModuleType(module))
    if not hasattr(place, name):
        setattr(place, name, stand_in)
    return getattr(place, name)


def pickled(value: object, protocol: int = 2) -> bytes:
    """A pickle of one object, tensors as torch does."""
    out = io.BytesIO()
    _Pickler(out, protocol).dump(value)
    return out.getvalue()


def state(tensors: Mapping[str, Sequence[int]], **beside: object) -> dict[str, object]:
    """What training scripts save: tensors, and what stands beside them."""
    made = collections.OrderedDict((name, Fake(number, shape)) for number, (name, shape) in enumerate(tensors.items()))
    return {"state_dict": made, **beside}


def torch_zip(value: object, *, packed: bool = False) -> bytes:
    """What `torch.save` writes since 1.6."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", pickled(value))
        file.writestr("archive/version", "3\n")
        file.writestr("archive/data/0", bytes(64))
    return out.getvalue()


def torch_bare(value: object) -> bytes:
    """What `torch.save` wrote before 1.6: five pickles, and the tensors."""
    head = [pickle.dumps(one, 2) for one in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join([*head, pickled(value), pickle.dumps(["0"], 2)]) + struct.pack("<Q", 32) + bytes(64)


def torch_tar(value: object) -> bytes:
    """What `torch.save` wrote before 0.1.10."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as file:
        for name, content in (("sys_info", pickle.dumps({})), ("pickle", pickled(value)), ("storages", b"x" * 700)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return out.getvalue()
