"""What people say of how pictures came to be, where no file says it: parents here, attestations in `attesting`.

What is declared hangs on a project, as all that people attach (INV-6), and never overrides what a file or job says (INV-3).
"""

from __future__ import annotations

import re
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller, Scope, Sees
from memoryd.access.roles import sees_with
from memoryd.catalog.annotations import NOTE_LIMIT, BadAnnotation, ProjectUnclear
from memoryd.catalog.lineage import VIA_INPUT, add_edges
from memoryd.catalog.looking_up import AssetNotFound, check_seen
from memoryd.catalog.queries import lineage_declared as queries
from memoryd.catalog.queries import showing
from memoryd.events.outbox import announce
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import AssetId, ProjectId, new_id
from memoryd.foundation.texts import storable

DECLARED = "declared"
"""The source of an edge that a person stated."""

PROPOSAL = "proposal"
"""The source of an edge that the memory proposed and a person accepted."""

WAYS = ("retouched", "upscaled", "cropped", "composited", "edited", "graded", "animated", "copied", "reworked")
"""How pictures are made from others, as people say it; another word of the same form is taken as well."""

_WAY = re.compile(r"[a-z][a-z0-9-]{0,39}")


class WouldCycle(Conflict):
    """A picture cannot be made from itself, nor from what was made from it."""


def checked_way(how: str) -> str:
    """Return a way as it is kept. Raises: BadAnnotation."""
    way = how.strip().lower()
    if not _WAY.fullmatch(way) or way == VIA_INPUT:
        raise BadAnnotation(f"{how[:80]!r} is no way", hint=f"one word, such as {', '.join(WAYS)}")
    return way


def remark(note: str | None) -> str | None:
    """Return a remark as it is kept, None for an empty one. Raises: BadAnnotation beyond NOTE_LIMIT."""
    clean = storable((note or "").strip())[0]
    if len(clean) > NOTE_LIMIT:
        raise BadAnnotation(f"{len(clean)} characters", hint=f"at most {NOTE_LIMIT}")
    return clean or None


def project_of(session: Session, caller: Caller, root: UUID, project: str | None) -> ProjectId | None:
    """Return the project for which something is said of a line: the one named, else the line's only one.

    None only for a line that no project owns, where the caller sees the whole tenant. Raises: ProjectUnclear.
    """
    owners = showing.list_owners(session, root, caller.sees)
    fitting = [owner for owner, slug in owners if project is None or slug == project]
    if len(fitting) == 1:
        return ProjectId(fitting[0])
    if fitting:
        several = ", ".join(slug for _, slug in owners)
        raise ProjectUnclear(f"it belongs to {several}", hint=f"name one of them: {several}")
    if project is None and caller.sees is None:
        return None
    raise ProjectUnclear(
        "it does not belong to that project", hint="name one of the projects that `memoryd show` lists"
    )


def root_of(session: Session, asset_id: AssetId, sees: Sees) -> UUID:
    """Return the line of an asset that the caller sees. Raises: AssetNotFound."""
    check_seen(session, asset_id, sees)
    root = showing.find_root_of(session, asset_id)
    if root is None:
        raise AssetNotFound(f"asset {asset_id}", hint="`memoryd search` finds assets")
    return root


def link(
    session: Session,
    caller: Caller,
    child: AssetId,
    parent: AssetId,
    how: str,
    *,
    note: str | None = None,
    project: str | None = None,
    source: str = DECLARED,
) -> bool:
    """Record that a person says one picture was made from another; return whether their project had not said so.

    The caller must see the parent, and annotate in the child's project. Raises: AssetNotFound, ProjectUnclear,
    BadAnnotation, WouldCycle.
    """
    way, text = checked_way(how), remark(note)
    child_root, parent_root = _lines(session, caller, child, parent)
    owner = project_of(session, caller, child_root, project)
    if child_root == parent_root:
        raise WouldCycle("both are the same picture", hint="versions of one picture are a line already")
    if _refused(session, child_root, parent_root, way):
        raise WouldCycle(
            "the parent was made from the child", hint="`memoryd lineage` shows the family; unlink there first"
        )
    added = queries.insert_declared(
        session,
        id=new_id(),
        child_root=child_root,
        parent_root=parent_root,
        via=way,
        project_id=owner,
        source=source,
        note=text,
        by_person=caller.person_id,
    )
    if added:
        _tell(
            session, caller, "asset.link", child, owner, {"parent_root": str(parent_root), "how": way, "source": source}
        )
    return added


def unlink(
    session: Session,
    caller: Caller,
    child: AssetId,
    parent: AssetId,
    how: str | None = None,
    *,
    project: str | None = None,
) -> list[str]:
    """Take back what a project declared of two pictures (all ways where `how` is None); return the ways taken back.

    What files or jobs say stays. Raises as `link`.
    """
    ways = None if how is None else [checked_way(how)]
    child_root, parent_root = _lines(session, caller, child, parent)
    owner = project_of(session, caller, child_root, project)
    gone = queries.delete_declared(session, child_root, parent_root, owner, ways)
    if gone:
        _tell(session, caller, "asset.unlink", child, owner, {"parent_root": str(parent_root), "how": [*gone]})
    return gone


def _lines(session: Session, caller: Caller, child: AssetId, parent: AssetId) -> tuple[UUID, UUID]:
    return root_of(session, child, caller.sees), root_of(session, parent, sees_with(caller, Scope.READ))


def _refused(session: Session, child: UUID, parent: UUID, way: str) -> bool:
    # INV-6: an edge known in another way closes no new circle, and is added beside it.
    return bool(add_edges(session, {(child, parent)}, way))


def _tell(
    session: Session, caller: Caller, action: str, asset: AssetId, project: ProjectId | None, facts: dict[str, Json]
) -> None:
    about: dict[str, Json] = {**facts, "project_id": str(project) if project else None}
    audit.note(session, caller, action, str(asset), about)
    announce(session, action, asset, about)
