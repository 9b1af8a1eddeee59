"""Finding models, and showing what is known about them."""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.foundation.texts import storable
from memoryd.model_registry import licences, origins, versions
from memoryd.model_registry.facts import ModelDetail, ModelView, NameView, PlaceKind, PlaceView
from memoryd.model_registry.queries import models as queries
from memoryd.model_registry.queries import names as name_queries

HASH_LENGTH = 64
PREFIX_LEAST = 8
"""Hex digits of a hash that name a model; tools write 8, 10, 12 or 64."""
CANDIDATES_SHOWN = 5

_HEX = re.compile(rf"^[0-9a-f]{{{PREFIX_LEAST},{HASH_LENGTH}}}$")


class ModelNotFound(NotFound):
    """There is no such model."""


class ModelAmbiguous(Conflict):
    """Several models go by this."""


def find_model(session: Session, ref: str) -> bytes:
    """Return the SHA-256 of the model that `ref` names.

    `ref` is a SHA-256 or its beginning, another hash that a file states, `folder/path`, a path, or a file's name.
    Raises: ModelNotFound, ModelAmbiguous.
    """
    wanted = storable(ref)[0].strip().replace("\\", "/").lstrip("/")
    found: list[bytes] = []
    prefix = wanted.lower().removeprefix("0x")
    if _HEX.match(prefix):
        least, most = bytes.fromhex(prefix.ljust(HASH_LENGTH, "0")), bytes.fromhex(prefix.ljust(HASH_LENGTH, "f"))
        found = queries.find_by_hash(session, least, most, prefix, CANDIDATES_SHOWN + 1)
    folder, separator, path = wanted.partition("/")
    if not found and separator and path:
        found = name_queries.find_by_path(session, folder, path, CANDIDATES_SHOWN + 1)
    if not found and wanted:
        found = name_queries.find_by_path(session, None, wanted, CANDIDATES_SHOWN + 1)
    if not found:
        raise ModelNotFound(f"nothing is called {ref[:200]!r}", hint="see `memoryd models list`, or scan its folder")
    if len(found) > 1:
        shown = ", ".join(sha256.hex()[:12] for sha256 in sorted(found)[:CANDIDATES_SHOWN])
        raise ModelAmbiguous(f"{ref[:200]!r} may be {shown}", hint="name it by its SHA-256")
    return found[0]


def show_model(session: Session, sha256: bytes) -> ModelDetail:
    """Return everything that is known about a model. Raises: ModelNotFound."""
    rows = queries.find_models(session, [sha256])
    if not rows:
        raise ModelNotFound(f"no model has the SHA-256 {sha256.hex()}", hint="scan the folder that it lies in")
    row = rows[0]
    header: dict[str, Any] = row.header
    aliases = queries.list_aliases_of(session, sha256)
    return ModelDetail(
        model=_views(session, [row], past=True)[0],
        stated=header,
        aliases={alias.algorithm: alias.value for alias in aliases},
        measured=frozenset(alias.algorithm for alias in aliases if alias.measured),
        findings=tuple({str(k): str(v) for k, v in finding.items()} for finding in row.findings),
        licences=licences.list_licences(session, sha256),
        versions=versions.list_versions(session, [sha256])[sha256],
        derived=origins.list_children(session, sha256),
        sidecar=row.sidecar,
    )


def list_models(
    session: Session,
    *,
    kind: str | None = None,
    folder: str | None = None,
    licensed: bool | None = None,
    search: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[ModelView]:
    """Return models, the newest first; `licensed` False lists those nobody named a licence for.

    `search`: a part of a present or past name, of a trigger word, or of the name of a version or family.

    Raises: BadCursor, BadPageSize.
    """
    size = page_size(limit)
    rows = queries.list_models(
        session,
        kind=None if kind is None else storable(kind)[0],
        folder=None if folder is None else storable(folder)[0],
        licensed=licensed,
        search=None if search is None or not search.strip() else storable(search.strip())[0],
        after=None if cursor is None else _place(cursor),
        limit=size + 1,
    )
    shown = rows[:size]
    last = shown[-1] if len(rows) > size else None
    return Page(
        rows=_views(session, shown, past=False),
        next_cursor=None if last is None else encode_cursor(last.first_seen.isoformat(), last.sha256.hex()),
    )


def list_places(session: Session) -> list[PlaceView]:
    """Return the folders with models, by machine and folder."""
    rows = name_queries.list_places(session)
    seen_by: defaultdict[UUID, list[str]] = defaultdict(list)
    for row in name_queries.list_place_workers(session, [row.id for row in rows]):
        seen_by[row.place_id].append(row.label)
    return [
        PlaceView(
            id=row.id,
            kind=PlaceKind(row.kind),
            worker=row.worker,
            root=row.root,
            workers=tuple(seen_by[row.id]),
            names=row.names,
            first_seen=row.first_seen,
            last_seen=row.last_seen,
        )
        for row in rows
    ]


def describe_names(session: Session, sha256s: Sequence[bytes]) -> dict[bytes, ModelView]:
    """Return models by hash with their present names and licences; unknown ones are left out."""
    return {view.sha256: view for view in _views(session, queries.find_models(session, sha256s), past=False)}


def _place(cursor: str) -> tuple[datetime.datetime, bytes]:
    key: list[Json] = decode_cursor(cursor, 2)
    try:
        return datetime.datetime.fromisoformat(str(key[0])), bytes.fromhex(str(key[1]))
    except ValueError:
        raise BadCursor("the cursor cannot be read", hint="start again without a cursor") from None


def _views(session: Session, rows: Sequence[Any], *, past: bool) -> list[ModelView]:
    sha256s = [row.sha256 for row in rows]
    if not sha256s:
        return []
    names = _names(session, sha256s, past=past)
    stated = licences.licence_of(session, sha256s)
    of_version = versions.list_versions(session, sha256s)
    parents, children = origins.list_parents(session, sha256s), origins.count_children(session, sha256s)
    drifted = name_queries.find_drifted(
        session, sorted({(name.folder, name.path) for some in names.values() for name, _ in some})
    )
    return [
        ModelView(
            sha256=row.sha256,
            size=row.size,
            kind=row.kind,
            base=row.base,
            first_seen=row.first_seen,
            names=tuple(name for name, _ in names[row.sha256]),
            licence=stated[row.sha256],
            # A place that was looked at later had the file still, where the name is present.
            last_seen=max([row.last_seen, *(at for name, at in names[row.sha256] if name.seen_to is None)]),
            format=row.format,
            base_name=row.base_name,
            triggers=tuple(row.triggers),
            version=next(iter(of_version[row.sha256]), None),
            parents=parents[row.sha256],
            children=children.get(row.sha256, 0),
            drifted=tuple(
                sorted({_shown(name) for name, _ in names[row.sha256] if (name.folder, name.path) in drifted})
            ),
        )
        for row in rows
    ]


def _names(
    session: Session, sha256s: Sequence[bytes], *, past: bool
) -> defaultdict[bytes, list[tuple[NameView, datetime.datetime]]]:
    """Return each model's names, with when their place was last looked at."""
    rows = name_queries.list_names_of(session, sha256s, past=past)
    seen_by: defaultdict[UUID, list[str]] = defaultdict(list)
    for row in name_queries.list_place_workers(session, list({row.place_id for row in rows})):
        seen_by[row.place_id].append(row.label)
    names: defaultdict[bytes, list[tuple[NameView, datetime.datetime]]] = defaultdict(list)
    for row in rows:
        view = NameView(
            worker=row.worker,
            root=row.root,
            folder=row.folder,
            path=row.path,
            seen_from=row.seen_from,
            seen_to=row.seen_to,
            place=PlaceKind(row.kind),
            workers=tuple(seen_by[row.place_id]),
        )
        names[row.sha256].append((view, row.last_seen))
    return names


def _shown(name: NameView) -> str:
    return f"{name.folder}/{name.path}" if name.folder else name.path
