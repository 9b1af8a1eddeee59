"""Finding models, and showing what is known about them."""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.foundation.texts import storable
from memoryd.model_registry import licences, queries
from memoryd.model_registry.facts import ModelDetail, ModelView, NameView

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
        found = queries.find_by_path(session, folder, path, CANDIDATES_SHOWN + 1)
    if not found and wanted:
        found = queries.find_by_path(session, None, wanted, CANDIDATES_SHOWN + 1)
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
    return ModelDetail(
        model=_views(session, [row], past=True)[0],
        stated=header,
        aliases=queries.list_aliases_of(session, sha256),
        findings=tuple({str(k): str(v) for k, v in finding.items()} for finding in row.findings),
        licences=licences.list_licences(session, sha256),
    )


def list_models(
    session: Session,
    *,
    kind: str | None = None,
    folder: str | None = None,
    licensed: bool | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[ModelView]:
    """Return models, the newest first; `licensed` False lists those nobody named a licence for.

    Raises: BadCursor, BadPageSize.
    """
    size = page_size(limit)
    rows = queries.list_models(
        session,
        kind=None if kind is None else storable(kind)[0],
        folder=None if folder is None else storable(folder)[0],
        licensed=licensed,
        after=None if cursor is None else _place(cursor),
        limit=size + 1,
    )
    shown = rows[:size]
    last = shown[-1] if len(rows) > size else None
    return Page(
        rows=_views(session, shown, past=False),
        next_cursor=None if last is None else encode_cursor(last.first_seen.isoformat(), last.sha256.hex()),
    )


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
    names: defaultdict[bytes | None, list[NameView]] = defaultdict(list)
    for row in queries.list_names_of(session, sha256s, past=past):
        names[row.sha256].append(
            NameView(
                worker=row.worker,
                root=row.root,
                folder=row.folder,
                path=row.path,
                seen_from=row.seen_from,
                seen_to=row.seen_to,
            )
        )
    stated = licences.licence_of(session, sha256s)
    return [
        ModelView(
            sha256=row.sha256,
            size=row.size,
            kind=row.kind,
            base=row.base,
            first_seen=row.first_seen,
            names=tuple(names[row.sha256]),
            licence=stated[row.sha256],
        )
        for row in rows
    ]
