"""People and their roles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from memoryd.access import queries, remembering, sealing
from memoryd.access.facts import MembershipView, PersonView, Role
from memoryd.access.names import checked_login, checked_shown_name
from memoryd.access.roles import Rights, rights_of
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.ids import PersonId, ProjectId, new_id
from memoryd.foundation.texts import storable

LOCAL_LOGIN = "local"
"""Who asks on loopback without any proof, where the settings allow it."""


class PersonNotFound(NotFound):
    """There is no such person."""


class LastAdmin(Conflict):
    """A tenant keeps at least one person who may administer it."""


def ensure_person(session: Session, login: str, display_name: str) -> PersonId:
    """Return the person's id, recording them where they are not known. They have no role yet. Raises: BadName."""
    login, shown = checked_login(login), checked_shown_name(display_name)
    made = new_id()
    if queries.insert_person(session, person_id=made, login=login, display_name=shown):
        return PersonId(made)
    return find_person(session, login)


def find_person(session: Session, login: str) -> PersonId:
    """Return a person's id. Raises: PersonNotFound."""
    row = queries.find_person(session, storable(login.lower())[0])
    if row is None:
        raise PersonNotFound(f"login {login[:80]!r}", hint="`memoryd people list` shows everybody")
    return PersonId(row.id)


def grant_role(session: Session, person: PersonId, role: Role, project: ProjectId | None = None) -> None:
    """Give a person a role in a project, or in the whole tenant; it replaces the one they had there.

    Raises: LastAdmin where nobody would be left who may administer the tenant.
    """
    if project is None and role is not Role.ADMIN:
        _keep_an_admin(session, person)
    remembering.forget(session)
    queries.upsert_membership(session, membership_id=new_id(), person_id=person, project_id=project, role=role)


def withdraw_role(session: Session, person: PersonId, project: ProjectId | None = None) -> bool:
    """Take a person's role in a project, or in the whole tenant, away; return whether they had one.

    Raises: LastAdmin.
    """
    if project is None:
        _keep_an_admin(session, person)
    remembering.forget(session)
    return queries.delete_membership(session, person_id=person, project_id=project)


def list_people(session: Session) -> list[PersonView]:
    """Return everybody with their roles, by login."""
    return _views(session, queries.list_people(session))


def show_person_by_id(session: Session, person: PersonId) -> PersonView:
    """Return one person with their roles. Raises: PersonNotFound, also for one who was erased."""
    row = queries.find_person_by_id(session, person)
    if row is None:
        raise PersonNotFound("this person was erased")
    return _views(session, [row])[0]


def rights_of_person(session: Session, person: PersonId) -> Rights:
    """Return what a person may do now."""
    return rights_of(_memberships(session, [person])[person])


def set_email(session: Session, keys: Path, person: PersonId, address: str) -> None:
    """Keep a person's address, sealed under their key. `keys` is the folder of key files."""
    key = sealing.person_keys(session, keys, [person])[person]
    if key is not None:
        queries.set_email(session, person, sealing.seal(key, address.encode(), about=b"email" + person.bytes))


def erase_person(session: Session, person: PersonId) -> None:
    """Make a person unknown: names, proofs and the key of their sealed parts are destroyed, what they did stays.

    The audit trail keeps its hashes: entries show that somebody acted, and no longer who. Raises: LastAdmin.
    """
    _keep_an_admin(session, person)
    unknown = f"erased-{person.hex}"
    remembering.forget(session)
    queries.erase_person(session, person, login=unknown, display_name="erased")
    queries.destroy_person_key(session, person)


def _views(session: Session, rows: Sequence[queries.AnyRow]) -> list[PersonView]:
    memberships = _memberships(session, [row.id for row in rows])
    return [
        PersonView(
            id=PersonId(row.id),
            login=row.login,
            display_name=row.display_name,
            memberships=tuple(memberships[row.id]),
            created_at=row.created_at,
        )
        for row in rows
    ]


def _keep_an_admin(session: Session, person: PersonId) -> None:
    admins = queries.lock_tenant_wide_memberships(session, Role.ADMIN)
    if admins == [person]:
        raise LastAdmin("this person is the last one", hint="make somebody else admin of the tenant first")


def _memberships(session: Session, people: Sequence[UUID]) -> defaultdict[UUID, list[MembershipView]]:
    found: defaultdict[UUID, list[MembershipView]] = defaultdict(list)
    for row in queries.list_memberships(session, people):
        found[row.person_id].append(MembershipView(role=Role(row.role), project=row.slug, project_id=row.project_id))
    return found
