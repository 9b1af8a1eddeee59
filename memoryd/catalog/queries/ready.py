"""What is recorded of files that may be new."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import text

from memoryd.foundation.arrays import array_text
from memoryd.foundation.database import Session

_KNOWN = text(
    "select 'content', sha256, cast(null as uuid) from asset where sha256 = any(cast(:contents as bytea[]))"
    " union all select 'run', convert_to(run_key, 'UTF8'), null from generation"
    " where run_key = any(cast(:runs as text[]))"
    " union all select 'place', sha256(path), watch_root_id from location"
    " where sha256(path) = any(cast(:places as bytea[]))"
)


class Known(NamedTuple):
    """What is recorded of what was asked for; places are (root's id or None, SHA-256 of the path)."""

    contents: set[bytes]
    run_keys: set[str]
    places: set[tuple[bytes | None, bytes]]


def find_known(
    session: Session, contents: Collection[bytes], run_keys: Collection[str], path_digests: Collection[bytes]
) -> Known:
    """Return which contents and run keys are recorded, and the places whose path has one of these digests."""
    asked = {
        "contents": array_text(list(contents)),
        "runs": array_text(list(run_keys)),
        "places": array_text(list(path_digests)),
    }
    known = Known(set(), set(), set())
    for what, key, root in session.execute(_KNOWN, asked):
        if what == "content":
            known.contents.add(bytes(key))
        elif what == "run":
            known.run_keys.add(bytes(key).decode())
        else:
            known.places.add((None if root is None else root.bytes, bytes(key)))
    return known
