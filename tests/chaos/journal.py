"""What one process saw, line by line, in a file that outlives it: kill -9 loses at most the line that was being written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """A file of JSON lines, each written at once."""

    def __init__(self, path: Path) -> None:
        """Go on writing where an earlier process stopped."""
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(self._file, b"\n")

    def note(self, what: str, **facts: object) -> None:
        """Write one line."""
        os.write(self._file, json.dumps({"what": what, **facts}).encode() + b"\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a journal; none where there is no file."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):
        if line:
            try:
                yield json.loads(line)
            except ValueError:  # killed in the middle of it
                continue


def read_all(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of all journals of a folder, each with the name of who wrote it."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in read(path):
            yield {"who": path.stem, **line}
