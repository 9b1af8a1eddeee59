"""Jobs as people see them: one, a page of them, their history, and what people do to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from memoryd.access import audit
from memoryd.access.facts import Caller, Sees
from memoryd.dispatch import dead_letters, jobs, reordering
from memoryd.dispatch.facts import Cancellation, DeadFilter, DeadLetter, Standing
from memoryd.dispatch.states import JobState
from memoryd.dispatch.wire import JobKind
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.ids import JobId, PersonId, ProjectId
from memoryd.foundation.paging import PAGE_LIMIT, Page, decode_id, encode_cursor, page_size
from memoryd.submission import queries
from memoryd.submission.facts import EventState, JobEventView, JobView

CHUNK_OF_STATE = PAGE_LIMIT
"""Jobs that are looked at together where only those of a state are asked for: they may lie far behind newer ones."""

CHUNKS_LIMIT = 20
"""Chunks of jobs that one page looks through for a state: then it ends early, with a cursor to go on."""

ROUNDS_LIMIT = 10_000
"""Transactions in which given-up jobs are replayed or discarded; each takes a step of them."""


def job_view(session: Session, job_id: JobId, *, scope: TenantScope, sees: Sees) -> JobView:
    """Return a job. `session` is a unit of work of `scope`, and is one again afterwards.

    Raises: JobNotFound, also for a job of a project that the caller does not see.
    """
    detail = queries.find_detail(session, job_id=job_id)
    if detail is None or not _seen(detail, sees):
        raise jobs.JobNotFound(f"job {job_id}", hint="`memoryd jobs list` shows yours")
    take_farm(session)
    standing = jobs.find_standing(session, job_id, tenant_id=scope.id)
    take_tenant(session, scope)
    return _view(_as_of(session, detail, standing), standing)


def list_jobs(
    session: Session,
    *,
    scope: TenantScope,
    sees: Sees,
    project_id: ProjectId | None = None,
    state: JobState | None = None,
    cursor: str | None = None,
    limit: int | None = None,
    alone: bool = False,
) -> Page[JobView]:
    """Return a page of jobs, newest first; `alone`: only those of no group. Raises: BadCursor, BadPageSize.

    Session as in job_view.
    """
    size, before = page_size(limit), _before(cursor)
    chunk = size if state is None else CHUNK_OF_STATE
    views: list[JobView] = []
    more = True
    for _ in range(CHUNKS_LIMIT):
        details = queries.list_details(
            session,
            sees=None if sees is None else sorted(sees),
            project_id=project_id,
            before=before,
            limit=chunk + 1,
            alone=alone,
        )
        more = len(details) > chunk
        take_farm(session)
        standings = {one.job_id: one for one in jobs.list_standings(session, [JobId(row.job_id) for row in details])}
        take_tenant(session, scope)
        for row in details[:chunk]:
            if len(views) == size:
                more = True
                break
            before = JobId(row.job_id)
            standing = standings.get(before)
            if standing is not None and (state is None or standing.state is state):
                views.append(_view(_as_of(session, row, standing), standing))
        if len(views) == size or not more:
            break
    return Page(rows=views, next_cursor=encode_cursor(str(before)) if more else None)


def list_these(session: Session, job_ids: Sequence[JobId], *, scope: TenantScope, sees: Sees) -> list[JobView]:
    """Return those of these jobs that the caller sees, newest first. Session as in job_view."""
    if not job_ids:
        return []
    details = queries.list_details(
        session,
        sees=None if sees is None else sorted(sees),
        project_id=None,
        before=None,
        limit=len(job_ids),
        only=job_ids,
    )
    take_farm(session)
    standings = {one.job_id: one for one in jobs.list_standings(session, [JobId(row.job_id) for row in details])}
    take_tenant(session, scope)
    return [_view(row, standings[row.job_id]) for row in details if row.job_id in standings]


def list_events(session: Session, job_id: JobId, *, after: int = 0) -> list[JobEventView]:
    """Return what happened to a job after a sequence number, in order."""
    return [
        JobEventView(seq=row.seq, state=row.state, at=row.at, worker=row.worker, reason=row.reason)
        for row in queries.list_events(session, job_id=job_id, after=after)
    ]


def cancel(session: Session, job_id: JobId, *, scope: TenantScope, caller: Caller) -> Cancellation:
    """Cancel a job and note who did. Session as in job_view. Raises: JobNotFound."""
    view = job_view(session, job_id, scope=scope, sees=caller.sees)
    take_farm(session)
    answer = jobs.cancel(session, job_id, tenant_id=scope.id)
    take_tenant(session, scope)
    if answer is not Cancellation.ENDED:
        gone = answer is Cancellation.CANCELLED
        state = EventState.CANCELLED if gone else EventState.CANCEL_REQUESTED
        _note(session, view, caller, state)
    return answer


def replay(session: Session, job_id: JobId, *, scope: TenantScope, caller: Caller) -> None:
    """Let a given-up job be tried again, and note who did. Session as in job_view. Raises: JobNotFound, NotDead."""
    view = job_view(session, job_id, scope=scope, sees=caller.sees)
    _note(session, view, caller, EventState.REPLAYED)
    take_farm(session)
    dead_letters.replay(session, job_id, tenant_id=scope.id)
    take_tenant(session, scope)


def discard(session: Session, job_id: JobId, *, scope: TenantScope, caller: Caller) -> None:
    """Give a given-up job up for good, and note who did. Session as in job_view. Raises: JobNotFound, NotDead."""
    view = job_view(session, job_id, scope=scope, sees=caller.sees)
    _note(session, view, caller, EventState.DISCARDED)
    take_farm(session)
    dead_letters.discard(session, job_id, tenant_id=scope.id, by=caller.name)
    take_tenant(session, scope)


def replay_all(database: Database, only: DeadFilter, *, caller: Caller) -> int:
    """Let given-up jobs that fit be tried again as batch work; return how many. Opens transactions of its own.

    Only of projects that the caller sees.
    """
    return _all_letters(
        database,
        only,
        caller,
        EventState.REPLAYED,
        lambda session, narrowed: dead_letters.replay_all(session, narrowed, tenant_id=caller.tenant.id),
    )


def discard_all(database: Database, only: DeadFilter, *, caller: Caller) -> int:
    """Give given-up jobs that fit up for good; return how many. As replay_all."""
    return _all_letters(
        database,
        only,
        caller,
        EventState.DISCARDED,
        lambda session, narrowed: dead_letters.discard_all(
            session, narrowed, tenant_id=caller.tenant.id, by=caller.name
        ),
    )


def _all_letters(
    database: Database,
    only: DeadFilter,
    caller: Caller,
    state: EventState,
    step: Callable[[Session, DeadFilter], Sequence[JobId]],
) -> int:
    sees = caller.sees
    if sees is not None and only.project_id is None:
        filters = [dataclasses.replace(only, project_id=ProjectId(project_id)) for project_id in sorted(sees)]
    else:
        filters = [only]
    total = 0
    for narrowed in filters:
        for _ in range(ROUNDS_LIMIT):
            with database.tenant_work(caller.tenant) as session:
                take_farm(session)
                done = step(session, narrowed)
                take_tenant(session, caller.tenant)
                if done:
                    queries.insert_events(session, job_ids=done, state=state)
                    facts: dict[str, Json] = {"jobs": len(done), "pool": narrowed.pool, "model": narrowed.model_set}
                    audit.note(session, caller, f"job.{state.value}-many", "jobs:dead", facts)
            total += len(done)
            if not done:
                break
    return total


def move(session: Session, job_id: JobId, *, before: JobId | None, scope: TenantScope, caller: Caller) -> int:
    """Let one of one's own waiting jobs go before another of them, or before all (None); return how many changed places.

    Session as in job_view. Raises: JobNotFound, NotMovable.
    """
    view = job_view(session, job_id, scope=scope, sees=caller.sees)
    if before is not None:
        job_view(session, before, scope=scope, sees=caller.sees)
    audit.note(session, caller, "job.move", f"job:{view.job_id}", {"before": str(before) if before else None})
    take_farm(session)
    moved = reordering.move(session, job_id, before=before, tenant_id=scope.id, person_id=caller.person_id)
    take_tenant(session, scope)
    return moved


def person_name(session: Session, view: JobView) -> str | None:
    """Return what the person who asked for a job is called."""
    return queries.find_person_name(session, person_id=view.person_id) if view.person_id is not None else None


def _note(session: Session, view: JobView, caller: Caller, state: EventState) -> None:
    queries.insert_event(session, job_id=view.job_id, state=state)
    audit.note(session, caller, f"job.{state.value}", f"job:{view.job_id}", {})
    body = {"project_id": str(view.project_id)} if view.project_id is not None else {}
    outbox.announce(session, f"job.{state.value}", view.job_id, dict(body))


def _seen(detail: queries.Found, sees: Sees) -> bool:
    return sees is None or (detail.project_id is not None and detail.project_id in sees)


def _as_of(session: Session, detail: queries.Found, standing: Standing) -> queries.Found:
    """Return a job's detail as it was when its standing was read, or later.

    State and result commit together, but are read one after the other: without this a job could show as succeeded
    with nothing made.
    """
    if standing.ended_at is None or detail.result is not None:
        return detail
    return queries.find_detail(session, job_id=standing.job_id) or detail


def _view(detail: queries.Found, standing: Standing) -> JobView:
    return JobView(
        job_id=standing.job_id,
        project_id=ProjectId(detail.project_id) if detail.project_id else None,
        person_id=PersonId(detail.person_id) if detail.person_id else None,
        kind=JobKind(detail.kind),
        name=detail.name,
        created_at=detail.created_at,
        standing=standing,
        result=detail.result,
        clearance=detail.clearance,
    )


def _before(cursor: str | None) -> JobId | None:
    found = decode_id(cursor)
    return JobId(found) if found is not None else None


def list_dead(
    session: Session, caller: Caller, only: DeadFilter, *, cursor: str | None, limit: int
) -> Page[DeadLetter]:
    """Return given-up jobs that fit, newest first, without those of projects the caller does not see.

    `session` is a unit of work of the caller's tenant, and is one again afterwards. A page may be short, or empty, and go
    on. Raises: BadCursor.
    """
    before = _before(cursor)
    take_farm(session)
    letters = dead_letters.list_dead(session, tenant_id=caller.tenant.id, before=before, limit=limit + 1, only=only)
    take_tenant(session, caller.tenant)
    shown = letters[:limit]
    more = encode_cursor(str(shown[-1].job_id)) if len(letters) > limit else None
    if caller.sees is not None:
        projects = queries.list_projects_of(session, job_ids=[letter.job_id for letter in shown])
        shown = [letter for letter in shown if projects.get(letter.job_id) in caller.sees]
    return Page(rows=shown, next_cursor=more)
