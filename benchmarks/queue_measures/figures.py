"""One figure, its target, and what the machine was doing while it was taken."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure. `target` None: shown beside the others, not judged. `least`: the target is the least, not the most."""

    name: str
    value: float
    unit: str
    target: float | None = None
    least: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the target holds; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.least else self.value <= self.target

    def line(self) -> str:
        """The figure as people read it."""
        told = ""
        if self.target is not None:
            told = f"  target at {'least' if self.least else 'most'} {self.target:g}: {'holds' if self.holds else 'MISSED'}"
        return f"  {self.name:66} {self.value:12,.2f} {self.unit}{told}"


@dataclasses.dataclass
class Machine:
    """Shares of all cores' time, 0 to 1, while a block ran, and the load average at its end."""

    idle: float = 0.0
    steal: float = 0.0
    load: float = 0.0

    def line(self) -> str:
        """The shares as people read them."""
        shares = f"idle {self.idle:.0%}, steal {self.steal:.0%}, load {self.load:.1f} on {os.cpu_count()} cores"
        return f"  machine meanwhile: {shares}"


def _ticks() -> list[int]:
    return [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


@contextlib.contextmanager
def watched() -> Iterator[Machine]:
    """Yield what the machine did meanwhile; filled in when the block ends."""
    machine = Machine()
    try:
        before = _ticks()
    except OSError:  # no Linux: nothing is told
        yield machine
        return
    yield machine
    spent = [now - then for now, then in zip(_ticks(), before, strict=True)]
    total = max(1, sum(spent))
    machine.idle, machine.steal = (spent[3] + spent[4]) / total, spent[7] / total
    machine.load = os.getloadavg()[0]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)


def now_ms() -> float:
    """Milliseconds of a clock that all processes of this machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC) * 1000
