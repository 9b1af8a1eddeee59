"""What a file seen in a watched folder is, compared with what is recorded. Pure: it looks at no disk and no database.

Only what must be read again is called changed: size, time (newer or older) and inode decide. A rename keeps inode, size
and time under another name; a hard link does too, and is told apart because the first name is still there.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from memoryd.catalog.facts import Location, LocationRecord, LocationState, Sighting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one seen file is. `known` is the place under its name, `before` the place it was renamed from, or may be."""

    seen: LocationRecord
    sighting: Sighting
    known: Location | None = None
    before: Location | None = None


def judge(
    seen: Sequence[LocationRecord],
    at_path: Mapping[bytes, Location],
    at_inode: Sequence[Location],
    gone: Collection[bytes],
) -> list[Judged]:
    """Return what each seen file is, in order.

    `at_path` are the recorded places under the seen names, `at_inode` those with the seen inodes under any name, `gone`
    the names that the caller looked for and did not find. Each place is renamed at most once.
    """
    by_inode: dict[int, list[Location]] = defaultdict(list)
    for location in at_inode:
        if location.inode is not None:
            by_inode[location.inode].append(location)
    names = {file.path for file in seen}
    taken: set[bytes] = set()
    judged = []
    for file in seen:
        one = _judge_one(file, at_path.get(file.path), by_inode, names | taken, gone)
        if one.sighting is Sighting.RENAMED and one.before is not None:
            taken.add(one.before.path)
        judged.append(one)
    return judged


def _judge_one(
    file: LocationRecord,
    known: Location | None,
    by_inode: Mapping[int, Sequence[Location]],
    still_there: Collection[bytes],
    gone: Collection[bytes],
) -> Judged:
    if known is not None and known.asset_id is not None and _same_face(file, known):
        return Judged(seen=file, sighting=Sighting.SAME, known=known)
    candidates = [
        place
        for place in (by_inode.get(file.inode, ()) if file.inode is not None else ())
        if place.path != file.path and place.path not in still_there and _same_face(file, place)
    ]
    for place in candidates:
        if place.path in gone or place.state is LocationState.MISSING:
            return Judged(seen=file, sighting=Sighting.RENAMED, known=known, before=place)
    if candidates:
        return Judged(seen=file, sighting=Sighting.MAYBE_RENAMED, known=known, before=candidates[0])
    if known is None or known.asset_id is None:
        return Judged(seen=file, sighting=Sighting.NEW, known=known)
    return Judged(seen=file, sighting=Sighting.CHANGED, known=known)


def _same_face(file: LocationRecord, place: Location) -> bool:
    # Devices change their number at a reboot, so that a device alone is no reason to read a whole folder again.
    same_inode = file.inode is None or place.inode is None or file.inode == place.inode
    return file.size == place.size and file.mtime_ns == place.mtime_ns and same_inode
