"""What the file system refuses, as an error with its next step."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from types import MappingProxyType

from memoryd.foundation.errors import Unavailable

_ROOM = "make room on that disk, then repeat the command"
_ELSEWHERE = "name a place that may be written to, for memoryd's own files in MEMORYD_HOME"

NEXT_STEPS: Mapping[int, str] = MappingProxyType(
    {
        errno.ENOSPC: _ROOM,
        errno.EDQUOT: _ROOM,
        errno.EROFS: _ELSEWHERE,
        errno.EACCES: _ELSEWHERE,
        errno.EPERM: _ELSEWHERE,
        errno.EEXIST: "nothing is ever written over: name another place",
    }
)
"""What helps, by the system's error number."""

OTHERWISE = (
    "check the path, that of memoryd's own files is MEMORYD_HOME; MEMORYD_LOG_LEVEL=DEBUG shows where it happened"
)


class FileTrouble(Unavailable):
    """A file or folder cannot be used."""


def file_trouble(error: OSError) -> FileTrouble:
    """Return the error that names the file and the next step."""
    names = [name for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    reason = error.strerror or str(error) or type(error).__name__
    place = " and ".join(os.fsdecode(name) for name in names)
    return FileTrouble(f"{place}: {reason}" if place else reason, hint=NEXT_STEPS.get(error.errno or 0, OTHERWISE))
