"""Every statement of this room."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import LargeBinary, and_, any_, bindparam, false, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.facts import Sees
from memoryd.catalog.facts import LocationState
from memoryd.catalog.tables.content import Asset, AssetProject, Extraction
from memoryd.catalog.tables.places import Location
from memoryd.catalog.tables.runs import Generation, GenerationOutput
from memoryd.foundation.arrays import Array
from memoryd.foundation.database import Session
from memoryd.foundation.ids import WatchRootId
from memoryd.ingest.changes import Known
from memoryd.ingest.facts import Seen
from memoryd.ingest.rewriting import Before
from memoryd.ingest.tables import IngestRun, Quarantine
from memoryd.ingest.unchanged import Face, Unchanged
from memoryd.storage.tables import Blob

Item = TypeVar("Item")

PLACES_AT_ONCE = 1_000
"""Places named in one statement."""


def upsert_quarantine(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put files into quarantine; one that is there already counts one more try and takes the newer reason."""
    if not rows:
        return
    # Ordered by the unique key: two recorders with the same two files would deadlock otherwise.
    ordered = sorted(rows, key=lambda row: (str(row["watch_root_id"]), row["path"]))
    statement = insert(Quarantine)
    new = statement.excluded
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Quarantine.watch_root_id, func.sha256(Quarantine.path)],
            index_where=Quarantine.resolved_at.is_(None),
            set_={
                "shown": new.shown,
                "size": new.size,
                "mtime_ns": new.mtime_ns,
                "sha256": new.sha256,
                "reason": new.reason,
                "detail": new.detail,
                "tries": Quarantine.tries + 1,
                "next_try_at": new.next_try_at,
            },
        ),
        [dict(row) for row in ordered],
    )


def list_tries(session: Session, places: Sequence[tuple[WatchRootId | None, bytes]]) -> dict[tuple[Any, bytes], int]:
    """Return how often each of these places was tried, for those that are in quarantine."""
    if not places:
        return {}
    tries: dict[tuple[Any, bytes], int] = {}
    for row in session.execute(_open_at(places, Quarantine.watch_root_id, Quarantine.path, Quarantine.tries)):
        tries[row.watch_root_id, row.path] = row.tries
    return tries


def resolve_quarantine(
    session: Session, places: Sequence[tuple[WatchRootId | None, bytes]], *, resolution: str, now: datetime.datetime
) -> int:
    """Close what is open at these places; return how many rows that was."""
    open_ids = session.scalars(_open_at(places, Quarantine.id).order_by(Quarantine.id).with_for_update()).all()
    if open_ids:
        session.execute(
            update(Quarantine)
            .where(Quarantine.id.in_(open_ids))
            .values(resolved_at=now, resolution=resolution, next_try_at=None)
        )
    return len(open_ids)


def _any_of(digests: list[bytes]) -> Any:
    # One array: a parameter each would be spelled, sent and planned a thousand times.
    return any_(bindparam(None, digests, Array(LargeBinary), unique=True))


def _open_at(places: Sequence[tuple[WatchRootId | None, bytes]], *columns: Any) -> Any:
    digest = func.sha256(Quarantine.path)
    of_root: dict[WatchRootId | None, list[bytes]] = {}
    for root_id, path in places:
        of_root.setdefault(root_id, []).append(hashlib.sha256(path).digest())
    return select(*columns).where(
        Quarantine.resolved_at.is_(None),
        or_(
            false(),
            *(
                and_(
                    Quarantine.watch_root_id.is_(None) if root_id is None else Quarantine.watch_root_id == root_id,
                    digest == _any_of(digests),
                )
                for root_id, digests in of_root.items()
            ),
        ),
    )


def list_waiting_in_quarantine(session: Session, root_id: WatchRootId, now: datetime.datetime) -> list[Any]:
    """Return (path, size, mtime_ns) of a root's open rows whose next try is not due: such a file is left alone."""
    return list(
        session.execute(
            select(Quarantine.path, Quarantine.size, Quarantine.mtime_ns).where(
                Quarantine.watch_root_id == root_id,
                Quarantine.resolved_at.is_(None),
                (Quarantine.next_try_at.is_(None)) | (Quarantine.next_try_at > now),
            )
        )
    )


def list_open_paths(session: Session, root_id: WatchRootId) -> list[bytes]:
    """Return the paths of a root's open rows."""
    return list(
        session.scalars(
            select(Quarantine.path).where(Quarantine.watch_root_id == root_id, Quarantine.resolved_at.is_(None))
        )
    )


def list_quarantine(session: Session, *, sees: Sees, before: UUID | None, resolved: bool, limit: int) -> list[Any]:
    """Return rows, newest first, after the row named by `before`."""
    statement = select(Quarantine.__table__).order_by(Quarantine.id.desc()).limit(limit)
    if not resolved:
        statement = statement.where(Quarantine.resolved_at.is_(None))
    if sees is not None:
        statement = statement.where(Quarantine.project_id.in_(sees))
    if before is not None:
        statement = statement.where(Quarantine.id < before)
    return list(session.execute(statement))


def list_due(session: Session, now: datetime.datetime, limit: int) -> list[Any]:
    """Return open rows whose next try is due, longest due first."""
    return list(
        session.execute(
            select(Quarantine.__table__)
            .where(Quarantine.resolved_at.is_(None), Quarantine.next_try_at <= now)
            .order_by(Quarantine.next_try_at)
            .limit(limit)
        )
    )


def find_quarantine(session: Session, quarantine_id: UUID) -> Any | None:
    """Return one row, open or resolved."""
    return session.execute(select(Quarantine.__table__).where(Quarantine.id == quarantine_id)).one_or_none()


def update_next_try(session: Session, quarantine_id: UUID, now: datetime.datetime) -> None:
    """Make an open row due now."""
    session.execute(
        update(Quarantine)
        .where(Quarantine.id == quarantine_id, Quarantine.resolved_at.is_(None))
        .values(next_try_at=now)
    )


def _known(rows: Any) -> dict[bytes, Known]:
    known: dict[bytes, Known] = {}
    for row in rows:
        face = Seen(size=row.size, mtime_ns=row.mtime_ns, inode=row.inode or 0, device=row.device or 0)
        known[row.path] = Known(
            id=row.id, face=face if row.asset_id is not None else None, present=row.state != LocationState.MISSING.value
        )
    return known


_PLACE = (
    Location.id,
    Location.path,
    Location.size,
    Location.mtime_ns,
    Location.inode,
    Location.device,
    Location.state,
    Location.asset_id,
)


def list_known(session: Session, root_id: WatchRootId | None, below: bytes) -> dict[bytes, Known]:
    """Return the places of a root (of none: absolute paths), or of its part `below`, by path."""
    statement = select(*_PLACE).where(Location.watch_root_id.is_not_distinct_from(root_id))
    if below:
        prefix = below.rstrip(b"/") + b"/"
        statement = statement.where(func.substring(Location.path, 1, len(prefix)) == prefix)
    return _known(session.execute(statement))


def _faces(root_id: WatchRootId | None, below: bytes, *conditions: Any) -> Any:
    statement = select(Location.path, Location.size, Location.mtime_ns, Location.inode).where(
        Location.watch_root_id.is_not_distinct_from(root_id), *conditions
    )
    if below:
        prefix = below.rstrip(b"/") + b"/"
        statement = statement.where(func.substring(Location.path, 1, len(prefix)) == prefix)
    return statement


def _streamed(session: Session, statement: Any) -> Iterator[Face]:
    rows = session.execute(statement, execution_options={"yield_per": PLACES_AT_ONCE * 5})
    for path, size, mtime_ns, inode in rows:
        yield path, size, mtime_ns, inode or 0


def iterate_faces(session: Session, root_id: WatchRootId | None, below: bytes) -> Iterator[Face]:
    """Yield the faces of the places of a root (of none: absolute paths), or of its part `below`, that hold a file now."""
    holds = (Location.state == LocationState.RECORDED.value, Location.asset_id.is_not(None))
    return _streamed(session, _faces(root_id, below, *holds))


def list_unseen(session: Session, root_id: WatchRootId | None, below: bytes, unchanged: Unchanged) -> list[bytes]:
    """Return the paths of the places that are not missing, and where no file was seen."""
    conditions = [Location.state != LocationState.MISSING.value]
    if unchanged.all_seen:
        conditions.append(Location.state != LocationState.RECORDED.value)
    faces = _streamed(session, _faces(root_id, below, *conditions))
    unseen: list[bytes] = []
    while some := list(itertools.islice(faces, PLACES_AT_ONCE * 5)):
        left = [face[0] for face, seen in zip(some, unchanged.was_seen(some), strict=True) if not seen]
        unseen += [path for path, there in zip(left, unchanged.was_there(left), strict=True) if not there]
    return unseen


def list_known_at(session: Session, root_id: WatchRootId | None, paths: Collection[bytes]) -> dict[bytes, Known]:
    """Return the places at these paths, by path."""
    known: dict[bytes, Known] = {}
    for some in _portions(list(paths)):
        digests = [hashlib.sha256(path).digest() for path in some]
        known |= _known(
            session.execute(
                select(*_PLACE).where(
                    Location.watch_root_id.is_not_distinct_from(root_id),
                    func.sha256(Location.path) == _any_of(digests),
                )
            )
        )
    return known


def list_known_inodes(session: Session, root_id: WatchRootId, inodes: Collection[int]) -> dict[bytes, Known]:
    """Return the present places of a root whose file had one of these inode numbers, by path."""
    known: dict[bytes, Known] = {}
    for some in _portions(list(inodes)):
        known |= _known(
            session.execute(
                select(*_PLACE).where(
                    Location.watch_root_id == root_id,
                    Location.inode.in_(some),
                    Location.state == LocationState.RECORDED.value,
                )
            )
        )
    return known


def count_present(session: Session, root_id: WatchRootId) -> int:
    """Return how many files of a root are recorded as being there."""
    return session.scalars(
        select(func.count()).where(Location.watch_root_id == root_id, Location.state == LocationState.RECORDED.value)
    ).one()


def list_contents_at(
    session: Session, places: Sequence[tuple[WatchRootId | None, bytes]]
) -> dict[tuple[WatchRootId | None, bytes], Before]:
    """Return what these places hold as recorded, with the exact graphs known for it."""
    found: dict[tuple[WatchRootId | None, bytes], Before] = {}
    exacts = (
        select(func.array_agg(Generation.exact))
        .join(GenerationOutput, GenerationOutput.generation_id == Generation.id)
        .where(GenerationOutput.asset_id == Asset.id, Generation.exact.is_not(None))
        .scalar_subquery()
    )
    for some in _portions(list(places)):
        digests = [hashlib.sha256(path).digest() for _, path in some]
        rows = session.execute(
            select(Location.watch_root_id, Location.path, Location.state, Asset.sha256, exacts.label("exacts"))
            .join(Asset, Asset.id == Location.asset_id)
            .where(func.sha256(Location.path) == _any_of(digests))
        )
        for row in rows:
            root_id = None if row.watch_root_id is None else WatchRootId(row.watch_root_id)
            found[root_id, row.path] = Before(
                sha256=row.sha256,
                exacts=frozenset(row.exacts or ()),
                present=row.state == LocationState.RECORDED.value,
            )
    return found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SentContent:
    """Content that somebody claims to have, as it is known: whether the caller sees it, and whether its bytes were read."""

    seen: bool
    read: bool


def list_sent_contents(session: Session, digests: Collection[bytes], sees: Sees) -> dict[bytes, SentContent]:
    """Return which of these contents (32 bytes each) are known, and how."""
    claimed = select(Extraction.asset_id).where(Extraction.asset_id == Asset.id, Extraction.plugin.startswith("sent:"))
    read = select(Extraction.asset_id).where(Extraction.asset_id == Asset.id, ~Extraction.plugin.startswith("sent:"))
    owned = select(AssetProject.asset_id).where(AssetProject.asset_id == Asset.id)
    seen = true() if sees is None else owned.where(AssetProject.project_id.in_(sees)).exists()
    rows = session.execute(
        select(Asset.sha256, seen.label("seen"), (read.exists() | ~claimed.exists()).label("read")).where(
            Asset.sha256.in_(digests)
        )
    )
    return {row.sha256: SentContent(seen=row.seen, read=row.read) for row in rows}


def list_kept(session: Session, digests: Collection[bytes]) -> set[bytes]:
    """Return which of these contents have their bytes in the blob store."""
    return set(session.scalars(select(Blob.sha256).where(Blob.sha256.in_(digests))))


def insert_run(session: Session, **values: Any) -> None:
    """Insert a taking-in."""
    session.execute(insert(IngestRun).values(**values))


def update_run(session: Session, run_id: UUID, **values: Any) -> None:
    """Write how far a taking-in is, and that its process lives."""
    living = update(IngestRun).where(IngestRun.id == run_id)
    if values["ended_at"] is None:
        # A beat that was late must not call a run alive that has ended.
        living = living.where(IngestRun.ended_at.is_(None))
    session.execute(living.values(**values, beat_at=func.clock_timestamp()))


_RUN = (IngestRun.__table__, (func.clock_timestamp() - IngestRun.beat_at).label("silent"))


def find_run(session: Session, run_id: UUID) -> Any | None:
    """Return a taking-in, and for how long its process has been silent."""
    return session.execute(select(*_RUN).where(IngestRun.id == run_id)).one_or_none()


def list_runs(session: Session, *, by: UUID | None, limit: int) -> list[Any]:
    """Return the newest takings-in (`by`: only a person's), newest first."""
    statement = select(*_RUN).order_by(IngestRun.id.desc()).limit(limit)
    return list(session.execute(statement if by is None else statement.where(IngestRun.by_person == by)))


def take_over_run(session: Session, run_id: UUID, *, running: Collection[str], silent_s: float, host: str) -> bool:
    """Let this process go on with a taking-in that nobody works on; tell whether it is ours now."""
    nobody = IngestRun.state.not_in(running) | (
        IngestRun.beat_at < func.clock_timestamp() - datetime.timedelta(seconds=silent_s)
    )
    taken = (
        update(IngestRun)
        .where(IngestRun.id == run_id, nobody)
        .values(
            state="looking",
            host=host,
            beat_at=func.clock_timestamp(),
            ended_at=None,
            reading_since=None,
            error=None,
            hint=None,
        )
        .returning(IngestRun.id)
    )
    return session.scalar(taken) is not None


def _portions(items: list[Item]) -> Iterator[list[Item]]:
    for start in range(0, len(items), PLACES_AT_ONCE):
        yield items[start : start + PLACES_AT_ONCE]
