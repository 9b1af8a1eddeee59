"""Saying for many pictures at once whose they are: moved to another project or person, audited as one, and taken back.

A picture moves as a line, in the project that it is taken from; other projects that own the same bytes see nothing of it.
What people attached stays with the old project, and is copied where that is asked for; approvals never are.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from memoryd.access import audit, people
from memoryd.access.facts import Caller
from memoryd.access.projects import find_project
from memoryd.catalog.annotations import BadAnnotation, ProjectUnclear
from memoryd.catalog.looking_up import AssetNotFound
from memoryd.catalog.marks import refresh_marks
from memoryd.catalog.queries import annotations as attaching
from memoryd.catalog.queries import attesting, importing, showing
from memoryd.catalog.queries import attribution as queries
from memoryd.events.outbox import announce
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound, TooLarge
from memoryd.foundation.ids import AssetId, ProjectId, new_id
from memoryd.foundation.merkle import merkle_root

ASSETS_LIMIT = 20_000
"""Pictures of one re-attribution: its transaction stays below a minute."""


class TooManyAssets(TooLarge):
    """These are too many pictures at once."""


class ReattributionNotFound(NotFound):
    """There is no such re-attribution."""


class ReattributionPast(Conflict):
    """This re-attribution cannot be taken back any more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Whose pictures are to be: `project` and `person` by short name and login, one of them at least.

    `out_of` names the project that they are taken from, where they are in several.
    """

    project: str | None = None
    person: str | None = None
    out_of: str | None = None
    with_annotations: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reattributed:
    """What became, or would become, of it: pictures, their assets, places and runs; `unchanged` were so already.

    `id` is that of the audit entry's subject and takes it back; None where nothing was done.
    """

    id: UUID | None
    pictures: int
    assets: int
    places: int
    runs: int
    unchanged: int
    copied: int
    """Things that people attached, copied."""
    out_of: dict[str, int]
    """Pictures by the project they are taken from; "" is none."""


def reattribute(
    session: Session, caller: Caller, assets: Sequence[AssetId], wish: Wish, *, dry_run: bool = False
) -> Reattributed:
    """Give pictures to another project or person; with `dry_run` nothing stays, and the answer is what would be done.

    The caller must hold the right in both projects: what they do not see there does not exist for them.
    Raises: AssetNotFound, ProjectNotFound, PersonNotFound, ProjectUnclear, BadAnnotation, TooManyAssets.
    """
    if not dry_run:
        return _reattribute(session, caller, assets, wish)
    attempt = session.begin_nested()
    try:
        return dataclasses.replace(_reattribute(session, caller, assets, wish), id=None)
    finally:
        attempt.rollback()


def undo(session: Session, caller: Caller, reattribution: UUID) -> int:
    """Take a re-attribution back, whole; return how many assets it was about. What was copied with it stays.

    Raises: ReattributionNotFound, also where the caller does not see all its projects; ReattributionPast.
    """
    row = queries.find_reattribution(session, reattribution)
    items = [] if row is None else queries.list_items(session, reattribution)
    projects = {item.from_project for item in items} | {item.to_project for item in items}
    if row is None or (caller.sees is not None and not projects <= caller.sees):
        raise ReattributionNotFound(
            f"re-attribution {reattribution}", hint="`memoryd audit list` names those there were"
        )
    if row.undone_at is not None:
        raise ReattributionPast("it was taken back already", hint="attribute anew")
    if queries.is_overtaken(session, reattribution):
        raise ReattributionPast("some pictures were attributed again since", hint="take the later one back first")
    queries.move_back(session, reattribution)
    queries.rewrite_owner_marks(session, reattribution)
    attesting.settle_words(session, queries.move_declarations(session, reattribution))
    digest = merkle_root(item.sha256 for item in items)
    facts: dict[str, Json] = {"assets": len(items), "merkle_root": digest.hex() if digest else None}
    audit.note(session, caller, "asset.attribute.undo", f"attribution:{reattribution}", facts)
    return len(items)


def _reattribute(session: Session, caller: Caller, assets: Sequence[AssetId], wish: Wish) -> Reattributed:
    if wish.project is None and wish.person is None:
        raise BadAnnotation("neither project nor person", hint="name one: --project NAME or --person LOGIN")
    if len(assets) > ASSETS_LIMIT:
        raise TooManyAssets(f"{len(assets)} pictures", hint=f"at most {ASSETS_LIMIT} at once (ASSETS_LIMIT)")
    target = None if wish.project is None else find_project(session, wish.project, caller.sees)
    person = None if wish.person is None else people.find_person(session, wish.person)
    roots = _roots(session, caller, assets)
    lines = _lines(session, caller, roots, wish)
    moving = [(root, owner) for root, owner, _ in lines if person is not None or owner != target]
    counts = Counter(slug for root, owner, slug in lines if (root, owner) in set(moving))
    done = Reattributed(
        id=None,
        pictures=len(moving),
        assets=0,
        places=0,
        runs=0,
        unchanged=len(roots) - len(moving),
        copied=0,
        out_of=dict(counts),
    )
    if not moving:
        return done
    own_id = new_id()
    queries.insert_reattribution(session, own_id, caller.person_id)
    count = queries.insert_items(session, own_id, moving, target, person)
    places, runs = queries.move(session, own_id)
    queries.rewrite_owner_marks(session, own_id)
    attesting.settle_words(session, queries.move_declarations(session, own_id))
    copied = 0
    if wish.with_annotations and target is not None:
        copied = sum(
            _copy(session, caller, root, owner, target) for root, owner in moving if owner not in (None, target)
        )
        refresh_marks(session, [root for root, _ in moving])
    _tell(session, caller, own_id, target, person is not None, copied)
    return dataclasses.replace(done, id=own_id, assets=count, places=places, runs=runs, copied=copied)


def _roots(session: Session, caller: Caller, assets: Sequence[AssetId]) -> list[UUID]:
    if not assets:
        return []
    found = queries.list_lines(session, set(assets), caller.sees)
    missing = next((asset for asset in assets if asset not in found), None)
    if missing is not None:
        raise AssetNotFound(f"asset {missing}", hint="you need the right to approve in its project, too")
    return list(dict.fromkeys(found[asset] for asset in assets))


def _lines(
    session: Session, caller: Caller, roots: Sequence[UUID], wish: Wish
) -> list[tuple[UUID, ProjectId | None, str]]:
    """Return (line, project it is taken from, its short name) of what is not everywhere as it is wished already."""
    owners = importing.list_owners(session, roots, caller.sees) if roots else {}
    if wish.out_of is not None:
        find_project(session, wish.out_of, caller.sees)
    lines: list[tuple[UUID, ProjectId | None, str]] = []
    for root in roots:
        owned = owners.get(root, [])
        if wish.out_of is not None:
            fitting = [one for one in owned if one[1] == wish.out_of]
        else:
            fitting = [one for one in owned if one[1] != wish.project] or owned
        if len(fitting) > 1:
            several = ", ".join(slug for _, slug in fitting)
            raise ProjectUnclear(f"line {root} belongs to {several}", hint="say which it is taken from: --from NAME")
        if fitting:
            lines.append((root, ProjectId(fitting[0][0]), fitting[0][1]))
        elif not owned and wish.out_of is None and wish.project is not None:
            lines.append((root, None, ""))
    return lines


def _copy(session: Session, caller: Caller, root: UUID, owner: ProjectId | None, target: ProjectId) -> int:
    """Copy tags, rating, remarks and collections; a decision is the old project's own."""
    assert owner is not None
    attached = showing.list_attached(session, root, [owner])
    person, count = caller.person_id, 0
    for row in attached["tags"]:
        count += attaching.insert_tag(session, new_id(), target, row.name, root, person)
    for row in attached["collections"]:
        count += attaching.insert_item(session, new_id(), target, row.name, root, person)
    for row in attached["ratings"]:
        if not importing.list_ratings(session, [(root, target)]):
            attaching.write_rating(session, target, root, row.stars, person)
            count += 1
    return count + attaching.copy_notes(session, root, owner, target, [new_id() for _ in attached["notes"]])


def _tell(session: Session, caller: Caller, own_id: UUID, target: ProjectId | None, named: bool, copied: int) -> None:
    items = queries.list_items(session, own_id)
    digest = merkle_root(item.sha256 for item in items)
    before: list[Json] = [str(project) for project in sorted({i.from_project for i in items if i.from_project})]
    facts: dict[str, Json] = {
        "assets": len(items),
        "merkle_root": digest.hex() if digest else None,
        "from": before,
        "to": None if target is None else str(target),
        "person_changed": named,
        "copied": copied,
    }
    audit.note(session, caller, "asset.attribute", f"attribution:{own_id}", facts)
    # Who sees but one of the projects must not learn of the other: the news is for those who see the whole tenant.
    announce(session, "asset.attributed", own_id, {"assets": len(items)})
