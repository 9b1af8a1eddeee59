"""The life of a job, drawn once: every arrow is a verb of this room, and a test walks them all.

enqueue ──▶ ready ──claim──▶ leased ──complete──▶ succeeded
             ▲ │  ◀─release──  │ └───complete──▶ cancelled
             │ ├─cancel──▶ cancelled
             │ └─expire──▶ expired
             │                 ├─fail, reap, release──▶ delayed ──cancel──▶ cancelled
             ├────────────── promote ─────────────┘
             └─replay── dead ◀─fail, reap, release
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands. It lies in exactly one of `ready`, `lease`, `delayed`, `dead`, or it has ended."""

    READY = "ready"  # may start as soon as a worker asks
    LEASED = "leased"  # a worker has it
    DELAYED = "delayed"  # waits for its next try
    SUCCEEDED = "succeeded"  # recorded
    CANCELLED = "cancelled"  # somebody did not want it any more
    EXPIRED = "expired"  # nobody started it in time
    DEAD = "dead"  # given up after its tries; can be replayed


ENDED = frozenset({JobState.SUCCEEDED, JobState.CANCELLED, JobState.EXPIRED, JobState.DEAD})
"""States that no worker changes any more."""


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


ARROWS: frozenset[tuple[JobState | None, Verb, JobState]] = frozenset(
    {
        (None, Verb.ENQUEUE, JobState.READY),
        (JobState.READY, Verb.CLAIM, JobState.LEASED),
        (JobState.READY, Verb.CANCEL, JobState.CANCELLED),
        (JobState.READY, Verb.EXPIRE, JobState.EXPIRED),
        (JobState.LEASED, Verb.COMPLETE, JobState.SUCCEEDED),
        (JobState.LEASED, Verb.COMPLETE, JobState.CANCELLED),
        (JobState.LEASED, Verb.FAIL, JobState.DELAYED),
        (JobState.LEASED, Verb.FAIL, JobState.DEAD),
        (JobState.LEASED, Verb.FAIL, JobState.CANCELLED),
        (JobState.LEASED, Verb.RELEASE, JobState.READY),
        (JobState.LEASED, Verb.RELEASE, JobState.DELAYED),
        (JobState.LEASED, Verb.RELEASE, JobState.DEAD),
        (JobState.LEASED, Verb.RELEASE, JobState.CANCELLED),
        (JobState.LEASED, Verb.REAP, JobState.DELAYED),
        (JobState.LEASED, Verb.REAP, JobState.DEAD),
        (JobState.LEASED, Verb.REAP, JobState.CANCELLED),
        (JobState.DELAYED, Verb.PROMOTE, JobState.READY),
        (JobState.DELAYED, Verb.CANCEL, JobState.CANCELLED),
        (JobState.DEAD, Verb.REPLAY, JobState.READY),
    }
)
