"""A job again: a given-up one as itself, one that ended otherwise without a result as a new job like it."""

from __future__ import annotations

from memoryd.access.facts import Caller
from memoryd.dispatch.facts import Urgency
from memoryd.dispatch.states import JobState
from memoryd.dispatch.wire import InputFile, JobKind, Pin
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import JobId, ProjectId
from memoryd.submission import estimating_jobs, queries, viewing
from memoryd.submission.facts import Submission, Submitted
from memoryd.submission.submitting import submit, unpacked


class NothingToRetry(Conflict):
    """This job has a result, or will have one."""


class NotAskedForByPeople(Conflict):
    """This job was not asked for by itself."""


def retry(
    session: Session, job_id: JobId, *, scope: TenantScope, caller: Caller, store: ByteStore, database: Database
) -> Submitted:
    """Let a job run after all that ended without a result; say where it stands. Session as in submit.

    Raises: JobNotFound, NothingToRetry, NotAskedForByPeople, and as submit.
    """
    view = viewing.job_view(session, job_id, scope=scope, sees=caller.sees)
    state = view.standing.state
    if state is JobState.DEAD:
        viewing.replay(session, job_id, scope=scope, caller=caller)
        found = estimating_jobs.estimate_of(session, database, job_id, scope=scope)
        return Submitted(job_id=job_id, known=True, estimate=found)
    if state not in (JobState.CANCELLED, JobState.EXPIRED):
        raise NothingToRetry(f"job {job_id} is {state.value}", hint="submit its graph again for another result")
    if view.kind is not JobKind.RUN:
        raise NotAskedForByPeople(f"job {job_id}", hint="ask for the asset to be made again (`memoryd reproduce`)")
    detail = queries.find_detail(session, job_id=job_id)
    assert detail is not None
    return submit(
        session,
        Submission(
            prompt=unpacked(detail.prompt),
            extra_data=unpacked(detail.extra_data),
            project_id=ProjectId(detail.project_id) if detail.project_id else None,
            name=detail.name,
            pool=detail.pool,
            urgency=Urgency(detail.urgency),
            recompute=detail.recompute,
            inputs=tuple(InputFile.model_validate(file) for file in detail.inputs),
            pins=tuple(Pin.model_validate(pin) for pin in detail.pins),
        ),
        scope=scope,
        caller=caller,
        store=store,
        database=database,
    )
