"""What people call what happens in the queue."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from memoryd.dispatch.facts import Standing
from memoryd.dispatch.states import HeldBy, JobState
from memoryd.foundation.canonical_json import Json
from memoryd.submission.facts import EventState

STATE_WORDS: Mapping[JobState, str] = MappingProxyType(
    {
        JobState.READY: "waiting",
        JobState.LEASED: "running",
        JobState.DELAYED: "waits for its next try",
        JobState.HELD: "held",
        JobState.SUCCEEDED: "done",
        JobState.CANCELLED: "cancelled",
        JobState.EXPIRED: "expired: nobody started it in time",
        JobState.DEAD: "given up",
    }
)
"""What people call the states of a job."""

HELD_WORDS: Mapping[HeldBy, str] = MappingProxyType(
    {
        HeldBy.AFTER: "until another job has succeeded",
        HeldBy.APPROVAL: "until somebody approves its models",
        HeldBy.GROUP: "its group is paused",
        HeldBy.PROJECT: "its project is paused",
        HeldBy.CAP: "as many as a cap allows are running",
    }
)
"""Why a job is held."""

EVENT_WORDS: Mapping[str, str] = MappingProxyType(
    {
        EventState.SUBMITTED: "asked for",
        EventState.CLAIMED: "taken by a worker",
        EventState.RELEASED: "given back unrun",
        EventState.FAILED: "failed",
        EventState.CANCEL_REQUESTED: "somebody asked to cancel it",
        EventState.CANCELLED: "cancelled",
        EventState.SUCCEEDED: "done, and recorded",
        EventState.REPLAYED: "to be tried again",
        EventState.DISCARDED: "given up for good",
    }
)
"""What happened to a job."""

CAUSE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "job": "the graph failed: counted",
        "crash": "the worker went silent: counted",
        "infra": "not the job's fault: not counted",
        "after": "the job before it did not succeed",
        "approval": "its models were not approved",
    }
)
"""Why a try ended without a result."""

WORKER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "joined": "has a key, was never started",
        "active": "takes work",
        "draining": "finishes what it has, takes nothing new",
        "left": "was stopped",
        "removed": "was removed",
    }
)
"""What a worker is willing to do."""


def state_of(now: Standing) -> str:
    """Return how a job stands, in words."""
    if now.cancel_requested and now.state is JobState.LEASED:
        return "cancelling"
    if now.state is JobState.DELAYED and not now.failures and now.starts_after is not None:
        return "waits for its time"
    return STATE_WORDS[now.state]


def why_it_failed(failure: Mapping[str, Json]) -> str:
    """Return why a try of a job failed, as the worker told it."""
    error = failure.get("error")
    told = error if isinstance(error, dict) else {}
    return str(told.get("message") or told.get("reason") or told.get("kind") or failure.get("cause") or "unknown")
