"""Groups as people see them, and what people do to them."""

from __future__ import annotations

from collections.abc import Callable

from memoryd.access import audit
from memoryd.access.facts import Caller, Sees
from memoryd.dispatch import groups, jobs
from memoryd.dispatch.facts import GroupView
from memoryd.dispatch.states import ENDED
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.ids import GroupId, JobId, PersonId, ProjectId
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, decode_id, encode_cursor, page_size
from memoryd.submission.grouping import queries
from memoryd.submission.grouping.facts import GroupShown, ItemShown

ROUNDS_LIMIT = 1_000
"""Transactions in which a group is cancelled or renewed; each takes a step of its items."""


def show_group(session: Session, group_id: GroupId, *, scope: TenantScope, sees: Sees) -> GroupShown:
    """Return a group and how far it is. `session` is a unit of work of `scope`, and is one again afterwards.

    Raises: GroupNotFound, also for a group of a project that the caller does not see.
    """
    take_farm(session)
    view = _seen(groups.find(session, group_id, tenant_id=scope.id), sees)
    progress = groups.progress(session, group_id, tenant_id=scope.id)
    take_tenant(session, scope)
    return GroupShown(
        group=view,
        progress=progress,
        there=queries.count_items(session, group_id=group_id),
        inputs=tuple(queries.find_inputs(session, group_id=group_id)),
    )


def list_groups(
    session: Session,
    *,
    scope: TenantScope,
    sees: Sees,
    project_id: ProjectId | None = None,
    person_id: PersonId | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[GroupView]:
    """Return a page of groups, newest first; `person_id`: that person's. Raises: BadCursor, BadPageSize."""
    size = page_size(limit)
    before = decode_id(cursor)
    seen = [project_id] if project_id is not None else None if sees is None else sorted(sees)
    take_farm(session)
    found = groups.list_groups(
        session,
        tenant_id=scope.id,
        projects=seen,
        person_id=person_id,
        before=GroupId(before) if before else None,
        limit=size + 1,
    )
    take_tenant(session, scope)
    more = encode_cursor(str(found[size - 1].id)) if len(found) > size else None
    return Page(rows=found[:size], next_cursor=more)


def list_items(
    session: Session,
    group_id: GroupId,
    *,
    scope: TenantScope,
    sees: Sees,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[ItemShown]:
    """Return a page of a group's items, in order. Raises: GroupNotFound, BadCursor, BadPageSize."""
    size = page_size(limit)
    after = decode_cursor(cursor, 1)[0] if cursor else -1
    if not isinstance(after, int):
        raise BadCursor("the cursor names no item", hint="start again without a cursor")
    take_farm(session)
    _seen(groups.find(session, group_id, tenant_id=scope.id), sees)
    take_tenant(session, scope)
    rows = queries.list_items(session, group_id=group_id, after=after, limit=size + 1)
    take_farm(session)
    standings = {one.job_id: one for one in jobs.list_standings(session, [JobId(row.job_id) for row in rows])}
    take_tenant(session, scope)
    items = [
        ItemShown(
            number=row.item_no,
            job_id=JobId(row.job_id),
            state=standings[JobId(row.job_id)].state.value,
            values=row.item or {},
            result=row.result,
        )
        for row in rows[:size]
        if JobId(row.job_id) in standings
    ]
    return Page(rows=items, next_cursor=encode_cursor(rows[size - 1].item_no) if len(rows) > size else None)


def pause(session: Session, group_id: GroupId, *, caller: Caller) -> bool:
    """Let a group's jobs wait; False where they do. Raises: GroupNotFound, GroupCancelled."""
    return _change(session, group_id, caller, "group.pause", groups.pause)


def resume(session: Session, group_id: GroupId, *, caller: Caller) -> bool:
    """Let a group's jobs go on; False where they did. Raises: GroupNotFound, GroupCancelled."""
    return _change(session, group_id, caller, "group.resume", groups.resume)


def cancel(database: Database, group_id: GroupId, *, caller: Caller) -> int:
    """Cancel what of a group has not ended, in transactions of its own; return how many that were. Raises: GroupNotFound."""
    scope = caller.tenant
    with database.farm_work() as session:
        _seen(groups.find(session, group_id, tenant_id=scope.id), caller.sees)
        counts = groups.progress(session, group_id, tenant_id=scope.id).counts
    _in_steps(database, group_id, caller, "group.cancel", groups.cancel)
    return sum(count for state, count in counts.items() if state not in ENDED)


def retry_missing(database: Database, group_id: GroupId, *, caller: Caller) -> int:
    """Let the items run again that ended without a result, in transactions of its own; return how many.

    Raises: GroupNotFound.
    """
    return _in_steps(database, group_id, caller, "group.retry", groups.retry_missing)


def _change(session: Session, group_id: GroupId, caller: Caller, action: str, change: Callable[..., bool]) -> bool:
    scope = caller.tenant
    take_farm(session)
    view = _seen(groups.find(session, group_id, tenant_id=scope.id), caller.sees)
    take_tenant(session, scope)
    _note(session, caller, view, action, {})
    # The queue's rows last: they are locked until the commit.
    take_farm(session)
    changed = change(session, group_id, tenant_id=scope.id)
    take_tenant(session, scope)
    return changed


def _in_steps(database: Database, group_id: GroupId, caller: Caller, action: str, step: Callable[..., int]) -> int:
    scope, total = caller.tenant, 0
    with database.tenant_work(scope) as session:
        take_farm(session)
        view = _seen(groups.find(session, group_id, tenant_id=scope.id), caller.sees)
        take_tenant(session, scope)
        _note(session, caller, view, action, {})
    for _ in range(ROUNDS_LIMIT):
        with database.farm_work() as session:
            done = step(session, group_id, tenant_id=scope.id)
        total += done
        if not done:
            break
    return total


def _note(session: Session, caller: Caller, view: GroupView, action: str, facts: dict[str, Json]) -> None:
    audit.note(session, caller, action, f"group:{view.id}", facts)
    body: dict[str, Json] = {"project_id": str(view.project_id)} if view.project_id is not None else {}
    outbox.announce(session, action, view.id, body)


def _seen(view: GroupView, sees: Sees) -> GroupView:
    if sees is not None and view.project_id not in sees:
        raise groups.GroupNotFound(f"group {view.id}", hint="`memoryd groups list` shows yours")
    return view
