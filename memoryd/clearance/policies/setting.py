"""Setting a project's policy. Every version is kept; jobs that wait for an approval are looked at again under the new one."""

from __future__ import annotations

from collections.abc import Sequence

from memoryd.access import audit, projects
from memoryd.access.changes.noting import Changed, note_change
from memoryd.access.clients.known import find_client
from memoryd.access.facts import Caller, Role, Scope
from memoryd.clearance import standing
from memoryd.clearance.facts import Use
from memoryd.clearance.occasions import read_territories
from memoryd.clearance.policies import queries
from memoryd.clearance.policies.deciding import find_policy, policy_of
from memoryd.clearance.policies.facts import DECIDES, Action, Policy
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable, NotAllowed
from memoryd.foundation.ids import ProjectId
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.foundation.reasons import checked_reason

VERSION_LIMIT = 2**31 - 1


class NobodyToAsk(NotAcceptable):
    """This role cannot be asked."""


class PolicyNotYours(NotAllowed):
    """A project's policy is set by its officers and by administrators."""


def set_policy(
    session: Session,
    caller: Caller,
    project: str,
    *,
    reason: str,
    use: Use | None = None,
    territories: Sequence[str] | None = None,
    client: str | None = None,
    on_review: Action | None = None,
    on_unknown: Action | None = None,
    on_block: Action | None = None,
    ask_role: Role | None = None,
) -> Policy:
    """Write the next version of a project's policy and return it; what is None stays as it was. `client` empty: none.

    Raises: ProjectNotFound, PolicyNotYours, ReasonMissing, NobodyToAsk, BadTerritory, ClientNotFound.
    """
    project_id = projects.find_project(session, project, caller.sees)
    check_may_set(caller, project_id)
    why = checked_reason(reason)
    if ask_role is not None and ask_role not in DECIDES:
        raise NobodyToAsk(f"{ask_role.value!r}", hint=f"ask one of {', '.join(DECIDES)}")
    version = queries.lock_newest_version(session, project_id=project_id) + 1
    before = find_policy(session, project_id)
    client_id = before.client_id if client is None else find_client(session, client).id if client else None
    queries.insert_policy(
        session,
        {
            "project_id": project_id,
            "version": version,
            "use": (use or before.use).value,
            "territories": list(before.territories if territories is None else read_territories(territories)),
            "client_id": client_id,
            "on_review": (on_review or before.on_review).value,
            "on_unknown": (on_unknown or before.on_unknown).value,
            "on_block": (on_block or before.on_block).value,
            "ask_role": (ask_role or before.ask_role).value,
            "reason": why,
            "by_person": caller.person_id,
        },
    )
    projects.name_policy(session, project_id, str(version))
    note_change(session, Changed.POLICY)
    # What its pictures are for has changed, and with it what a search says of them.
    standing.add_chores(session, caller.tenant, standing.PROJECTS, [project_id])
    after = find_policy(session, project_id)
    told: dict[str, Json] = {"version": version, "before": spelled(before), "after": spelled(after), "reason": why}
    audit.note(session, caller, "project.policy", str(project_id), told)
    return after


def show_policy(session: Session, caller: Caller, project: str) -> Policy:
    """Return a project's present policy. Raises: ProjectNotFound."""
    return find_policy(session, projects.find_project(session, project, caller.sees))


def list_versions(
    session: Session, caller: Caller, project: str, *, cursor: str | None = None, limit: int | None = None
) -> Page[Policy]:
    """Return a project's policies, the newest first. Raises: ProjectNotFound, BadCursor, BadPageSize."""
    project_id = projects.find_project(session, project, caller.sees)
    size = page_size(limit)
    before = None if cursor is None else _version_in(cursor)
    rows = queries.list_policies(session, project_id=project_id, before=before, limit=size + 1)
    return Page(
        rows=[policy_of(row) for row in rows[:size]],
        next_cursor=encode_cursor(rows[size - 1].version) if len(rows) > size else None,
    )


def _version_in(cursor: str) -> int:
    (version,) = decode_cursor(cursor, 1)
    if not isinstance(version, int) or not 0 <= version <= VERSION_LIMIT:
        raise BadCursor("the cursor is another list's", hint="start again without a cursor")
    return version


def check_may_set(caller: Caller, project_id: ProjectId) -> None:
    """Return where the caller may set a project's policy: an administrator, or an officer in it. Raises: PolicyNotYours."""
    if not may_set(caller, project_id):
        raise PolicyNotYours(
            f"{caller.name} may not", hint="ask an administrator, or an officer of the project (`memoryd people list`)"
        )


def may_set(caller: Caller, project_id: ProjectId | None) -> bool:
    """Tell whether the caller may set a project's policy."""
    own = caller.in_project.get(project_id, frozenset()) if project_id is not None else frozenset()
    return bool((caller.everywhere | own) & {Scope.ADMIN, Scope.DISCLOSE})


def spelled(policy: Policy) -> dict[str, Json]:
    """Return a policy as the audit trail keeps it."""
    return {
        "version": policy.version,
        "use": policy.use.value,
        "territories": list(policy.territories),
        "client": str(policy.client_id) if policy.client_id else None,
        "on_review": policy.on_review.value,
        "on_unknown": policy.on_unknown.value,
        "on_block": policy.on_block.value,
        "ask_role": policy.ask_role.value,
    }
