"""What a launched ComfyUI prints, in files that do not grow without end."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

FILE_LIMIT = 8 * 2**20
"""Bytes of one log file; the one before it is kept beside it."""

LAST_LINES = 12
"""How many of the last lines are told when ComfyUI ended."""

LINE_LIMIT = 300
"""Characters of a line that are told: a crash lists every extension module in one."""

_TAIL_BYTES = 16 * 1024
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class EngineLog:
    """One log file and the one before it. ComfyUI writes into it itself, so that it goes on when the worker is away."""

    def __init__(self, path: Path) -> None:
        """`path` is the present file; the one before is called the same with `.1`."""
        self.path = path

    def open(self) -> int:
        """Return a descriptor for ComfyUI's output: what is written always lands at the end."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def rotate(self) -> None:
        """Put a file that has become too long aside. Lines written at this very moment may be lost."""
        try:
            if self.path.stat().st_size <= FILE_LIMIT:
                return
            # Copied and cut, not renamed: ComfyUI holds the file open.
            shutil.copyfile(self.path, self.path.with_name(self.path.name + ".1"))
            os.truncate(self.path, 0)
        except OSError:
            return

    def last_lines(self) -> list[str]:
        """Return the last LAST_LINES lines, without colours."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        lines = [line.rstrip() for line in _COLOURS.sub("", text).splitlines()]
        return [line[:LINE_LIMIT] for line in lines if line][-LAST_LINES:]
