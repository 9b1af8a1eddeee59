"""Tells a ComfyUI that is busy from one that hangs, by what its process does while it does not answer."""

from __future__ import annotations

import dataclasses

SILENT_LIMIT_S = 120.0
"""How long a ComfyUI may not answer while its process does nothing either. A checkpoint that loads holds its event loop
up for seconds at most (0.9 s for 0.5 GB, 0.29 on two cores), but it works or reads meanwhile."""

BUSY_LIMIT_S = 900.0
"""How long it may not answer whatever its process does. Nodes that compile or load for long in Python hold the
interpreter; 15 minutes is more than any that is known."""

WORKING_SHARE = 0.05
"""The share of one core that counts as work: threads that only wait use less."""

READING_BYTES_S = 2**20
"""Bytes read in a second that count as work: weights come over the network while the processor waits."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What a process has done since it began: seconds of processor, and bytes read."""

    processor_s: float
    read_bytes: int


class Silence:
    """When a ComfyUI was last heard, and when its process last worked. Times are seconds of one steady clock."""

    def __init__(self, now: float) -> None:
        """It was heard just now."""
        self._heard_at = now
        self._worked_at = now
        self._last: tuple[float, Activity] | None = None

    def heard(self, now: float) -> None:
        """It answered, or told something."""
        self._heard_at = self._worked_at = now
        self._last = None

    def silent_s(self, now: float) -> float:
        """Return for how long it was not heard."""
        return now - self._heard_at

    def hangs(self, now: float, activity: Activity | None) -> str | None:
        """Return why it must be taken for hung, None while there is hope. `activity` is None where nobody can tell."""
        self._note(now, activity)
        silent = now - self._heard_at
        if silent > BUSY_LIMIT_S:
            return f"ComfyUI has not answered for {silent:.0f} s"
        if silent > SILENT_LIMIT_S and now - self._worked_at > SILENT_LIMIT_S:
            return f"ComfyUI has not answered for {silent:.0f} s, and its process does nothing"
        return None

    def _note(self, now: float, activity: Activity | None) -> None:
        if activity is None:
            # Nobody can tell: silence alone decides, and later.
            self._worked_at = now
            return
        if self._last is None:
            self._last = (now, activity)
            return
        then, before = self._last
        seconds = now - then
        if seconds < 1:
            return
        worked = (activity.processor_s - before.processor_s) / seconds
        read = (activity.read_bytes - before.read_bytes) / seconds
        if worked > WORKING_SHARE or read > READING_BYTES_S:
            self._worked_at = now
        self._last = (now, activity)
