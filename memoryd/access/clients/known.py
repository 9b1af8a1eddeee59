"""Clients: added, listed, shown, and what is told of them."""

from __future__ import annotations

import dataclasses
from uuid import UUID

from memoryd.access import audit
from memoryd.access.changes.noting import Changed, note_change
from memoryd.access.clients import queries
from memoryd.access.clients.facts import ClientView, PartyFacts
from memoryd.access.facts import Caller, Sees
from memoryd.access.names import checked_shown_name
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.ids import ProjectId, new_id, parse_id
from memoryd.foundation.texts import storable


class ClientNotFound(NotFound):
    """There is no such client."""


class ClientExists(Conflict):
    """There is a client of this name."""


def add_client(session: Session, caller: Caller, name: str, facts: PartyFacts) -> UUID:
    """Record a client and return its id. Raises: BadName, ClientExists."""
    shown = checked_shown_name(name)
    made = new_id()
    if not queries.insert_client(session, client_id=made, name=shown, facts=facts.as_json()):
        raise ClientExists(f"{shown[:80]!r}", hint="change what is known of it with `memoryd clients set`")
    audit.note(session, caller, "client.add", str(made), {"name": shown, **facts.as_json()})
    return made


def find_client(session: Session, ref: str, sees: Sees = None) -> ClientView:
    """Return the client with this id or name. Raises: ClientNotFound, also for one that the caller does not see."""
    id_ = parse_id(ref)
    found = _views(session, sees, client_id=id_) if id_ is not None else []
    found = found or _views(session, sees, name=storable(ref.strip())[0])
    if not found:
        raise ClientNotFound(f"client {ref[:80]!r}", hint="`memoryd clients list` shows yours")
    return found[0]


def list_clients(session: Session, sees: Sees = None) -> list[ClientView]:
    """Return the clients of which the caller sees a project or a delivery, by name."""
    return _views(session, sees)


def set_facts(session: Session, caller: Caller, client: ClientView, changes: dict[str, object]) -> PartyFacts:
    """Change what is told of a client (members of PartyFacts); what is not named stays. Return the facts as they are now."""
    before = PartyFacts.read(queries.lock_client(session, client.id))
    after = dataclasses.replace(before, **changes)  # type: ignore[arg-type]
    if after != before:
        queries.update_client(session, client.id, after.as_json())
        note_change(session, Changed.CLIENT)
        told: dict[str, Json] = {"name": client.name, "before": before.as_json(), "after": after.as_json()}
        audit.note(session, caller, "client.set", str(client.id), told)
    return after


def set_client_of(session: Session, caller: Caller, project: ProjectId, client: ClientView | None) -> None:
    """Say for whom a project works; None: for nobody."""
    queries.set_client_of(session, project, None if client is None else client.id)
    note_change(session, Changed.CLIENT)
    audit.note(session, caller, "project.client", str(project), {"client": None if client is None else str(client.id)})


def client_of(session: Session, project: ProjectId) -> UUID | None:
    """Return for whom a project works; None: nobody said."""
    return queries.find_client_of(session, project)


def _views(session: Session, sees: Sees, *, name: str | None = None, client_id: UUID | None = None) -> list[ClientView]:
    rows = queries.list_clients(session, None if sees is None else sorted(sees), name=name, client_id=client_id)
    return [
        ClientView(
            id=row.id,
            name=row.name,
            facts=PartyFacts.read(row.facts),
            projects=tuple(row.projects),
            created_at=row.created_at,
        )
        for row in rows
    ]
