"""Jobs that wait for recalled weights, or run with them, when those are recalled: ended, with the recall as the reason.

No job of a recalled model is written after its recall's commit, and no claim hands one over; so what is found here is all.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from memoryd.clearance.recalls import standing
from memoryd.dispatch import jobs
from memoryd.dispatch.facts import Cancellation, Chore
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.ids import JobId
from memoryd.submission import queries
from memoryd.submission.facts import EventState

JOBS_AT_ONCE = 200
"""Jobs of one unit of work."""


class Means(Protocol):
    """What a chore's handler works with."""

    @property
    def database(self) -> Database:
        """Connections."""
        ...

    @property
    def tenant(self) -> TenantScope:
        """Whose jobs they are."""
        ...


def do_chore(means: Means, chore: Chore) -> None:
    """End the jobs of recalls, in the tenant that the chore is for."""
    for subject in chore.subjects:
        end_jobs(means.database, means.tenant, subject)


def end_jobs(database: Database, scope: TenantScope, recall_id: UUID) -> int:
    """End all jobs that wait for a recall's weights, and ask workers to stop those that run; return how many.

    Done again it ends what is left. Nothing happens where the recall was lifted meanwhile.
    """
    ended, after = 0, None
    while True:
        with database.tenant_work(scope) as session:
            why = standing.recalled(session, standing.list_concerned(session, recall_id))
            reason = next((one.in_words() for one in why.values() if one.recall_id == recall_id), None)
            if reason is None:
                return ended
            found = queries.list_pinning(
                session, sha256s=[sha256.hex() for sha256 in why], after=after, limit=JOBS_AT_ONCE
            )
            some = sum(_end(session, scope, JobId(row.job_id), row.project_id, reason) for row in found)
            standing.note_jobs_ended(session, recall_id, some)
        ended += some
        if len(found) < JOBS_AT_ONCE:
            return ended
        after = found[-1].job_id


def _end(session: Session, scope: TenantScope, job_id: JobId, project_id: UUID | None, reason: str) -> bool:
    take_farm(session)
    try:
        answer = jobs.cancel(session, job_id, tenant_id=scope.id)
    except jobs.JobNotFound:
        answer = Cancellation.ENDED
    take_tenant(session, scope)
    if answer is Cancellation.ENDED:
        return False
    gone = answer is Cancellation.CANCELLED
    queries.insert_event(
        session, job_id=job_id, state=EventState.CANCELLED if gone else EventState.CANCEL_REQUESTED, reason=reason
    )
    facts: dict[str, Json] = {"cause": "recall", "reason": reason[:500]}
    if project_id is not None:
        facts["project_id"] = str(project_id)
    outbox.announce(session, "job.cancelled" if gone else "job.cancel-requested", job_id, facts)
    return True
