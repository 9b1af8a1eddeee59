"""Statements about parents that people declare, and about likenesses that are proposed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, exists, func, select, true, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.facts import Sees
from memoryd.access.tables import Person, Project
from memoryd.catalog.queries.listed import ID, listed
from memoryd.catalog.tables.content import Asset, AssetProject, Lineage
from memoryd.catalog.tables.decided import DeclaredParent, Proposal
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def insert_declared(session: Session, **values: object) -> bool:
    """Record that a project declares an edge; return whether it had not."""
    statement = insert(DeclaredParent).values(**values).on_conflict_do_nothing().returning(DeclaredParent.id)
    return session.scalar(statement) is not None


def delete_declared(
    session: Session, child: UUID, parent: UUID, project: UUID | None, vias: Collection[str] | None
) -> list[str]:
    """Delete what a project declared of two lines, of the ways given; return the ways. What nobody declares any more
    goes from the lineage too."""
    which = [
        DeclaredParent.child_root == child,
        DeclaredParent.parent_root == parent,
        DeclaredParent.project_id.is_not_distinct_from(project),
    ]
    if vias is not None:
        which.append(DeclaredParent.via.in_(vias))
    gone = list(session.scalars(delete(DeclaredParent).where(*which).returning(DeclaredParent.via)))
    if gone:
        still = exists().where(
            DeclaredParent.child_root == Lineage.child_root,
            DeclaredParent.parent_root == Lineage.parent_root,
            DeclaredParent.via == Lineage.via,
        )
        session.execute(
            delete(Lineage).where(
                Lineage.child_root == child, Lineage.parent_root == parent, Lineage.via.in_(gone), ~still
            )
        )
    return sorted(gone)


def list_declared(session: Session, roots: Collection[UUID], sees: Sees) -> list[AnyRow]:
    """Return what people of projects that the caller sees declared of parents or children of these lines, in order."""
    asked = listed([{"v": root} for root in roots], {"v": ID})
    seen = true() if sees is None else DeclaredParent.project_id.in_(sees)
    named = select(asked.c.v)
    return list(
        session.execute(
            select(
                *(DeclaredParent.child_root, DeclaredParent.parent_root, DeclaredParent.via, DeclaredParent.source),
                *(DeclaredParent.note, DeclaredParent.at, Project.slug.label("project")),
                Person.display_name.label("by"),
            )
            .outerjoin(Project, Project.id == DeclaredParent.project_id)
            .outerjoin(Person, Person.id == DeclaredParent.by_person)
            .where(seen, DeclaredParent.child_root.in_(named) | DeclaredParent.parent_root.in_(named))
            .order_by(DeclaredParent.id)
        )
    )


def insert_proposals(
    session: Session,
    child: UUID,
    parent: UUID,
    how: str,
    evidence: dict[str, object],
    ids: dict[UUID | None, UUID],
    state: str,
) -> int:
    """Insert a proposal for each of the projects (`ids`: project -> its proposal's id); what is there stays as it is.

    Return how many were new.
    """
    rows = [
        {
            "id": own_id,
            "child_root": child,
            "parent_root": parent,
            "project_id": project,
            "how": how,
            "evidence": evidence,
            "state": state,
        }
        for project, own_id in ids.items()
    ]
    statement = insert(Proposal).values(rows).on_conflict_do_nothing().returning(Proposal.id)
    return len(session.scalars(statement).all())


def list_owning_projects(session: Session, root: UUID) -> list[UUID]:
    """Return the projects that own an asset of a line, whatever a caller sees."""
    owners = select(AssetProject.project_id).where(AssetProject.root_id == root).distinct()
    return list(session.scalars(owners.order_by(AssetProject.project_id)))


def is_known_edge(session: Session, child: UUID, parent: UUID) -> bool:
    """Tell whether one line is recorded as made from the other, in any way."""
    return bool(session.scalar(select(exists().where(Lineage.child_root == child, Lineage.parent_root == parent))))


def _line_seen(root: Any, sees: Sees) -> ColumnElement[bool]:
    there = exists().where(Asset.root_id == root, Asset.erased_at.is_(None))
    if sees is None:
        return there
    return and_(there, exists().where(AssetProject.root_id == root, AssetProject.project_id.in_(sees)))


def list_proposals(
    session: Session, sees: Sees, parents_seen: Sees, state: str | None, before: UUID | None, limit: int
) -> list[AnyRow]:
    """Return proposals newest first: of projects that the caller sees, where both lines are seen."""
    mine = true() if sees is None else Proposal.project_id.in_(sees)
    return list(
        session.execute(
            select(Proposal, Project.slug, Person.display_name.label("by"))
            .outerjoin(Project, Project.id == Proposal.project_id)
            .outerjoin(Person, Person.id == Proposal.by_person)
            .where(
                mine,
                true() if state is None else Proposal.state == state,
                true() if before is None else Proposal.id < before,
                _line_seen(Proposal.child_root, sees),
                _line_seen(Proposal.parent_root, parents_seen),
            )
            .order_by(Proposal.id.desc())
            .limit(limit)
            .execution_options(populate_existing=True)
        )
    )


def find_proposal(session: Session, proposal: UUID, sees: Sees, parents_seen: Sees) -> Proposal | None:
    """Return a proposal, locked, or None where the caller does not see it or one of its lines."""
    mine = true() if sees is None else Proposal.project_id.in_(sees)
    return session.scalars(
        select(Proposal)
        .where(
            Proposal.id == proposal,
            mine,
            _line_seen(Proposal.child_root, sees),
            _line_seen(Proposal.parent_root, parents_seen),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()


def decide_proposal(session: Session, proposal: UUID, state: str, person: UUID | None) -> None:
    """Record what somebody decided of a proposal."""
    session.execute(
        update(Proposal)
        .where(Proposal.id == proposal)
        .values(state=state, by_person=person, decided_at=func.clock_timestamp())
    )
