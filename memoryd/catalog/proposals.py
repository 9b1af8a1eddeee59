"""Likenesses that the memory noticed and people decide: is this a copy, a retouch, an upscale of that?

A proposal is nothing but a question: lineage has the edge only when somebody of the child's project accepted it. What was
refused is never asked again, nor is what is known.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller, Scope, Sees
from memoryd.access.roles import sees_with
from memoryd.catalog import declaring
from memoryd.catalog.asset_view import Face
from memoryd.catalog.likeness_words import seen_by
from memoryd.catalog.queries import lineage_declared as queries
from memoryd.catalog.queries import showing
from memoryd.catalog.tables.decided import Proposal
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.ids import new_id
from memoryd.foundation.paging import Page, decode_id, encode_cursor, page_size


class ProposalState(enum.StrEnum):
    """What became of a proposal."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class ProposalNotFound(NotFound):
    """There is no such proposal."""


class ProposalDecided(Conflict):
    """Somebody decided this already."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProposalView:
    """A proposal, as far as the caller sees both pictures. `evidence` is what the likeness was seen by."""

    id: UUID
    child: Face
    parent: Face
    how: str
    evidence: Mapping[str, object]
    state: ProposalState
    project: str | None
    by: str | None
    at: datetime.datetime
    decided_at: datetime.datetime | None

    @property
    def seen_by(self) -> str:
        """The evidence in words."""
        return seen_by(self.evidence)


def propose(
    session: Session, child_root: UUID, parent_root: UUID, how: str, evidence: Mapping[str, Json] | None = None
) -> bool:
    """Ask whether one line was made from another; return whether that is a new question to anybody.

    One proposal for each project that owns the child. Nothing happens where the edge is known in either direction, or
    the question was put before, whatever was decided. `evidence` is small JSON (recipe, distance).
    Raises: BadAnnotation for a way that is none.
    """
    way = declaring.checked_way(how)
    if child_root == parent_root or any(
        queries.is_known_edge(session, *edge) for edge in ((child_root, parent_root), (parent_root, child_root))
    ):
        return False
    owners: list[UUID | None] = [*queries.list_owning_projects(session, child_root)] or [None]
    ids = {project: new_id() for project in owners}
    kept: dict[str, object] = dict(evidence or {})
    new = queries.insert_proposals(session, child_root, parent_root, way, kept, ids, ProposalState.OPEN.value)
    return new > 0


def list_proposals(
    session: Session,
    caller: Caller,
    *,
    state: ProposalState | None = ProposalState.OPEN,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[ProposalView]:
    """Return proposals of the caller's projects, newest first; None of `state` is all. Raises: BadCursor, BadPageSize."""
    size = page_size(limit)
    rows = queries.list_proposals(
        session,
        caller.sees,
        sees_with(caller, Scope.READ),
        None if state is None else state.value,
        decode_id(cursor),
        size + 1,
    )
    views = _views(session, rows[:size], caller.sees, sees_with(caller, Scope.READ))
    return Page(rows=views, next_cursor=encode_cursor(str(rows[size - 1].Proposal.id)) if len(rows) > size else None)


def accept(session: Session, caller: Caller, proposal: UUID) -> None:
    """Accept a proposal: the edge is recorded for the child's project, with the source `proposal`.

    Raises: ProposalNotFound, ProposalDecided, WouldCycle.
    """
    row = _open(session, caller, proposal)
    slug = next(
        (slug for owner, slug in showing.list_owners(session, row.child_root, caller.sees) if owner == row.project_id),
        None,
    )
    child = showing.list_faces(session, {row.child_root}, caller.sees).get(row.child_root)
    parent = showing.list_faces(session, {row.parent_root}, sees_with(caller, Scope.READ)).get(row.parent_root)
    if child is None or parent is None:
        raise _not_found(proposal)
    note = f"proposal {row.id}"
    declaring.link(session, caller, child.id, parent.id, row.how, note=note, project=slug, source=declaring.PROPOSAL)
    _decide(session, caller, row, ProposalState.ACCEPTED)


def refuse(session: Session, caller: Caller, proposal: UUID) -> None:
    """Refuse a proposal: it is never put again. Raises: ProposalNotFound, ProposalDecided."""
    _decide(session, caller, _open(session, caller, proposal), ProposalState.REFUSED)


def _open(session: Session, caller: Caller, proposal: UUID) -> Proposal:
    row = queries.find_proposal(session, proposal, caller.sees, sees_with(caller, Scope.READ))
    if row is None:
        raise _not_found(proposal)
    if row.state != ProposalState.OPEN:
        raise ProposalDecided(f"it was {row.state}", hint="`memoryd link` and `memoryd unlink` change what is recorded")
    return row


def _not_found(proposal: UUID) -> ProposalNotFound:
    return ProposalNotFound(f"proposal {proposal}", hint="`memoryd proposals list` shows those that are open")


def _decide(session: Session, caller: Caller, row: Proposal, state: ProposalState) -> None:
    queries.decide_proposal(session, row.id, state.value, caller.person_id)
    facts: dict[str, Json] = {
        "child_root": str(row.child_root),
        "parent_root": str(row.parent_root),
        "how": row.how,
        "project_id": str(row.project_id) if row.project_id else None,
    }
    audit.note(session, caller, f"proposal.{state.value}", f"proposal:{row.id}", facts)


def _views(session: Session, rows: list[queries.AnyRow], sees: Sees, parents_seen: Sees) -> list[ProposalView]:
    children = showing.list_faces(session, {row.Proposal.child_root for row in rows}, sees)
    parents = showing.list_faces(session, {row.Proposal.parent_root for row in rows}, parents_seen)
    views = []
    for row in rows:
        one = row.Proposal
        if one.child_root in children and one.parent_root in parents:
            views.append(
                ProposalView(
                    id=one.id,
                    child=children[one.child_root],
                    parent=parents[one.parent_root],
                    how=one.how,
                    evidence=one.evidence,
                    state=ProposalState(one.state),
                    project=row.slug,
                    by=row.by,
                    at=one.at,
                    decided_at=one.decided_at,
                )
            )
    return views
