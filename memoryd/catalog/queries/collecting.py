"""Statements about which blobs anything refers to. They ask every table of the tenant, of whatever room."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, text

from memoryd.foundation.database import Session
from memoryd.storage.tables import Blob

_COLUMNS = text("""
    select format('%I', c.relname) as place, format('%I', a.attname) as name, a.atttypid = 'bytea'::regtype as digests
      from pg_attribute a join pg_class c on c.oid = a.attrelid
     where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'blob'
       and a.attnum > 0 and not a.attisdropped and a.atttypid in ('bytea'::regtype, 'jsonb'::regtype, 'json'::regtype)
     order by 1, 2""")


def list_referred_to(session: Session, digests: Sequence[bytes]) -> set[bytes]:
    """Return those of these SHA-256 that any column of the tenant's tables holds: as bytes, or in hex inside of JSON."""
    wanted, found = set(digests), set[bytes]()
    for column in session.execute(_COLUMNS).all():
        left = sorted(wanted - found)
        if not left:
            break
        # Both names come from the database's own catalogue, quoted by it.
        if column.digests:
            statement = text(f"select distinct {column.name} from {column.place} where {column.name} = any(:digests)")
            found.update(bytes(value) for value in session.scalars(statement, {"digests": left}))
        else:
            statement = text(
                "select distinct lower(m[1]) from "
                f"(select regexp_matches({column.name}::text, '([0-9a-fA-F]{{64}})', 'g') as m from {column.place}) as said"
                " where lower(m[1]) = any(:names)"
            )
            names = session.scalars(statement, {"names": [digest.hex() for digest in left]})
            found.update(bytes.fromhex(name) for name in names)
    return found


def lock_collectable(session: Session, digests: Sequence[bytes], older_than_s: float) -> tuple[set[bytes], set[bytes]]:
    """Lock the rows of these blobs; return the hashes with a row, and those of them that are held or were touched since."""
    statement = (
        select(
            Blob.sha256,
            (Blob.held | (Blob.touched_at > text("clock_timestamp() - make_interval(secs => :age)"))).label("stays"),
        )
        .where(Blob.sha256.in_(digests))
        .order_by(Blob.sha256)
        .with_for_update()
    )
    rows = session.execute(statement, {"age": older_than_s}).all()
    return {row.sha256 for row in rows}, {row.sha256 for row in rows if row.stays}
