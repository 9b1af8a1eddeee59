"""The end of a try that made nothing, and what comes next: another try, a bigger pool, or the dead letters."""

from __future__ import annotations

from collections.abc import Mapping

from memoryd.dispatch import telling
from memoryd.dispatch.endings import Endings
from memoryd.dispatch.facts import Cause
from memoryd.dispatch.queries import ending
from memoryd.dispatch.states import ENDED, JobState
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.ids import JobId
from memoryd.foundation.texts import storable

INFRA_ATTEMPTS_LIMIT = 10
"""Uncounted tries: a farm that lacks a model must not hand a job round for ever."""
RELEASES_AT_ONCE = 2
"""After so many uncounted tries a job that is given back waits a while, as a failed one does."""
BACKOFF_DOUBLINGS = 6
ERROR_TEXT_LIMIT = 8_000
"""Characters of an error that are kept."""
NO_SETBACK = frozenset(
    {
        "released",
        "worker-stopped",
        "worker-removed",
        "foreign-interrupt",
        "engine-busy",
        "restored",
        "out-of-memory",
        "model-drifted",
        "model-recalled",
        "environment-changed",
    }
)
"""Why a job came back, where that says nothing about the next one."""
SETBACK_LIMIT_S = 60.0
"""The longest that a worker, or a pool, waits after runs failed for reasons of the farm."""


def end_try(
    session: Session,
    named: Mapping[str, object],
    *,
    cause: Cause,
    error: Mapping[str, Json],
    then: JobState,
    brought: Endings,
    avoid: bool = True,
    moves: bool = False,
) -> JobState | None:
    """End a lease that made nothing and decide what comes next; return the job's new state, None where it is not there.

    `named` has job_id and fence; where the worker itself reports the end, token_hash and worker_id too: its report, sent
    again, is then a duplicate. What follows is noted in `brought`, for the caller to settle after the last of its tries.
    `avoid`: another worker tries next, where there is one.
    """
    kept = {name: storable(value)[0][:ERROR_TEXT_LIMIT] for name, value in error.items() if isinstance(value, str)}
    kind = kept.get("kind") or cause.value
    reported_with = named.get("token_hash")
    failure: dict[str, Json] = {"cause": cause.value, "error": dict(kept), "token_hash": None}
    if isinstance(reported_with, bytes):
        failure["token_hash"] = reported_with.hex()
    row = ending.end_try(
        session,
        {
            **named,
            "failure": failure,
            "avoid": avoid,
            "counts": cause is not Cause.INFRA,
            "moves": moves,
            "infra_limit": INFRA_ATTEMPTS_LIMIT,
            "patience": RELEASES_AT_ONCE,
            "doublings": BACKOFF_DOUBLINGS,
            "then": then.value,
            "kind": kind,
            "reason": str(kept.get("message") or kind),
        },
    )
    if row is None:
        return None
    state = JobState(row.state)
    if state in ENDED:
        brought.note(row, state)
    elif state is JobState.READY:
        brought.entrants.append(JobId(row.id))
    if row.capped:
        brought.freed.append(row)
    _tell_end(session, row, kind=kind, reason=str(kept.get("message") or kind), by_worker=reported_with is not None)
    if cause is Cause.INFRA and not moves and kind not in NO_SETBACK:
        ending.note_setback(
            session, pool_id=row.left_pool_id, worker_id=row.worker_id, kind=kind, limit_s=SETBACK_LIMIT_S
        )
    return state


def _tell_end(session: Session, row: ending.Found, *, kind: str, reason: str, by_worker: bool) -> None:
    """Tell what the end of a try led to; that a worker reported it, is told where the report is recorded."""
    jobs, state = [JobId(row.id)], JobState(row.state)
    if state is JobState.DEAD:
        telling.tell_jobs(session, "job.dead", jobs, cause=kind, reason=reason)
    elif state is JobState.CANCELLED:
        telling.tell_jobs(session, "job.cancelled", jobs)
    elif row.moved:
        telling.tell_jobs(session, "job.moved", jobs, cause=kind)
    elif not by_worker:
        telling.tell_jobs(session, "job.released", jobs, cause=kind, reason=reason)
