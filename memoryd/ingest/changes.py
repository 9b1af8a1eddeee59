"""What changed in a folder since the last look. Pure: what is there and what is known go in, changes come out.

Events of the operating system only name paths to look at; what they mean is decided here, as for a rescan, so that a
lost or misleading event cannot make another history than the folder itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from uuid import UUID

from memoryd.ingest.facts import RootHealth, Seen

MASS_VANISHING_SHARE = 0.5
"""Share of a root's files that may vanish in one pass before the root, and not its files, is called gone."""

MASS_VANISHING_LEAST = 20
"""Files that must have vanished before a share of them says anything: small folders are emptied by hand."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A place as the catalogue has it. `face` is None while its content is not known; `present` is False when missing."""

    id: UUID
    face: Seen | None
    present: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be done: `read` (new or other content), `renamed` (known place, new path), `back`, `gone`.

    Paths are bytes relative to the root. A renamed file is not read again: inode, size and mtime are those it had.
    """

    read: tuple[bytes, ...] = ()
    renamed: tuple[tuple[UUID, bytes], ...] = ()
    back: tuple[UUID, ...] = ()
    gone: tuple[UUID, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.read or self.renamed or self.back or self.gone)


def compare(there: Mapping[bytes, Seen], known: Mapping[bytes, Known]) -> Changes:
    """Return the changes between a folder (or the part of it that was looked at) and what is known of the same part.

    Any difference in size, mtime (older too) or inode means other content. A new path whose file is the one that
    vanished from a known path is a rename; with two candidates (hard links) it is read like a new file.
    """
    vanished = {path: place for path, place in known.items() if path not in there}
    left: dict[tuple[int, int, int], list[UUID]] = {}
    for place in vanished.values():
        if place.present and place.face is not None:
            left.setdefault(_trait(place.face), []).append(place.id)
    read: list[bytes] = []
    back: list[UUID] = []
    arrived: dict[tuple[int, int, int], list[bytes]] = {}
    for path, face in there.items():
        before = known.get(path)
        if before is None:
            arrived.setdefault(_trait(face), []).append(path)
        elif before.face is None or _trait(before.face) != _trait(face):
            read.append(path)
        elif not before.present:
            back.append(before.id)
    renamed: list[tuple[UUID, bytes]] = []
    for trait, paths in arrived.items():
        candidates = left.get(trait, [])
        if len(paths) == 1 and len(candidates) == 1:
            renamed.append((candidates[0], paths[0]))
        else:
            read.extend(paths)
    moved = {place_id for place_id, _ in renamed}
    gone = [place.id for place in vanished.values() if place.present and place.id not in moved]
    return Changes(read=tuple(read), renamed=tuple(renamed), back=tuple(back), gone=tuple(gone))


def _trait(face: Seen) -> tuple[int, int, int]:
    # The device is left out: a file server's number changes with every mount. The root's marker guards against that.
    return face.size, face.mtime_ns, face.inode


def is_mass_vanishing(*, gone: int, known_present: int) -> bool:
    """Tell whether so much vanished in one pass that the folder, not its files, must be what is gone."""
    return gone > MASS_VANISHING_LEAST and gone > known_present * MASS_VANISHING_SHARE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RootFace:
    """What a root's folder shows: None for `device` where it cannot be reached, for `marker` where there is none."""

    device: int | None
    marker: str | None = None


def judge_root(*, expected: RootFace, found: RootFace) -> RootHealth:
    """Tell whether a folder is the one that was added as a root.

    The marker is the stronger evidence: where it is the right one, another device number only means another mount.
    """
    if found.device is None:
        return RootHealth.UNREACHABLE
    if expected.marker is not None:
        return RootHealth.WELL if found.marker == expected.marker else RootHealth.MARKER_LOST
    if expected.device is not None and expected.device != found.device:
        return RootHealth.OTHER_DEVICE
    return RootHealth.WELL
