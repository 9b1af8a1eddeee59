"""The life of a job, drawn once: every arrow is a verb of this room, and a test walks them all.

enqueue ─┬▶ held ──let go──▶ ready ──claim──▶ leased ──complete──▶ succeeded
         │   ▲ └──let go──▶ delayed             │ └────complete──▶ cancelled
         │   └─hold── ready  ▲                  │
         ├─────────▶ ready ◀─┼──── release ─────┤   (a paused project or group: held instead of ready)
         └─────────▶ delayed ┼─promote─▶ ready  ├─fail, reap, release─▶ delayed
                             └── fail, reap ────┴─fail, reap, release─▶ dead ──replay──▶ ready or held
whatever waits ──cancel──▶ cancelled, ──expire──▶ expired;  dead ──discard──▶ cancelled;
held ──let go──▶ cancelled (what it waited for was refused);
cancelled, expired ──replay──▶ ready or held (the missing items of a group)
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands. It lies in exactly one of `ready`, `held`, `lease`, `delayed`, `dead`, or it has ended."""

    READY = "ready"  # may start as soon as a worker asks
    LEASED = "leased"  # a worker has it
    DELAYED = "delayed"  # waits for its time: its next try, or the start it was asked for
    HELD = "held"  # waits for another job, for an approval, for a pause to end, or for room under a cap
    SUCCEEDED = "succeeded"  # recorded
    CANCELLED = "cancelled"  # somebody did not want it any more
    EXPIRED = "expired"  # nobody started it in time
    DEAD = "dead"  # given up after its tries; can be replayed


ENDED = frozenset({JobState.SUCCEEDED, JobState.CANCELLED, JobState.EXPIRED, JobState.DEAD})
"""States that no worker changes any more."""

WAITING = frozenset({JobState.READY, JobState.DELAYED, JobState.HELD})
"""States in which nobody has the job in hand."""


class HeldBy(StrEnum):
    """What a held job waits for, in the order in which it is looked at."""

    AFTER = "after"  # another job must succeed first
    APPROVAL = "approval"  # somebody must approve it first
    GROUP = "group"  # its group is paused
    PROJECT = "project"  # its project is paused
    CAP = "cap"  # as many of its scope run as a cap allows


class Verb(StrEnum):
    """What moves a job."""

    ENQUEUE = "enqueue"
    CLAIM = "claim"
    COMPLETE = "complete"
    FAIL = "fail"  # completed with an error
    RELEASE = "release"  # given back unrun
    REAP = "reap"  # the lease ran out
    PROMOTE = "promote"
    CANCEL = "cancel"
    EXPIRE = "expire"
    REPLAY = "replay"
    DISCARD = "discard"
    HOLD = "hold"
    LET_GO = "let-go"


ARROWS: frozenset[tuple[JobState | None, Verb, JobState]] = frozenset(
    {
        (None, Verb.ENQUEUE, JobState.READY),
        (None, Verb.ENQUEUE, JobState.DELAYED),
        (None, Verb.ENQUEUE, JobState.HELD),
        (JobState.READY, Verb.CLAIM, JobState.LEASED),
        (JobState.READY, Verb.CANCEL, JobState.CANCELLED),
        (JobState.READY, Verb.EXPIRE, JobState.EXPIRED),
        (JobState.READY, Verb.HOLD, JobState.HELD),
        (JobState.HELD, Verb.LET_GO, JobState.READY),
        (JobState.HELD, Verb.LET_GO, JobState.DELAYED),
        (JobState.HELD, Verb.LET_GO, JobState.HELD),
        (JobState.HELD, Verb.LET_GO, JobState.CANCELLED),
        (JobState.HELD, Verb.CANCEL, JobState.CANCELLED),
        (JobState.HELD, Verb.EXPIRE, JobState.EXPIRED),
        (JobState.LEASED, Verb.COMPLETE, JobState.SUCCEEDED),
        (JobState.LEASED, Verb.COMPLETE, JobState.CANCELLED),
        (JobState.LEASED, Verb.FAIL, JobState.DELAYED),
        (JobState.LEASED, Verb.FAIL, JobState.DEAD),
        (JobState.LEASED, Verb.FAIL, JobState.CANCELLED),
        (JobState.LEASED, Verb.FAIL, JobState.READY),
        (JobState.LEASED, Verb.FAIL, JobState.HELD),
        (JobState.LEASED, Verb.RELEASE, JobState.READY),
        (JobState.LEASED, Verb.RELEASE, JobState.HELD),
        (JobState.LEASED, Verb.RELEASE, JobState.DELAYED),
        (JobState.LEASED, Verb.RELEASE, JobState.DEAD),
        (JobState.LEASED, Verb.RELEASE, JobState.CANCELLED),
        (JobState.LEASED, Verb.REAP, JobState.DELAYED),
        (JobState.LEASED, Verb.REAP, JobState.DEAD),
        (JobState.LEASED, Verb.REAP, JobState.CANCELLED),
        (JobState.DELAYED, Verb.PROMOTE, JobState.READY),
        (JobState.DELAYED, Verb.PROMOTE, JobState.HELD),
        (JobState.DELAYED, Verb.CANCEL, JobState.CANCELLED),
        (JobState.DELAYED, Verb.EXPIRE, JobState.EXPIRED),
        (JobState.DEAD, Verb.REPLAY, JobState.READY),
        (JobState.DEAD, Verb.REPLAY, JobState.HELD),
        (JobState.DEAD, Verb.DISCARD, JobState.CANCELLED),
        (JobState.CANCELLED, Verb.REPLAY, JobState.READY),
        (JobState.CANCELLED, Verb.REPLAY, JobState.HELD),
        (JobState.EXPIRED, Verb.REPLAY, JobState.READY),
        (JobState.EXPIRED, Verb.REPLAY, JobState.HELD),
    }
)
