"""The audit trail, as actions write it and people read it. Sealing and verifying are in files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from memoryd.access import queries, sealing
from memoryd.access.chain import personal_about
from memoryd.access.facts import AuditView, Caller
from memoryd.foundation.canonical_json import Json, canonical_bytes, read_json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import TooLarge
from memoryd.foundation.ids import PersonId
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.foundation.texts import storable

FACTS_LIMIT = 256 * 1024
"""Bytes of one entry's facts: a batch of 10,000 files is one entry with counts and a Merkle root, not a list."""

SEQ_LIMIT = 2**63 - 1
"""Source: Postgres, bigint."""


class FactsTooLarge(TooLarge):
    """An audit entry cannot hold this much."""


def note(session: Session, caller: Caller | None, action: str, subject: str, facts: Mapping[str, Json]) -> None:
    """Record that somebody did something, in the transaction that does it.

    `action` reads `asset.tag`, `subject` is an id or another stable word. The person's name is added by this function,
    apart, where it can be erased: `subject` and `facts` must not name people. `caller` None is the server itself.
    Raises: FactsTooLarge beyond FACTS_LIMIT bytes.
    """
    spelled = canonical_bytes(facts)
    if len(spelled) > FACTS_LIMIT:
        raise FactsTooLarge(f"{len(spelled)} bytes of facts (FACTS_LIMIT is {FACTS_LIMIT})")
    named = caller is not None and caller.person_id is not None
    queries.insert_pending(
        session,
        action=action,
        subject=storable(subject)[0],
        via=caller.via if caller else None,
        key_id=caller.key_id if caller else None,
        person_id=caller.person_id if caller else None,
        facts=spelled.decode("ascii"),
        personal=canonical_bytes({"name": caller.name}).decode("ascii") if caller is not None and named else None,
    )


def list_entries(
    session: Session,
    keys: Path,
    *,
    action: str | None = None,
    subject: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[AuditView]:
    """Return sealed entries, newest first, each with who acted where that person was not erased.

    `action` is a whole action or a prefix that ends in a dot (`asset.`); `keys` is the folder of key files.
    Raises: BadCursor, BadPageSize.
    """
    size = page_size(limit)
    before = None if cursor is None else _place(cursor)
    rows = queries.list_latest_entries(
        session,
        before=before,
        action=None if action is None else storable(action)[0],
        subject=None if subject is None else storable(subject)[0],
        limit=size + 1,
    )
    people = {PersonId(row.person_id) for row in rows if row.personal_sealed is not None}
    known = sealing.person_keys(session, keys, people) if people else {}
    views = [_opened(row, known.get(PersonId(row.person_id)) if row.person_id else None) for row in rows[:size]]
    return Page(rows=views, next_cursor=encode_cursor(views[-1].seq) if len(rows) > size else None)


def _place(cursor: str) -> int:
    (seq,) = decode_cursor(cursor, 1)
    if not isinstance(seq, int) or not 0 <= seq <= SEQ_LIMIT:
        raise BadCursor("the cursor is another list's", hint="start again without a cursor")
    return seq


def _opened(row: queries.AnyRow, key: bytes | None) -> AuditView:
    body = read_json(bytes(row.body))
    assert isinstance(body, dict)
    who: Json = None
    if key is not None and row.personal_sealed is not None:
        personal = read_json(sealing.unseal(key, row.personal_sealed, about=personal_about(row.seq)))
        who = personal.get("name") if isinstance(personal, dict) else None
    via = body.get("via")
    return AuditView(
        seq=row.seq,
        at=row.at,
        action=row.action,
        subject=row.subject,
        via=via if isinstance(via, str) else None,
        person_id=PersonId(UUID(str(row.person_id))) if row.person_id else None,
        who=who if isinstance(who, str) else None,
        erased=row.person_id is not None and who is None,
        facts=body.get("facts"),
        hash=row.hash,
    )
