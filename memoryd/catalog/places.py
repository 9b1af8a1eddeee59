"""Places where copies lie, as they are seen, renamed, missed and found again. Nothing here touches an asset: a rename
moves a place, and what people attached hangs on the line (INV-2). Nothing of a root that is not online goes missing
(INV-8)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from memoryd.catalog.column_limits import shown
from memoryd.catalog.facts import Location, LocationPastReason, LocationRecord, LocationState, Observation, Sighting
from memoryd.catalog.queries import places as queries
from memoryd.catalog.sighting import judge
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound, TooLarge
from memoryd.foundation.ids import AssetId, LocationId, ProjectId, WatchRootId, new_id

OBSERVE_LIMIT = 10_000
"""Files of one call: a scan goes through a folder in parts, and never holds all its places locked."""

LIST_LIMIT = 10_000
"""Places of one answer of `list_known`."""


class LocationNotFound(NotFound):
    """There is no such place."""


class TooManyFiles(TooLarge):
    """These are too many files for one call."""


def observe(
    session: Session,
    watch_root_id: WatchRootId,
    seen: Sequence[LocationRecord],
    *,
    gone: Collection[bytes] = (),
) -> list[Observation]:
    """Compare files that were seen below a root with what is recorded; return what each is, in order.

    Files that are as recorded are noted as seen (and are no longer missing); renamed places are moved along. NEW and
    CHANGED ones must be read. `gone` are names below the root that the caller looked for and did not find: with
    MAYBE_RENAMED the caller looks whether `before` is still there and asks again. At most OBSERVE_LIMIT files.

    Raises: TooManyFiles.
    """
    if len(seen) > OBSERVE_LIMIT:
        raise TooManyFiles(f"{len(seen)} files", hint=f"observe at most {OBSERVE_LIMIT} at once (OBSERVE_LIMIT)")
    if not seen:
        return []
    at_path = queries.find_at_paths(session, watch_root_id, [file.path for file in seen])
    strange = {file.inode for file in seen if file.inode is not None and _is_strange(file, at_path.get(file.path))}
    at_inode = queries.find_at_inodes(session, watch_root_id, strange) if strange else []
    judged = judge(seen, at_path, at_inode, gone)
    same = [one.known.id for one in judged if one.sighting is Sighting.SAME and one.known is not None]
    if same:
        queries.touch_seen(session, same)
    observations = []
    for one in judged:
        location = one.known
        if one.sighting is Sighting.RENAMED and one.before is not None:
            location = rename(session, one.before.id, one.seen)
        observations.append(Observation(seen=one.seen, sighting=one.sighting, location=location, before=one.before))
    return observations


def _is_strange(file: LocationRecord, known: Location | None) -> bool:
    return known is None or known.asset_id is None or file.size != known.size or file.mtime_ns != known.mtime_ns


def rename(session: Session, location_id: LocationId, to: LocationRecord) -> Location:
    """Move a place to another name (and root); return it as it is now. The asset stays, the old name goes to its past.

    A place that is recorded under the new name is overwritten: what it held goes to the past as well.
    Raises: LocationNotFound.
    """
    location = queries.find_location(session, location_id)
    if location is None:
        raise LocationNotFound(f"location {location_id}", hint="look at the folder again")
    in_the_way = queries.find_at_paths(session, to.watch_root_id, [to.path]).get(to.path)
    if in_the_way is not None and in_the_way.id != location_id:
        queries.insert_past(session, in_the_way, LocationPastReason.OVERWRITTEN)
        queries.move_past(session, in_the_way.id, location_id)
        queries.delete_location(session, in_the_way.id)
    queries.insert_past(session, location, LocationPastReason.RENAMED)
    moved = {
        "watch_root_id": to.watch_root_id,
        "path": to.path,
        "shown_path": shown(to.path),
        "size": to.size,
        "mtime_ns": to.mtime_ns,
        "inode": to.inode,
        "device": to.device,
    }
    queries.move_location(session, location_id, moved)
    found = queries.find_location(session, location_id)
    assert found is not None
    return found


def arrive(
    session: Session, records: Sequence[LocationRecord], project_id: ProjectId | None = None
) -> dict[bytes, LocationId]:
    """Record files whose content is not yet known (very large ones), to be found by name; return path -> location.

    Known places stay as they are and are left out.
    """
    rows = {
        (record.watch_root_id, record.path): {
            "id": new_id(),
            "watch_root_id": record.watch_root_id,
            "path": record.path,
            "shown_path": shown(record.path),
            "size": record.size,
            "mtime_ns": record.mtime_ns,
            "inode": record.inode,
            "device": record.device,
            "project_id": project_id,
            "state": LocationState.ARRIVING.value,
        }
        for record in records
    }
    if not rows:
        return {}
    return {path: LocationId(id_) for path, id_ in queries.insert_arriving(session, list(rows.values())).items()}


def mark_missing(session: Session, locations: Collection[UUID]) -> list[LocationId]:
    """Mark places as missing; return those that were marked.

    Left alone: places of a root that is not online (INV-8), and those that are missing already.
    """
    return [LocationId(id_) for id_ in queries.mark_missing(session, sorted(locations))] if locations else []


def restore(session: Session, locations: Collection[UUID]) -> None:
    """Note that places were seen now as they were recorded: what was missing is there again."""
    if locations:
        queries.touch_seen(session, sorted(locations))


def list_known(
    session: Session, watch_root_id: WatchRootId, *, after: bytes = b"", limit: int = LIST_LIMIT
) -> list[Location]:
    """Return a root's places, ordered by the SHA-256 of their path; `after` is the last such hash of the page before."""
    return queries.list_locations(session, watch_root_id, after, min(limit, LIST_LIMIT))


def find_at(session: Session, watch_root_id: WatchRootId | None, paths: Collection[bytes]) -> dict[bytes, Location]:
    """Return the recorded places under these names of a root, by name; locked until the transaction ends."""
    return queries.find_at_paths(session, watch_root_id, paths) if paths else {}


def list_places(session: Session, asset_id: AssetId) -> list[Location]:
    """Return the places of an asset, present ones first, whatever a caller may see: for rooms above this one."""
    return queries.list_locations_of_asset(session, asset_id)
