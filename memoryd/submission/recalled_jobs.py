"""Jobs that wait for recalled weights, or run with them: ended, with the recall as the reason, and handed to nobody.

No job of a recalled model is written after its recall's commit, and no claim hands one over; so what is found here is all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from memoryd.clearance.recalls import standing
from memoryd.dispatch import chores, jobs
from memoryd.dispatch.facts import Cancellation, Chore
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.ids import JobId
from memoryd.submission import queries
from memoryd.submission.facts import EventState
from memoryd.submission.graph_needs import folders_of, slashed

JOBS_AT_ONCE = 200
"""Jobs of one unit of work."""


def do_chore(means: chores.Means, chore: Chore) -> None:
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Why a worker gets no job. `anywhere`: no other worker gets it either; else only this one has such a file."""

    reason: str
    anywhere: bool


def look(session: Session, scope: TenantScope, worker_id: UUID, pins: Sequence[Mapping[str, Any]]) -> Held | None:
    """Return why a worker gets no job with these pins, None where nothing that is recalled would be loaded.

    By what the job asks for, and by what the worker says it has under the names whose bytes nobody insists on: a file may
    have changed, or been hashed, after the job was written. `session` has the tenant, and has it again afterwards.
    """
    asked = [bytes.fromhex(pin["sha256"]) for pin in pins if pin.get("sha256")]
    found = standing.recalled(session, asked)
    if found:
        return Held(reason=next(iter(found.values())).in_words(), anywhere=True)
    loose = [pin for pin in pins if not pin.get("sha256") or pin.get("assumed")]
    uses = [(folder, slashed(pin["name"])) for pin in loose for folder in sorted(folders_of(pin["folder"]))]
    if not uses:
        return None
    take_farm(session)
    there = queries.list_worker_hashes(session, worker_id=worker_id, uses=uses)
    take_tenant(session, scope)
    found = standing.recalled(session, there)
    if not found:
        return None
    return Held(reason=f"what this worker has: {next(iter(found.values())).in_words()}", anywhere=False)


def end_one(database: Database, scope: TenantScope, job_id: JobId, reason: str) -> None:
    """End a job that a claim met and that no worker may have, as the recall's chore ends those that it finds."""
    with database.tenant_work(scope) as session:
        owner = queries.list_projects_of(session, job_ids=[job_id]).get(job_id)
        _end(session, scope, job_id, owner, reason)


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
