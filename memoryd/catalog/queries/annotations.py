"""Statements that attach what people say to lines, per project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, true
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.facts import Sees
from memoryd.access.tables import Project
from memoryd.catalog.tables.attached import Approval, AssetTag, Collection, CollectionItem, Note, Rating, Tag
from memoryd.foundation.database import Session


def ensure_named(session: Session, table: type[Tag] | type[Collection], own_id: UUID, project: UUID, name: str) -> UUID:
    """Return the id of a project's tag or collection, making it where it is not there."""
    session.execute(
        insert(table)
        .values(id=own_id, project_id=project, name=name)
        .on_conflict_do_nothing(index_elements=[table.project_id, table.name])
    )
    return session.scalars(select(table.id).where(table.project_id == project, table.name == name)).one()


def insert_tag(session: Session, own_id: UUID, project: UUID, name: str, root: UUID, person: UUID | None) -> bool:
    """Hang a tag on a line; return whether it did not hang there."""
    tag = ensure_named(session, Tag, own_id, project, name)
    statement = insert(AssetTag).values(tag_id=tag, root_id=root, by_person=person).on_conflict_do_nothing()
    return session.scalar(statement.returning(AssetTag.root_id)) is not None


def delete_tag(session: Session, project: UUID, name: str, root: UUID) -> bool:
    """Take a tag off a line; return whether it hung there."""
    tag = select(Tag.id).where(Tag.project_id == project, Tag.name == name).scalar_subquery()
    statement = delete(AssetTag).where(AssetTag.tag_id == tag, AssetTag.root_id == root)
    return session.scalar(statement.returning(AssetTag.root_id)) is not None


def write_rating(session: Session, project: UUID, root: UUID, stars: int, person: UUID | None) -> None:
    """Rate a line; the rating before is replaced."""
    given = insert(Rating).values(project_id=project, root_id=root, stars=stars, by_person=person)
    session.execute(
        given.on_conflict_do_update(
            index_elements=[Rating.project_id, Rating.root_id],
            set_={"stars": stars, "by_person": person, "at": func.clock_timestamp()},
        )
    )


def delete_rating(session: Session, project: UUID, root: UUID) -> bool:
    """Take a rating away; return whether there was one."""
    statement = delete(Rating).where(Rating.project_id == project, Rating.root_id == root)
    return session.scalar(statement.returning(Rating.root_id)) is not None


def insert_note(session: Session, **values: object) -> None:
    """Add a remark to a line."""
    session.execute(insert(Note).values(**values))


def copy_notes(session: Session, root: UUID, project: UUID, target: UUID, ids: Sequence[UUID]) -> int:
    """Copy a project's remarks on a line to another, with who wrote them and when; return how many. Again is no change."""
    copied = 0
    notes = session.execute(
        select(Note.asset_id, Note.text, Note.by_person, Note.at)
        .where(Note.root_id == root, Note.project_id == project)
        .order_by(Note.id)
    ).all()
    held = session.execute(select(Note.text, Note.at).where(Note.root_id == root, Note.project_id == target))
    there = {(text, at) for text, at in held}
    for own_id, note in zip(ids, notes, strict=False):
        if (note.text, note.at) not in there:
            values = {"asset_id": note.asset_id, "text": note.text, "by_person": note.by_person, "at": note.at}
            session.execute(insert(Note).values(id=own_id, project_id=target, root_id=root, **values))
            copied += 1
    return copied


def insert_item(session: Session, own_id: UUID, project: UUID, name: str, root: UUID, person: UUID | None) -> bool:
    """Put a line into a collection; return whether it was not in it."""
    collection = ensure_named(session, Collection, own_id, project, name)
    item = insert(CollectionItem).values(collection_id=collection, root_id=root, by_person=person)
    return session.scalar(item.on_conflict_do_nothing().returning(CollectionItem.root_id)) is not None


def delete_item(session: Session, project: UUID, name: str, root: UUID) -> bool:
    """Take a line out of a collection; return whether it was in it."""
    collection = select(Collection.id).where(Collection.project_id == project, Collection.name == name)
    statement = delete(CollectionItem).where(
        CollectionItem.collection_id == collection.scalar_subquery(), CollectionItem.root_id == root
    )
    return session.scalar(statement.returning(CollectionItem.root_id)) is not None


def write_approval(
    session: Session, project: UUID, root: UUID, asset: UUID, state: str, comment: str | None, person: UUID | None
) -> None:
    """Record what a project decided about a line; the decision before is replaced (the audit trail keeps it)."""
    values = {"asset_id": asset, "state": state, "comment": comment, "by_person": person}
    given = insert(Approval).values(project_id=project, root_id=root, **values)
    session.execute(
        given.on_conflict_do_update(
            index_elements=[Approval.project_id, Approval.root_id], set_={**values, "at": func.clock_timestamp()}
        )
    )


def delete_approval(session: Session, project: UUID, root: UUID) -> bool:
    """Take a decision back; return whether there was one."""
    statement = delete(Approval).where(Approval.project_id == project, Approval.root_id == root)
    return session.scalar(statement.returning(Approval.root_id)) is not None


def list_tags(session: Session, sees: Sees, limit: int) -> list[Row[Any]]:
    """Return (project slug, name, count) of tags in use, the most used first."""
    seen = true() if sees is None else Tag.project_id.in_(sees)
    count = func.count(AssetTag.root_id).label("lines")
    return list(
        session.execute(
            select(Project.slug, Tag.name, count)
            .join(Tag, Tag.project_id == Project.id)
            .join(AssetTag, AssetTag.tag_id == Tag.id)
            .where(seen)
            .group_by(Project.slug, Tag.name)
            .order_by(count.desc(), Project.slug, Tag.name)
            .limit(limit)
        )
    )


def list_collections(session: Session, sees: Sees, limit: int) -> list[Row[Any]]:
    """Return (project slug, name, count) of collections, by project and name."""
    seen = true() if sees is None else Collection.project_id.in_(sees)
    return list(
        session.execute(
            select(Project.slug, Collection.name, func.count(CollectionItem.root_id).label("lines"))
            .join(Collection, Collection.project_id == Project.id)
            .outerjoin(CollectionItem, CollectionItem.collection_id == Collection.id)
            .where(seen)
            .group_by(Project.slug, Collection.name)
            .order_by(Project.slug, Collection.name)
            .limit(limit)
        )
    )
