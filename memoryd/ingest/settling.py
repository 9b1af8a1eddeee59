"""When is a file settled? Pure: what happened to it, what it looks like, and the time, go in; a decision comes out.

A writer that closed the file, or renamed it into place, has settled it. A file that merely appeared (moved in from
outside, hard-linked, or seen by a rescan: no close event comes) is settled when size and mtime stood still for
STABLE_FOR_S. Source: measured with inotify on ComfyUI's own savers, which write under the final name.
"""

from __future__ import annotations

import dataclasses
import enum

from memoryd.ingest.facts import Seen

STABLE_FOR_S = 1.0
"""How long a file that nobody closed must look the same."""

LINGER_S = 0.02
"""How long a closed file waits for company, so that a burst is recorded in batches and an edit's last write is met."""

CUT_OFF_AFTER_S = 30.0
"""A file that ends in the middle and has not changed for this long is no longer waited for, but put in quarantine."""

FUTURE_TOLERANCE_S = 5.0
"""A file from the future is one whose clock is not ours (a file server's): its age is unknown beyond this."""


class Happening(enum.StrEnum):
    """What was last heard of a file."""

    SEEN = "seen"
    """It is there; nobody said that it is finished."""
    WRITTEN = "written"
    """Its writer closed it, or it was renamed into its place."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Nomination:
    """A path that is to be looked at. Times are of a monotonic clock, in seconds."""

    happening: Happening
    heard_at: float
    face: Seen | None = None
    """What it looked like at the last look."""
    same_since: float = 0.0


def heard(before: Nomination | None, happening: Happening, now: float) -> Nomination:
    """Return the nomination after one more event: a later write starts the waiting anew, and `seen` never ends it."""
    if before is None:
        return Nomination(happening=happening, heard_at=now, same_since=now)
    if happening is Happening.SEEN:
        return dataclasses.replace(before, happening=Happening.SEEN, heard_at=now)
    return dataclasses.replace(before, happening=happening, heard_at=now)


def looked(before: Nomination, face: Seen | None, now: float) -> Nomination:
    """Return the nomination after a look at the file."""
    if before.face == face:
        return before
    return dataclasses.replace(before, face=face, same_since=now)


def is_settled(nomination: Nomination, now: float) -> bool:
    """Tell whether the file may be read now; one that is not there any more is settled as gone after STABLE_FOR_S."""
    if nomination.happening is Happening.WRITTEN and nomination.face is not None:
        return now - nomination.heard_at >= LINGER_S
    return now - max(nomination.same_since, nomination.heard_at) >= STABLE_FOR_S


def is_cut_off(*, changed_at: float, now: float) -> bool:
    """Tell whether a file that ends in the middle is past waiting for. Both times in seconds of the wall clock."""
    age = now - changed_at
    return age >= CUT_OFF_AFTER_S or age < -FUTURE_TOLERANCE_S
