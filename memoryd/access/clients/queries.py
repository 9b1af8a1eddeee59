"""Every statement about clients and deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.tables import Client, Delivery, DeliveryItem, Project
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
"""A row whose columns are read by name."""


def insert_client(session: Session, *, client_id: UUID, name: str, facts: Mapping[str, object]) -> bool:
    """Return whether it was inserted; False where the name is taken."""
    statement = insert(Client).values(id=client_id, name=name, facts=dict(facts)).on_conflict_do_nothing()
    return session.execute(statement.returning(Client.id)).first() is not None


def list_clients(
    session: Session, sees: Sequence[UUID] | None, *, name: str | None = None, client_id: UUID | None = None
) -> Sequence[AnyRow]:
    """Return clients, by name, with the slugs of their projects; those of these projects or their deliveries alone."""
    own = select(Project.slug).where(Project.client_id == Client.id)
    if sees is not None:
        own = own.where(Project.id.in_(sees))
    projects = func.array(own.order_by(Project.slug).scalar_subquery()).label("projects")
    statement = select(Client.id, Client.name, Client.facts, Client.created_at, projects)
    if sees is not None:
        of_projects = select(Project.client_id).where(Project.id.in_(sees), Project.client_id.is_not(None))
        of_deliveries = select(Delivery.client_id).where(Delivery.project_id.in_(sees), Delivery.client_id.is_not(None))
        statement = statement.where(Client.id.in_(of_projects.union(of_deliveries)))
    if name is not None:
        statement = statement.where(Client.name == name)
    if client_id is not None:
        statement = statement.where(Client.id == client_id)
    return session.execute(statement.order_by(Client.name)).all()


def lock_client(session: Session, client_id: UUID) -> dict[str, object]:
    """Return a client's facts, locked."""
    return session.execute(select(Client.facts).where(Client.id == client_id).with_for_update()).scalar_one()


def update_client(session: Session, client_id: UUID, facts: Mapping[str, object]) -> None:
    """Set a client's facts."""
    session.execute(update(Client).where(Client.id == client_id).values(facts=dict(facts)))


def set_client_of(session: Session, project_id: UUID, client_id: UUID | None) -> None:
    """Say for whom a project works."""
    session.execute(update(Project).where(Project.id == project_id).values(client_id=client_id))


def find_client_of(session: Session, project_id: UUID) -> UUID | None:
    """Return for whom a project works."""
    return session.execute(select(Project.client_id).where(Project.id == project_id)).scalar_one_or_none()


def insert_delivery(session: Session, **columns: object) -> None:
    """Write a delivery."""
    session.execute(insert(Delivery).values(**columns))


def list_deliveries(
    session: Session,
    sees: Sequence[UUID] | None,
    *,
    delivery_id: UUID | None = None,
    name: str | None = None,
    project_id: UUID | None = None,
    before: UUID | None = None,
    limit: int | None = None,
) -> Sequence[AnyRow]:
    """Return deliveries of these projects, newest first, with what they are called and how much is in them."""
    items = (
        select(func.count())
        .select_from(DeliveryItem)
        .where(DeliveryItem.delivery_id == Delivery.id)
        .scalar_subquery()
        .label("items")
    )
    statement = (
        select(*Delivery.__table__.c, Project.slug.label("project"), Client.name.label("client"), items)
        .join(Project, Project.id == Delivery.project_id)
        .outerjoin(Client, Client.id == Delivery.client_id)
    )
    for column, value in ((Delivery.id, delivery_id), (Delivery.name, name), (Delivery.project_id, project_id)):
        if value is not None:
            statement = statement.where(column == value)
    if sees is not None:
        statement = statement.where(Delivery.project_id.in_(sees))
    if before is not None:
        statement = statement.where(Delivery.id < before)
    return session.execute(statement.order_by(Delivery.id.desc()).limit(limit)).all()


def lock_delivery(session: Session, delivery_id: UUID) -> str:
    """Return a delivery's state, locked: whoever adds waits for whoever freezes."""
    return session.execute(select(Delivery.state).where(Delivery.id == delivery_id).with_for_update()).scalar_one()


def freeze_delivery(session: Session, delivery_id: UUID, state: str) -> None:
    """Note that a delivery was handed over."""
    session.execute(
        update(Delivery)
        .where(Delivery.id == delivery_id)
        .values(state=state, frozen_at=func.coalesce(Delivery.frozen_at, func.clock_timestamp()))
    )


def insert_items(session: Session, rows: Sequence[Mapping[str, object]]) -> int:
    """Add assets to a delivery; return how many were not in it yet."""
    if not rows:
        return 0
    statement = insert(DeliveryItem).values(list(rows)).on_conflict_do_nothing().returning(DeliveryItem.asset_id)
    return len(session.execute(statement).all())


def list_items(
    session: Session, delivery_id: UUID, *, after: tuple[UUID, UUID] | None, limit: int
) -> Sequence[tuple[UUID, UUID]]:
    """Return (root, asset) of a delivery's items, in order."""
    statement = select(DeliveryItem.root_id, DeliveryItem.asset_id).where(DeliveryItem.delivery_id == delivery_id)
    if after is not None:
        statement = statement.where(tuple_(DeliveryItem.root_id, DeliveryItem.asset_id) > after)
    rows = session.execute(statement.order_by(DeliveryItem.root_id, DeliveryItem.asset_id).limit(limit))
    return [(row.root_id, row.asset_id) for row in rows]
