"""Which version of which model a file is: as what lies beside it says, as a service answered, as a person decides."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd.foundation.ids import parse_id
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.foundation.texts import storable
from memoryd.model_registry.facts import FamilySource, StatedBy, VersionView
from memoryd.model_registry.queries import versions as queries
from memoryd.weights.describing import ModelFacts
from memoryd.weights.sidecars import Sidecar

NAME_LIMIT = 300
URL_LIMIT = 2_000

_RANK = {StatedBy.PERSON: 0, StatedBy.SIDECAR: 1, StatedBy.LOOK_UP: 2, StatedBy.HEADER: 3}


class BadVersion(NotAcceptable):
    """This names no version."""


class VersionNotStated(NotFound):
    """No person put this file into a version."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FamilyVersion:
    """A version, and the contents that are said to be of it."""

    id: UUID
    name: str
    source_id: str | None
    url: str | None
    sha256s: tuple[bytes, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FamilyView:
    """A model as people speak of it, with its versions, the oldest first."""

    id: UUID
    name: str
    source: FamilySource
    source_id: str | None
    url: str | None
    versions: tuple[FamilyVersion, ...]


def state_version(
    session: Session, caller: Caller, sha256: bytes, family: str, version: str, *, url: str | None = None
) -> None:
    """Record that a person says which version of which family a known file is. What they said before ends.

    Raises: BadVersion.
    """
    family, version = (storable(" ".join(word.split()))[0] for word in (family, version))
    if not 0 < len(family) <= NAME_LIMIT or not 0 < len(version) <= NAME_LIMIT or len(url or "") > URL_LIMIT:
        raise BadVersion(
            f"a family of {len(family)}, a version of {len(version)}, an address of {len(url or '')} characters",
            hint=f"name both with 1 to {NAME_LIMIT} characters",
        )
    if url is not None and not url.startswith(("https://", "http://")):
        raise BadVersion(f"{url[:100]!r} is no web address", hint="begin it with https://")
    person, plain = caller.person_id, None if url is None else storable(url)[0]
    family_id = queries.ensure_family(
        session, name=family, source=FamilySource.PERSON.value, source_id=None, url=None, person_id=person
    )
    version_id = queries.ensure_version(
        session, family_id=family_id, name=version, source_id=None, base_name=None, url=plain, person_id=person
    )
    queries.insert_file(session, version_id=version_id, sha256=sha256, source=StatedBy.PERSON.value, person_id=person)
    audit.note(session, caller, "model.version", sha256.hex(), {"family": family, "version": version, "url": plain})


def withdraw_version(session: Session, caller: Caller, sha256: bytes) -> None:
    """End what a person said about the version of a file. Raises: VersionNotStated."""
    ended = queries.withdraw_file(session, sha256, StatedBy.PERSON.value)
    if not ended:
        raise VersionNotStated(f"{sha256.hex()[:12]}", hint="see `memoryd models show`")
    audit.note(session, caller, "model.version.withdraw", sha256.hex(), {"versions": [str(one) for one in ended]})


def keep_stated(session: Session, seen: Sequence[tuple[bytes, ModelFacts]]) -> None:
    """Record what the files beside models say about their versions."""
    for sha256, facts in seen:
        if facts.sidecars is not None:
            keep_version(session, sha256, facts.sidecars, StatedBy.SIDECAR)


def keep_version(
    session: Session, sha256: bytes, told: Sidecar, stated_by: StatedBy, person_id: UUID | None = None
) -> None:
    """Record which version of which family a source says that a file is; nothing where it names no model there."""
    name = told.model_name or told.model_id
    if told.source is None or name is None:
        return
    family_id = queries.ensure_family(
        session,
        name=_fit(name),
        source=FamilySource(told.source.value).value,
        source_id=_fit(told.model_id or name),
        url=_address(told.url),
        person_id=person_id,
    )
    version_id = queries.ensure_version(
        session,
        family_id=family_id,
        name=_fit(told.version_name or told.version_id or "unnamed"),
        source_id=None if told.version_id is None else _fit(told.version_id),
        base_name=None if told.base_model is None else _fit(told.base_model),
        url=_address(told.url),
        person_id=person_id,
    )
    queries.insert_file(session, version_id=version_id, sha256=sha256, source=stated_by.value, person_id=person_id)


def list_versions(session: Session, sha256s: Sequence[bytes]) -> dict[bytes, tuple[VersionView, ...]]:
    """Return what is said about the version of each file; what counts comes first."""
    found: defaultdict[bytes, list[VersionView]] = defaultdict(list)
    for row in queries.list_files(session, sha256s) if sha256s else ():
        found[bytes(row.sha256)].append(_view(row))
    return {sha256: tuple(sorted(found[sha256], key=lambda view: _RANK[view.stated_by])) for sha256 in sha256s}


def list_families(
    session: Session, *, search: str | None = None, cursor: str | None = None, limit: int | None = None
) -> Page[FamilyView]:
    """Return families with their versions, by name. Raises: BadCursor, BadPageSize."""
    size, after = page_size(limit), None
    if cursor is not None:
        name, told = decode_cursor(cursor, 2)
        last = parse_id(str(told))
        if not isinstance(name, str) or last is None:
            raise BadCursor("the cursor cannot be read", hint="start again without a cursor")
        after = (storable(name)[0], last)
    rows = queries.list_families(
        session, search=None if search is None else storable(search)[0], after=after, limit=size + 1
    )
    shown = rows[:size]
    versions: defaultdict[UUID, list[FamilyVersion]] = defaultdict(list)
    for row in queries.list_versions_of(session, [row.id for row in shown]) if shown else ():
        versions[row.family_id].append(
            FamilyVersion(
                id=row.id,
                name=row.name,
                source_id=row.source_id,
                url=row.url,
                sha256s=tuple(bytes(one) for one in row.sha256s),
            )
        )
    return Page(
        rows=[
            FamilyView(
                id=row.id,
                name=row.name,
                source=FamilySource(row.source),
                source_id=row.source_id,
                url=row.url,
                versions=tuple(versions[row.id]),
            )
            for row in shown
        ],
        next_cursor=encode_cursor(shown[-1].name, str(shown[-1].id)) if len(rows) > size else None,
    )


def _view(row: Any) -> VersionView:
    return VersionView(
        file_id=row.file_id,
        version_id=row.version_id,
        family=row.family,
        version=row.version,
        source=FamilySource(row.family_source),
        source_id=row.source_id,
        version_source_id=row.version_source_id,
        url=row.url or row.family_url,
        base_name=row.base_name,
        stated_by=StatedBy(row.source),
        at=row.at,
    )


def _fit(word: str) -> str:
    return storable(" ".join(word.split()))[0][:NAME_LIMIT]


def _address(url: str | None) -> str | None:
    # It is shown as a link: a `javascript:` address would run in somebody's page.
    plain = None if url is None else storable(url)[0].strip()
    return (
        plain if plain is not None and plain.startswith(("https://", "http://")) and len(plain) <= URL_LIMIT else None
    )
