"""The trail as a file that is verified offline: one JSON object per line, a header first, an end last."""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import UUID

from memoryd.access import queries
from memoryd.access.chain import ChainCheck, ChainVerdict, Checkpoint, SealedEntry, read_statement, shown_time
from memoryd.access.sealer import public_key
from memoryd.foundation.canonical_json import Json, NotJson, canonical_bytes, read_json
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import TenantId

EXPORT_KIND = "memoryd audit trail"
CHECKPOINT_KIND = "memoryd audit checkpoint"
FORMAT_VERSION = 1
PAGE_ENTRIES = 2_000
LINE_LIMIT = 4 * 1024 * 1024
"""Bytes of one line: FACTS_LIMIT with every character escaped fits twice."""

_UNREADABLE = (KeyError, ValueError, TypeError, binascii.Error, NotJson)


class NotAnExport(NotAcceptable):
    """This file is no export of an audit trail."""


class NotACheckpoint(NotAcceptable):
    """This file is no checkpoint of an audit trail."""


def verify_trail(
    database: Database, tenant: TenantScope, keys: Path, outside: tuple[Checkpoint, ...] = ()
) -> ChainVerdict:
    """Return what is wrong with a tenant's trail in the database.

    `outside` are checkpoints that were kept elsewhere: without one, a trail cut off together with its own checkpoints
    looks whole. Pages are read in units of work of their own; entries sealed meanwhile are checked too.
    """
    with database.tenant_work(tenant) as session:
        inside = tuple(_checkpoint(row) for row in queries.list_checkpoints(session))
    trusted = outside[0].public_key if outside else public_key(keys)
    check = ChainCheck(tenant.id, (*outside, *inside), trusted_key=trusted)
    for page in _pages(database, tenant):
        check.feed(page)
    with database.tenant_work(tenant) as session:
        return check.verdict(unsealed=queries.count_pending(session))


def export_trail(database: Database, tenant: TenantScope) -> Iterator[bytes]:
    """Yield the lines of a tenant's whole trail. Names stay sealed; who holds the keys can still erase them."""
    with database.tenant_work(tenant) as session:
        checkpoints = [_checkpoint(row) for row in queries.list_checkpoints(session)]
        unsealed = queries.count_pending(session)
    yield _line(
        {
            "kind": EXPORT_KIND,
            "v": FORMAT_VERSION,
            "tenant": str(tenant.id),
            "slug": tenant.slug,
            "at": shown_time(datetime.datetime.now(datetime.UTC)),
            "checkpoints": [_checkpoint_shape(checkpoint) for checkpoint in checkpoints],
            "unsealed": unsealed,
        }
    )
    entries = 0
    for page in _pages(database, tenant):
        entries += len(page)
        yield b"".join(_line(_entry_shape(entry)) for entry in page)
    yield _line({"end": entries})


def verify_export(lines: Iterable[bytes], outside: tuple[Checkpoint, ...] = ()) -> ChainVerdict:
    """Return what is wrong with an exported trail: no database, no server, no key file. Raises: NotAnExport."""
    remaining = iter(lines)
    header = _read_line(next(remaining, b""))
    try:
        if header["kind"] != EXPORT_KIND or header["v"] != FORMAT_VERSION:
            raise NotAnExport(f"its first line names {header['kind']!r}", hint="make one with `memoryd audit export`")
        tenant = TenantId(UUID(str(header["tenant"])))
        shapes, unsealed = header["checkpoints"], int(str(header["unsealed"]))
        inside = tuple(_read_checkpoint_shape(shape) for shape in shapes) if isinstance(shapes, list) else ()
    except _UNREADABLE as error:
        raise NotAnExport(f"its first line cannot be read ({type(error).__name__})") from None
    check = ChainCheck(tenant, (*outside, *inside), trusted_key=outside[0].public_key if outside else None)
    ended: Json = None
    count = 0
    for line in remaining:
        row = _read_line(line)
        if "end" in row:
            ended = row["end"]
            break
        try:
            check.feed([_read_entry_shape(row)])
        except _UNREADABLE:
            check.note_unreadable(count + 1)
        count += 1
    if ended != count:
        check.note_cut_off()
    return check.verdict(unsealed=unsealed)


def checkpoint_document(checkpoint: Checkpoint) -> dict[str, Json]:
    """Return a checkpoint as a document to be kept outside."""
    return {"kind": CHECKPOINT_KIND, "v": FORMAT_VERSION, **_checkpoint_shape(checkpoint)}


def read_checkpoint(document: bytes) -> Checkpoint:
    """Return the checkpoint that was kept in a file. Raises: NotACheckpoint, also where its signature does not hold."""
    try:
        shape = read_json(document)
        if not isinstance(shape, dict) or shape["kind"] != CHECKPOINT_KIND:
            raise NotACheckpoint("it is another document")
        checkpoint = _read_checkpoint_shape(shape)
    except _UNREADABLE as error:
        raise NotACheckpoint(f"it cannot be read ({type(error).__name__})") from None
    if read_statement(checkpoint) is None:
        raise NotACheckpoint("its signature does not hold", hint="the file was changed after it was written")
    return checkpoint


def _pages(database: Database, tenant: TenantScope) -> Iterator[list[SealedEntry]]:
    after = 0
    while True:
        with database.tenant_work(tenant) as session:
            rows = queries.list_entries(session, after=after, limit=PAGE_ENTRIES)
        if not rows:
            return
        yield [
            SealedEntry(
                seq=row.seq,
                at=row.at,
                action=row.action,
                subject=row.subject,
                person_id=row.person_id,
                body=row.body,
                personal_sealed=row.personal_sealed,
                hash=row.hash,
            )
            for row in rows
        ]
        after = rows[-1].seq


def _checkpoint(row: queries.AnyRow) -> Checkpoint:
    return Checkpoint(statement=row.statement, public_key=row.public_key, signature=row.signature)


def _line(shape: dict[str, Json]) -> bytes:
    return canonical_bytes(shape) + b"\n"


def _read_line(line: bytes) -> dict[str, Json]:
    if len(line) > LINE_LIMIT:
        raise NotAnExport(f"a line of {len(line)} bytes (LINE_LIMIT is {LINE_LIMIT})")
    try:
        row = read_json(line)
    except NotJson:
        row = None
    return row if isinstance(row, dict) else {}


def _entry_shape(entry: SealedEntry) -> dict[str, Json]:
    sealed = entry.personal_sealed
    return {
        "seq": entry.seq,
        "at": shown_time(entry.at),
        "action": entry.action,
        "subject": entry.subject,
        "person": str(entry.person_id) if entry.person_id else None,
        "body": entry.body.decode("ascii", "backslashreplace"),
        "sealed": base64.b64encode(sealed).decode("ascii") if sealed is not None else None,
        "hash": entry.hash.hex(),
    }


def _read_entry_shape(row: dict[str, Json]) -> SealedEntry:
    seq, sealed, person = row["seq"], row["sealed"], row["person"]
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq < 2**63:
        raise ValueError("seq")
    return SealedEntry(
        seq=seq,
        at=datetime.datetime.fromisoformat(str(row["at"])),
        action=str(row["action"]),
        subject=str(row["subject"]),
        person_id=UUID(str(person)) if person is not None else None,
        body=str(row["body"]).encode("utf-8"),
        personal_sealed=base64.b64decode(str(sealed), validate=True) if sealed is not None else None,
        hash=bytes.fromhex(str(row["hash"])),
    )


def _checkpoint_shape(checkpoint: Checkpoint) -> dict[str, Json]:
    return {
        "statement": checkpoint.statement.decode("ascii", "backslashreplace"),
        "public_key": checkpoint.public_key.hex(),
        "signature": checkpoint.signature.hex(),
    }


def _read_checkpoint_shape(shape: Json) -> Checkpoint:
    if not isinstance(shape, dict):
        raise TypeError("checkpoint")
    return Checkpoint(
        statement=str(shape["statement"]).encode("utf-8"),
        public_key=bytes.fromhex(str(shape["public_key"])),
        signature=bytes.fromhex(str(shape["signature"])),
    )
