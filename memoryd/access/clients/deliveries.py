"""Deliveries: what is handed to a client at one time, and stays as it was once it is frozen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from memoryd.access import audit
from memoryd.access.clients import queries
from memoryd.access.clients.facts import DeliveryItemView, DeliveryState, DeliveryView
from memoryd.access.facts import Caller, Sees
from memoryd.access.names import checked_shown_name
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound, TooLarge
from memoryd.foundation.ids import AssetId, ProjectId, new_id, parse_id
from memoryd.foundation.paging import Page, decode_id, encode_cursor, page_size
from memoryd.foundation.texts import storable

ITEMS_AT_ONCE = 1_000
"""Assets that are added to a delivery in one unit of work."""

ITEMS_READ = 5_000
"""Items read in one statement."""


class DeliveryNotFound(NotFound):
    """There is no such delivery."""


class DeliveryAmbiguous(Conflict):
    """Several deliveries have this name."""


class DeliveryFrozen(Conflict):
    """It was handed over and stays as it is."""


class TooManyItems(TooLarge):
    """So many assets are not added at once."""


def create_delivery(session: Session, caller: Caller, project: ProjectId, name: str, client_id: UUID | None) -> UUID:
    """Begin a delivery of a project and return its id; without a client it is the project's own. Raises: BadName."""
    shown, made = checked_shown_name(name), new_id()
    for_whom = client_id if client_id is not None else queries.find_client_of(session, project)
    queries.insert_delivery(
        session, id=made, client_id=for_whom, project_id=project, name=shown, state=DeliveryState.OPEN.value
    )
    told: dict[str, Json] = {"name": shown, "project": str(project), "client": str(for_whom) if for_whom else None}
    audit.note(session, caller, "delivery.create", str(made), told)
    return made


def find_delivery(session: Session, ref: str, sees: Sees) -> DeliveryView:
    """Return the delivery with this id or name.

    Raises: DeliveryNotFound, also for one of a project that the caller does not see; DeliveryAmbiguous.
    """
    id_ = parse_id(ref)
    rows = [] if id_ is None else queries.list_deliveries(session, _only(sees), delivery_id=id_)
    if not rows:
        rows = queries.list_deliveries(session, _only(sees), name=storable(ref.strip())[0], limit=2)
    if not rows:
        raise DeliveryNotFound(f"delivery {ref[:80]!r}", hint="`memoryd deliveries list` shows yours")
    if len(rows) > 1:
        raise DeliveryAmbiguous(f"{ref[:80]!r}", hint="name it by its id: `memoryd deliveries list`")
    return _view(rows[0])


def list_deliveries(
    session: Session,
    sees: Sees,
    *,
    project: ProjectId | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[DeliveryView]:
    """Return a page of deliveries, newest first. Raises: BadCursor, BadPageSize."""
    size, before = page_size(limit), decode_id(cursor)
    rows = queries.list_deliveries(session, _only(sees), project_id=project, before=before, limit=size + 1)
    return Page(
        rows=[_view(row) for row in rows[:size]],
        next_cursor=encode_cursor(str(rows[size - 1].id)) if len(rows) > size else None,
    )


def add_items(session: Session, caller: Caller, delivery: DeliveryView, items: Sequence[DeliveryItemView]) -> int:
    """Add assets to a delivery and return how many are new in it. Raises: DeliveryFrozen, TooManyItems."""
    if len(items) > ITEMS_AT_ONCE:
        raise TooManyItems(f"{len(items)} assets", hint=f"{ITEMS_AT_ONCE} at once (ITEMS_AT_ONCE); add the rest after")
    if queries.lock_delivery(session, delivery.id) != DeliveryState.OPEN:
        raise DeliveryFrozen(f"{delivery.name[:80]!r}", hint="begin another one: `memoryd deliveries create`")
    new = queries.insert_items(
        session, [{"delivery_id": delivery.id, "root_id": item.root_id, "asset_id": item.asset_id} for item in items]
    )
    if new:
        audit.note(
            session, caller, "delivery.add", str(delivery.id), {"assets": [str(item.asset_id) for item in items]}
        )
    return new


def freeze_delivery(session: Session, caller: Caller, delivery: DeliveryView) -> None:
    """Note that it was handed over; the second time changes nothing."""
    if queries.lock_delivery(session, delivery.id) == DeliveryState.OPEN:
        queries.freeze_delivery(session, delivery.id, DeliveryState.FROZEN.value)
        audit.note(session, caller, "delivery.freeze", str(delivery.id), {"assets": delivery.items})


def items_of(session: Session, delivery_id: UUID) -> Iterator[DeliveryItemView]:
    """Yield what is in a delivery. Who may see it is for the caller to check."""
    after = None
    while rows := queries.list_items(session, delivery_id, after=after, limit=ITEMS_READ):
        for root, asset in rows:
            yield DeliveryItemView(asset_id=AssetId(asset), root_id=AssetId(root))
        after = rows[-1]


def _only(sees: Sees) -> list[ProjectId] | None:
    return None if sees is None else sorted(sees)


def _view(row: queries.AnyRow) -> DeliveryView:
    return DeliveryView(
        id=row.id,
        name=row.name,
        project_id=ProjectId(row.project_id),
        project=row.project,
        client_id=row.client_id,
        client=row.client,
        state=DeliveryState(row.state),
        items=row.items,
        created_at=row.created_at,
        frozen_at=row.frozen_at,
    )
