"""Open files for libraries that want a path."""

from __future__ import annotations

import sys
from typing import BinaryIO

_FOLDER = "/proc/self/fd" if sys.platform.startswith("linux") else "/dev/fd"


def path_of(file: BinaryIO) -> str:
    """Return a path under which this process's libraries can open an open file again, from its start."""
    return f"{_FOLDER}/{file.fileno()}"
