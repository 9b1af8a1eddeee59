"""A process that decodes for another: open files come in over a socket, what was derived of them goes back.

Apart from the server's own process, since what is decoded may be hostile: memory and time are limited here, and a fault
in a decoder takes one file with it. It is started plainly, so that it imports decoders and no database driver, and ends
when its parent does.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import resource
import socket
import struct
import sys
import warnings
from typing import BinaryIO, cast

from memoryd.foundation.findings import Finding
from memoryd.imaging.derived import Derived
from memoryd.imaging.deriving_any import derive
from memoryd.imaging.recipes import read_recipes

MEMORY_LIMIT = 3 * 2**30
"""Bytes that a decoding process may allocate. The largest picture that is decoded takes 400 MB as Pillow holds it, and
a picture of 16 bits a sample about five times that of 8."""
WORN_OUT = 700 * 2**20
"""Bytes of memory after which a process ends itself: what a large picture took is then given back at once."""
POLITENESS = 5
"""Added to the process's niceness: answering people comes first."""

_HEAD = struct.Struct(">Q?")
"""How long an answer is, and whether it is the last."""
_TASK_LIMIT = 65_536

_TRUSTED = {
    ("memoryd.imaging.derived", name)
    for name in ("Derived", "SmallPicture", "TakenFingerprint", "ColourProfile", "Traits")
} | {
    ("memoryd.imaging.pixels", "PixelDigest"),
    ("memoryd.foundation.findings", "Finding"),
    ("dataclasses", "_dataclass_setstate"),
    ("copyreg", "__newobj__"),
}


class _Reading(pickle.Unpickler):
    """Makes values of ours alone: a decoder that was taken over must not reach further than its own process."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _TRUSTED:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer")
        return super().find_class(module, name)


def send_task(link: socket.socket, file: int, media_type: str, recipes: str) -> None:
    """Hand an open file (its descriptor) to a decoding process. Raises: OSError where it is gone."""
    socket.send_fds(link, [f"{media_type}\n{recipes}".encode()], [file])


def receive_derived(link: socket.socket) -> tuple[Derived, bool]:
    """Return a decoding process's answer, and whether the process ends with it.

    Raises: EOFError where it is gone or talks nonsense, OSError.
    """
    length, last = _HEAD.unpack(_exactly(link, _HEAD.size))
    try:
        answer = _Reading(io.BytesIO(_exactly(link, length))).load()
    except (pickle.UnpicklingError, ValueError, TypeError, IndexError) as error:
        raise EOFError(str(error)) from error
    if not isinstance(answer, Derived):
        raise EOFError("not an answer")
    return answer, last


def _exactly(link: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = link.recv(min(1 << 20, length - len(parts)))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def derive_within_limits(file: BinaryIO, media_type: str, recipes: str) -> Derived:
    """Return what is wanted of an open file; memory that is refused is a finding too. Raises: OSError."""
    try:
        return derive(file, media_type, read_recipes(recipes))
    except MemoryError:
        detail = f"decoding it takes more memory than MEMORY_LIMIT, {MEMORY_LIMIT} bytes"
        return Derived(findings=(Finding(code="memory-limit", detail=detail),))


def main() -> None:
    """Decode until there is no more to decode."""
    link = socket.socket(fileno=os.dup(0))
    # What a decoder prints must not get between the answers, and what it reads is nothing.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.nice(POLITENESS)
    # How many pixels are too many is decided by limits that have names.
    warnings.simplefilter("ignore")
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    link.sendall(b"ready")
    while True:
        task, files, _, _ = socket.recv_fds(link, _TASK_LIMIT, 1)
        if not task or not files:
            return
        media_type, recipes = task.decode().split("\n", 1)
        with os.fdopen(files[0], "rb") as file:
            try:
                derived = derive_within_limits(cast(BinaryIO, file), media_type, recipes)
            except OSError as error:
                detail = f"reading it failed: {os.strerror(error.errno) if error.errno else error}"
                derived = Derived(findings=(Finding(code="not-readable", detail=detail),))
        packed = pickle.dumps(derived, protocol=pickle.HIGHEST_PROTOCOL)
        worn_out = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT > WORN_OUT
        link.sendall(_HEAD.pack(len(packed), worn_out) + packed)
        if worn_out:
            return


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of one of getrusage's units. Source: getrusage(2) of both."""

if __name__ == "__main__":
    main()
