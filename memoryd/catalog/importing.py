"""What other galleries knew of pictures, taken over: each file is found here first, and only what is new is attached.

A file is its content where somebody hashed it, else its path as any machine spells it, else its name and size together;
whatever could be two pictures is neither. What people attached here is never overridden, and the same import again
changes nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller, Sees
from memoryd.access.projects import find_project
from memoryd.catalog import roots as catalog_roots
from memoryd.catalog.annotations import BadAnnotation, clean_name
from memoryd.catalog.marks import refresh_marks
from memoryd.catalog.peers import PeerFile
from memoryd.catalog.queries import annotations as attaching
from memoryd.catalog.queries import importing as queries
from memoryd.catalog.queries import removal as removing
from memoryd.catalog.removal import RemovalKind
from memoryd.catalog.root_paths import path_bytes, paths_inside
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import TooLarge
from memoryd.foundation.ids import new_id
from memoryd.foundation.merkle import merkle_root

FILES_LIMIT = 1_000
"""Files of one call."""

FAVOURITE_TAG = "favourite"
"""What a favourite becomes."""


class TooManyFiles(TooLarge):
    """These are too many files for one call."""


class PeerSource(enum.StrEnum):
    """Where marks come from."""

    IIB = "iib"
    """Infinite Image Browsing."""
    SMARTGALLERY = "smartgallery"
    XMP = "xmp"
    """Packets in files, and sidecars."""


class MatchedBy(enum.StrEnum):
    """How a file was found here."""

    HASH = "hash"
    PATH = "path"
    NAME = "name"
    """By its name and size together."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NotTaken:
    """A file of which nothing was taken over, and why; `unknown` where a hash of it may help."""

    path: str
    why: str
    unknown: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did, or would do. `kept` counts ratings and removals that stay as they are here."""

    files: int
    matched: dict[MatchedBy, int]
    tags: int
    ratings: int
    collections: int
    rejected: int
    kept: int
    not_taken: tuple[NotTaken, ...]
    unfit: tuple[str, ...]
    """Names that can be no tag here."""


_Found: TypeAlias = "dict[int, tuple[UUID, MatchedBy]]"


def take_over(
    session: Session,
    caller: Caller,
    source: PeerSource,
    files: Sequence[PeerFile],
    *,
    days: int,
    project: str | None = None,
    dry_run: bool = False,
) -> Imported:
    """Attach what a gallery says of files to the pictures they are; return what was done. At most FILES_LIMIT files.

    With `dry_run` nothing stays, and the answer is what would be done. `days`: how long a rejection can be taken back at
    least. Raises: TooManyFiles, ProjectNotFound.
    """
    if len(files) > FILES_LIMIT:
        raise TooManyFiles(f"{len(files)} files", hint=f"at most {FILES_LIMIT} at once (FILES_LIMIT)")
    if project is not None:
        find_project(session, project, caller.sees)
    if not dry_run:
        return _take_over(session, caller, source, files, days, project)
    attempt = session.begin_nested()
    try:
        return _take_over(session, caller, source, files, days, project)
    finally:
        attempt.rollback()


def _take_over(
    session: Session, caller: Caller, source: PeerSource, files: Sequence[PeerFile], days: int, project: str | None
) -> Imported:
    found, not_taken = _find(session, files, caller.sees)
    owners = queries.list_owners(session, {root for root, _ in found.values()}, caller.sees) if found else {}
    places: dict[int, tuple[UUID, UUID]] = {}
    for number, (root, _) in found.items():
        fitting = [(owner, slug) for owner, slug in owners.get(root, []) if project in (None, slug)]
        if len(fitting) == 1:
            places[number] = (root, fitting[0][0])
        else:
            why = f"it belongs to {', '.join(slug for _, slug in fitting)}" if fitting else "it is not in that project"
            not_taken.append(NotTaken(path=files[number].path, why=why))
    attaching_to = _Attaching(session, caller, days, set(places.values()))
    for number, place in sorted(places.items()):
        attaching_to.attach(files[number], *place)
    if attaching_to.touched:
        refresh_marks(session, attaching_to.touched)
        _note(session, caller, source, attaching_to)
    count = attaching_to.count
    return Imported(
        files=len(files),
        matched=dict(Counter(how for number, (_, how) in found.items() if number in places)),
        tags=count["tags"],
        ratings=count["ratings"],
        collections=count["collections"],
        rejected=count["rejected"],
        kept=count["kept"],
        not_taken=tuple(not_taken),
        unfit=tuple(sorted(attaching_to.unfit)),
    )


def _find(session: Session, files: Sequence[PeerFile], sees: Sees) -> tuple[_Found, list[NotTaken]]:
    found: _Found = {}
    ambiguous: set[int] = set()

    def look(how: MatchedBy, ask: Callable[[Sequence[int]], dict[int, set[UUID]]]) -> None:
        left = [number for number in range(len(files)) if number not in found and number not in ambiguous]
        for number, lines in (ask(left) if left else {}).items():
            if len(lines) == 1:
                found[number] = (next(iter(lines)), how)
            else:
                ambiguous.add(number)

    def hashed(left: Sequence[int]) -> dict[int, set[UUID]]:
        asked = [(n, sha256) for n in left if (sha256 := files[n].sha256) is not None]
        return queries.list_by_digest(session, asked, sees) if asked else {}

    def placed(left: Sequence[int]) -> dict[int, set[UUID]]:
        roots = catalog_roots.list_roots(session, retired=True)
        asked: list[tuple[int, UUID | None, bytes]] = []
        for n in left:
            asked.append((n, None, path_bytes(files[n].path)))
            for root in roots:
                inside = paths_inside((root.shown_path, *root.aliases.values()), files[n].path)
                asked += [(n, root.id, path) for path in inside]
        return queries.list_by_path(session, asked, sees) if asked else {}

    def named(left: Sequence[int]) -> dict[int, set[UUID]]:
        asked = [
            (n, files[n].path.replace("\\", "/").rpartition("/")[2], size)
            for n in left
            if (size := files[n].size) is not None
        ]
        return queries.list_by_name(session, asked, sees) if asked else {}

    look(MatchedBy.HASH, hashed)
    look(MatchedBy.PATH, placed)
    look(MatchedBy.NAME, named)
    not_taken = [
        NotTaken(path=files[n].path, why="it could be several pictures", unknown=True) for n in sorted(ambiguous)
    ]
    not_taken += [
        NotTaken(path=file.path, why="no such picture is known here", unknown=True)
        for n, file in enumerate(files)
        if n not in found and n not in ambiguous
    ]
    return found, not_taken


class _Attaching:
    def __init__(self, session: Session, caller: Caller, days: int, places: set[tuple[UUID, UUID]]) -> None:
        self.session, self.caller = session, caller
        self.until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        self.stars = queries.list_ratings(session, places) if places else {}
        self.removed = queries.list_removed(session, {root for root, _ in places}) if places else set()
        self.count: Counter[str] = Counter()
        self.touched: set[UUID] = set()
        self.projects: set[UUID] = set()
        self.unfit: set[str] = set()

    def attach(self, file: PeerFile, root: UUID, project: UUID) -> None:
        before = sum(self.count[what] for what in ("tags", "ratings", "collections", "rejected"))
        person = self.caller.person_id
        for name in (*file.tags, *((FAVOURITE_TAG,) if file.favourite else ())):
            if clean := self._clean(name):
                self.count["tags"] += attaching.insert_tag(self.session, new_id(), project, clean, root, person)
        for name in file.collections:
            if clean := self._clean(name):
                self.count["collections"] += attaching.insert_item(self.session, new_id(), project, clean, root, person)
        self._rate(file.stars, root, project)
        if file.rejected:
            self._reject(root, project)
        if sum(self.count[what] for what in ("tags", "ratings", "collections", "rejected")) > before:
            self.touched.add(root)
            self.projects.add(project)

    def _rate(self, stars: int | None, root: UUID, project: UUID) -> None:
        if stars is None:
            return
        here = self.stars.get((root, project))
        if here is None:
            attaching.write_rating(self.session, project, root, stars, self.caller.person_id)
            self.stars[root, project] = stars
            self.count["ratings"] += 1
        elif here != stars:
            self.count["kept"] += 1

    def _reject(self, root: UUID, project: UUID) -> None:
        if (root, project) not in self.removed:
            removing.write_removal(
                self.session, root, project, RemovalKind.REJECTED, None, self.caller.person_id, self.until
            )
            self.removed.add((root, project))
            self.count["rejected"] += 1

    def _clean(self, name: str) -> str | None:
        try:
            # A colon is the search's own.
            return clean_name(name.replace(":", "-"))
        except BadAnnotation:
            self.unfit.add(name[:100])
            return None


def _note(session: Session, caller: Caller, source: PeerSource, done: _Attaching) -> None:
    root = merkle_root(line.bytes for line in done.touched)
    facts: dict[str, Json] = {
        **{what: done.count[what] for what in ("tags", "ratings", "collections", "rejected")},
        "lines": len(done.touched),
        "merkle_root": root.hex() if root else None,
        "projects": [str(project) for project in sorted(done.projects)],
    }
    audit.note(session, caller, "asset.import", f"import:{source.value}", facts)
