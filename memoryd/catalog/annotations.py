"""What people attach to pictures: tags, ratings, notes, collections, approvals; by line and project, audited, announced.

They survive renames, rewrites in place and disclosure, since they hang on the line (INV-2), and never show in another
project that has equal bytes (INV-6).
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Mapping, Sequence
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller, Sees
from memoryd.catalog.asset_view import Named
from memoryd.catalog.looking_up import AssetNotFound, check_seen
from memoryd.catalog.marks import refresh_marks
from memoryd.catalog.queries import annotations as queries
from memoryd.catalog.queries import holding, showing
from memoryd.events.outbox import announce
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAcceptable
from memoryd.foundation.ids import AssetId, ProjectId, new_id
from memoryd.foundation.texts import storable

STARS_LIMIT = 5
TAG_LIMIT = 80
"""Characters of a tag's or collection's name."""

TAGS_LIMIT = 100
"""Tags of one call."""

NOTE_LIMIT = 10_000
"""Characters of a note or comment."""

NAMED_LIMIT = 1_000
"""Tags or collections of one answer."""


class ApprovalState(enum.StrEnum):
    """What a project decided."""

    APPROVED = "approved"
    REJECTED = "rejected"


class ProjectUnclear(Conflict):
    """It is not clear for which project this is meant."""


class BadAnnotation(NotAcceptable):
    """This cannot be attached."""


def clean_name(name: str) -> str:
    """Return a tag's or collection's name as it is kept: lower case, one space between words. Raises: BadAnnotation."""
    clean = " ".join(unicodedata.normalize("NFKC", storable(name)[0]).casefold().split())
    if not clean or len(clean) > TAG_LIMIT or ":" in clean or not clean.isprintable():
        raise BadAnnotation(f"{name[:100]!r}", hint=f"1 to {TAG_LIMIT} printable characters, no colon")
    return clean


def tag(
    session: Session, caller: Caller, asset_id: AssetId, names: Sequence[str], project: str | None = None
) -> list[str]:
    """Hang tags on an asset's line; return those that were new there. At most TAGS_LIMIT.

    `project` is a slug; without it the line's only project is meant.
    Raises: AssetNotFound, ProjectUnclear, BadAnnotation.
    """
    root, owner = _place(session, caller, asset_id, project)
    hung = [
        name
        for name in _clean_names(names)
        if queries.insert_tag(session, new_id(), owner, name, root, caller.person_id)
    ]
    if hung:
        _tell(session, caller, "tag", asset_id, root, owner, {"tags": [*hung]})
    return hung


def untag(
    session: Session, caller: Caller, asset_id: AssetId, names: Sequence[str], project: str | None = None
) -> list[str]:
    """Take tags off an asset's line; return those that hung there. As `tag`."""
    root, owner = _place(session, caller, asset_id, project)
    taken = [name for name in _clean_names(names) if queries.delete_tag(session, owner, name, root)]
    if taken:
        _tell(session, caller, "untag", asset_id, root, owner, {"tags": [*taken]})
    return taken


def rate(session: Session, caller: Caller, asset_id: AssetId, stars: int, project: str | None = None) -> None:
    """Give an asset's line 1 to STARS_LIMIT stars, 0 for none; the last rating counts. Raises as `tag`."""
    if not 0 <= stars <= STARS_LIMIT:
        raise BadAnnotation(f"{stars} stars", hint=f"0 to {STARS_LIMIT}")
    root, owner = _place(session, caller, asset_id, project)
    if stars:
        queries.write_rating(session, owner, root, stars, caller.person_id)
    else:
        queries.delete_rating(session, owner, root)
    _tell(session, caller, "rate", asset_id, root, owner, {"stars": stars})


def note(session: Session, caller: Caller, asset_id: AssetId, text: str, project: str | None = None) -> None:
    """Add a remark to an asset's line, at most NOTE_LIMIT characters. Raises as `tag`."""
    clean = _checked_text(text)
    root, owner = _place(session, caller, asset_id, project)
    written = {"id": new_id(), "project_id": owner, "root_id": root, "asset_id": asset_id}
    queries.insert_note(session, **written, text=clean, by_person=caller.person_id)
    # The remark itself may speak of people: the trail says that there is one, and its length.
    _tell(session, caller, "note", asset_id, root, owner, {"characters": len(clean)})


def collect(session: Session, caller: Caller, asset_id: AssetId, collection: str, project: str | None = None) -> bool:
    """Put an asset's line into a collection, making it if it is new; return whether it was not in it. Raises as `tag`."""
    name = clean_name(collection)
    root, owner = _place(session, caller, asset_id, project)
    added = queries.insert_item(session, new_id(), owner, name, root, caller.person_id)
    if added:
        _tell(session, caller, "collect", asset_id, root, owner, {"collection": name})
    return added


def uncollect(session: Session, caller: Caller, asset_id: AssetId, collection: str, project: str | None = None) -> bool:
    """Take an asset's line out of a collection; return whether it was in it. Raises as `tag`."""
    name = clean_name(collection)
    root, owner = _place(session, caller, asset_id, project)
    taken = queries.delete_item(session, owner, name, root)
    if taken:
        _tell(session, caller, "uncollect", asset_id, root, owner, {"collection": name})
    return taken


def approve(
    session: Session,
    caller: Caller,
    asset_id: AssetId,
    state: ApprovalState = ApprovalState.APPROVED,
    comment: str | None = None,
    project: str | None = None,
) -> None:
    """Record that a project approved or rejected exactly this asset. The last decision counts. Raises as `tag`."""
    clean = None if comment is None or not comment.strip() else _checked_text(comment)
    root, owner = _place(session, caller, asset_id, project)
    # Who removes bytes at this moment does so before: this approval holds what is left.
    holding.lock_for_approving(session)
    queries.write_approval(session, owner, root, asset_id, state.value, clean, caller.person_id)
    _tell(session, caller, "approve", asset_id, root, owner, {"state": state.value})


def withdraw_approval(session: Session, caller: Caller, asset_id: AssetId, project: str | None = None) -> bool:
    """Take a decision back; return whether there was one. Raises as `tag`."""
    root, owner = _place(session, caller, asset_id, project)
    withdrawn = queries.delete_approval(session, owner, root)
    if withdrawn:
        _tell(session, caller, "approve", asset_id, root, owner, {"state": "withdrawn"})
    return withdrawn


def list_tags(session: Session, sees: Sees) -> list[Named]:
    """Return the tags in use in projects that the caller sees, the most used first, at most NAMED_LIMIT."""
    return [
        Named(project=row.slug, name=row.name, lines=row.lines) for row in queries.list_tags(session, sees, NAMED_LIMIT)
    ]


def list_collections(session: Session, sees: Sees) -> list[Named]:
    """Return the collections of projects that the caller sees, at most NAMED_LIMIT."""
    rows = queries.list_collections(session, sees, NAMED_LIMIT)
    return [Named(project=row.slug, name=row.name, lines=row.lines) for row in rows]


def _clean_names(names: Sequence[str]) -> list[str]:
    if not 1 <= len(names) <= TAGS_LIMIT:
        raise BadAnnotation(f"{len(names)} tags", hint=f"1 to {TAGS_LIMIT} at once")
    return list(dict.fromkeys(clean_name(name) for name in names))


def _checked_text(text: str) -> str:
    clean = storable(text.strip())[0]
    if not 0 < len(clean) <= NOTE_LIMIT:
        raise BadAnnotation(f"{len(clean)} characters", hint=f"1 to {NOTE_LIMIT}")
    return clean


def _place(session: Session, caller: Caller, asset_id: AssetId, project: str | None) -> tuple[UUID, ProjectId]:
    """Return the line and the project that something is attached to."""
    check_seen(session, asset_id, caller.sees)
    root = showing.find_root_of(session, asset_id)
    if root is None:
        raise AssetNotFound(f"asset {asset_id}", hint="`memoryd search` finds assets")
    owners = [
        (owner, slug)
        for owner, slug in showing.list_owners(session, root, caller.sees)
        if project is None or slug == project
    ]
    if len(owners) == 1:
        return root, ProjectId(owners[0][0])
    if owners:
        several = ", ".join(slug for _, slug in owners)
        raise ProjectUnclear(f"it belongs to {several}", hint=f"name one of them: {several}")
    said = "it belongs to no project" if project is None else f"it does not belong to project {project[:80]!r}"
    raise ProjectUnclear(said, hint="record its folder for a project: `memoryd ingest --project NAME PATH`")


def _tell(
    session: Session,
    caller: Caller,
    verb: str,
    asset_id: AssetId,
    root: UUID,
    project: ProjectId,
    facts: Mapping[str, Json],
) -> None:
    refresh_marks(session, [root])
    about: dict[str, Json] = {**facts, "root_id": str(root), "project_id": str(project)}
    audit.note(session, caller, f"asset.{verb}", str(asset_id), about)
    announce(session, f"asset.{verb}", asset_id, about)
