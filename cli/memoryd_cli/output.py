"""How commands speak: plain lines without a terminal, tables with one, JSON when asked; errors with their next step."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from memoryd.foundation.errors import MemorydError


class _Lines(Console):
    """A console that leaves it to `main` what becomes of a command nobody reads any more."""

    def on_broken_pipe(self) -> None:
        raise


console = _Lines(highlight=False, soft_wrap=True)
errors = _Lines(stderr=True, highlight=False, soft_wrap=True)


def plain(text: str) -> str:
    """Return text as a terminal may show it: control characters, escape sequences above all, are spelled out.

    Prompts and file names are hostile input: an escape sequence in one must not drive somebody's terminal.
    """
    return "".join(
        c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}"
        for c in text
    )


def say(text: str = "") -> None:
    """Print one line (no markup is read from it)."""
    console.print(plain(text), markup=False)


def as_json(value: object) -> None:
    """Print a value as JSON, indented, one document."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings: aligned on a terminal, tab-separated otherwise."""
    texts = [[plain("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not console.is_terminal:
        for row in [list(columns), *texts]:
            sys.stdout.write("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row) + "\n")
        return
    grid = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in texts:
        # Markup would be read from cells otherwise.
        grid.add_row(*(cell.replace("[", r"\[") for cell in row))
    console.print(grid)


def explain(error: MemorydError) -> None:
    """Print an error and its next step on standard error."""
    errors.print(f"{error.title.rstrip('.')}: {plain(error.detail)}", markup=False, style="red")
    if error.hint:
        errors.print(f"Next: {plain(error.hint)}", markup=False)


def fail(error: MemorydError) -> NoReturn:
    """Print an error and its next step, and end with the exit code of its category."""
    explain(error)
    raise SystemExit(error.exit_code)
