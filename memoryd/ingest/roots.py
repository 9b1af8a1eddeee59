"""Watched folders: added with a marker in them, judged before anything in them is believed to be gone (INV-8)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.catalog import roots as catalog_roots
from memoryd.catalog.facts import Custody, FolderRule, RootState, RootWatcher, WatchRoot
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAcceptable
from memoryd.foundation.ids import PersonId, ProjectId, new_id
from memoryd.foundation.texts import storable
from memoryd.ingest.changes import RootFace, judge_root
from memoryd.ingest.facts import Folder, RootHealth
from memoryd.ingest.media import is_walked

MARKER_NAME = ".memoryd-root"
"""A small file in a root's folder: where it is not, the folder is another, or its file system is not mounted."""

MARKER_LIMIT = 200
"""Bytes of a marker that are read."""

_REMOTE = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "beegfs", "afs", "virtiofs", "ncpfs")
)
"""File systems whose other writers give this machine no events. Source: inotify(7), "network filesystems"."""


class NotAFolder(NotAcceptable):
    """This is no folder that can be watched."""


class RootsOverlap(Conflict):
    """One watched folder may not lie in another."""


def this_host() -> str:
    """Return the name under which this machine's roots are kept."""
    return socket.gethostname()


def ensure_root(
    session: Session,
    *,
    host: str,
    path: Path,
    project_id: ProjectId | None,
    person_id: PersonId | None = None,
    custody: Custody = Custody.REFERENCE,
    aliases: Mapping[str, str] | None = None,
    rules: Sequence[FolderRule] = (),
    makes_projects: bool = False,
    home: Path | None = None,
    caller: Caller | None = None,
) -> WatchRoot:
    """Return the root at a folder of this machine, added (with its marker) where it was none yet.

    `path` is resolved; a marker that lies there already (another host's, or from before a restore) is taken over. `home`
    is where memoryd itself keeps files, which are nobody's pictures. Of a known root, only rules that are given change.
    Raises: NotAFolder; RootsOverlap.
    """
    real = path.expanduser().resolve()
    if not real.is_dir():
        raise NotAFolder(f"{path} is not a folder that can be read", hint="name an existing folder on the server")
    raw = os.fsencode(real)
    if home is not None:
        keep_apart(real, home)
    for root in catalog_roots.list_roots(session, retired=True):
        if root.host != host or root.watched_by is not RootWatcher.SERVER:
            continue
        if root.path == raw:
            if root.retired_at is not None:
                catalog_roots.retire_root(session, root.id, retired=False)
            if rules or makes_projects:
                catalog_roots.set_rules(session, root.id, rules or root.rules, makes_projects=makes_projects or None)
            return catalog_roots.show_root(session, root.id)
        if root.retired_at is not None:
            continue
        if raw.startswith(root.path.rstrip(b"/") + b"/") or root.path.startswith(raw.rstrip(b"/") + b"/"):
            raise RootsOverlap(
                f"{shown(raw)} and {root.shown_path}", hint="watch the outer folder only; its subfolders are included"
            )
    added = catalog_roots.add_root(
        session,
        host=host,
        path=raw,
        marker=place_marker(real),
        device=real.stat().st_dev,
        project_id=project_id,
        person_id=person_id,
        custody=custody,
        aliases=dict(aliases or {}),
    )
    if rules or makes_projects:
        catalog_roots.set_rules(session, added, rules, makes_projects=makes_projects)
    facts: dict[str, Json] = {"path": shown(raw), "custody": custody.value}
    audit.note(session, caller, "root.add", f"root:{added}", facts)
    return catalog_roots.show_root(session, added)


def keep_apart(folder: Path, home: Path) -> None:
    """Return where the memory finds none of its own files in a folder: blobs and thumbnails are not new pictures.

    `folder` is resolved. Raises: RootsOverlap.
    """
    home = home.expanduser().resolve()
    inside = folder.relative_to(home) if folder.is_relative_to(home) else None
    if inside is not None and not (inside.parts and inside.parts[0] == "outputs"):
        raise RootsOverlap(f"{folder} lies in memoryd's own folder {home}", hint="watch where the pictures are written")
    if home.is_relative_to(folder) and all(is_walked(os.fsencode(part)) for part in home.relative_to(folder).parts):
        raise RootsOverlap(
            f"{folder} holds memoryd's own folder {home}", hint="watch a folder beside it, or move MEMORYD_HOME"
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RootWish:
    """How a folder's files are to be taken in."""

    project_id: ProjectId | None
    person_id: PersonId | None
    custody: Custody = Custody.REFERENCE
    rules: tuple[FolderRule, ...] = ()
    makes_projects: bool = False


def ensure_sending_root(session: Session, *, host: str, path: str, wish: RootWish, caller: Caller) -> WatchRoot:
    """Return the root of another machine's folder, whose own watcher sends what it reads; registered where it was not.

    `path` is as that machine spells it. A folder of the same name that somebody else sends is another machine's.
    Raises: BadRoot; RootExists.
    """
    raw = storable(path)[0].encode()
    known = [root for root in catalog_roots.list_roots(session, retired=True) if root.host == host]
    for root in known:
        if root.path == (raw.rstrip(b"/\\") or raw) and root.watched_by is RootWatcher.OUTPOST:
            if root.person_id != caller.person_id:
                break
            if root.retired_at is not None:
                catalog_roots.retire_root(session, root.id, retired=False)
            catalog_roots.change_root(session, root.id, custody=wish.custody)
            if wish.rules:
                catalog_roots.set_rules(session, root.id, wish.rules, makes_projects=wish.makes_projects)
            return catalog_roots.show_root(session, root.id)
    added = catalog_roots.add_root(
        session,
        host=host,
        path=raw,
        project_id=wish.project_id,
        person_id=wish.person_id,
        custody=wish.custody,
        watched_by=RootWatcher.OUTPOST,
    )
    if wish.rules or wish.makes_projects:
        catalog_roots.set_rules(session, added, wish.rules, makes_projects=wish.makes_projects)
    facts: dict[str, Json] = {"path": shown(raw), "host": host, "custody": wish.custody.value}
    audit.note(session, caller, "root.add", f"root:{added}", facts)
    return catalog_roots.show_root(session, added)


def shown(path: bytes) -> str:
    """Return a path as people read it, fit for the database."""
    return storable(path.decode("utf-8", errors="replace"))[0]


def place_marker(folder: Path) -> str | None:
    """Return the folder's marker, written where there was none; None where the folder cannot be written to."""
    there = read_marker(folder)
    if there is not None:
        return there
    marker = f"memoryd root {new_id()}"
    with contextlib.suppress(OSError):
        descriptor = os.open(
            folder / MARKER_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(marker.encode("ascii") + b"\n")
        return marker
    return read_marker(folder)


def read_marker(folder: Path) -> str | None:
    """Return the marker in a folder, None where there is none that can be read."""
    try:
        descriptor = os.open(folder / MARKER_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(descriptor, MARKER_LIMIT).decode("utf-8", errors="replace").strip()
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return storable(text)[0] or None


def health(root: WatchRoot) -> RootHealth:
    """Tell whether what a root's folder shows now can be believed."""
    folder = folder_path(root)
    device: int | None = None
    with contextlib.suppress(OSError):
        # A listing, not only a stat: a stale mount answers the one and fails the other.
        with os.scandir(folder) as entries:
            next(iter(entries), None)
        device = folder.stat().st_dev
    found = RootFace(device=device, marker=read_marker(folder) if device is not None else None)
    return judge_root(expected=RootFace(device=root.device, marker=root.marker), found=found)


def folder_path(root: WatchRoot) -> Path:
    """Return a root's folder on its host."""
    return Path(os.fsdecode(root.path))


def folder_of(root: WatchRoot) -> Folder:
    """Return how a root's files are taken in."""
    return Folder(
        path=folder_path(root),
        root_id=root.id,
        project_id=root.project_id,
        person_id=root.person_id,
        custody=Custody(root.custody),
    )


def root_containing(session: Session, host: str, path: Path) -> WatchRoot | None:
    """Return the root of this host in which an absolute path lies, if any."""
    raw = os.fsencode(path)
    for root in catalog_roots.list_roots(session):
        ours = root.host == host and root.watched_by is RootWatcher.SERVER
        if ours and (raw == root.path or raw.startswith(root.path.rstrip(b"/") + b"/")):
            return root
    return None


def is_remote(folder: Path) -> bool:
    """Tell whether a folder lies on a file system whose other writers give no events here (polled instead)."""
    try:
        mounts = Path("/proc/self/mounts").read_bytes().splitlines()
    except OSError:
        return False
    best, kind = b"", b""
    raw = os.fsencode(folder)
    for line in mounts:
        parts = line.split(b" ")
        if len(parts) < 3:
            continue
        place = parts[1].replace(b"\\040", b" ").rstrip(b"/")
        if (raw == place or raw.startswith(place + b"/")) and len(place) >= len(best):
            best, kind = place, parts[2]
    name = kind.decode("ascii", errors="replace")
    return name in _REMOTE or name.startswith("fuse.")


def go(session: Session, root: WatchRoot, state: RootState, reason: str | None, caller: Caller | None = None) -> None:
    """Put a root into a state, with the reason, and note it; nothing happens where it is in it already."""
    if root.state is state and root.state_reason == reason:
        return
    catalog_roots.set_state(session, root.id, state, reason)
    if root.state is not state:
        facts: dict[str, Json] = {"from": root.state.value, "to": state.value, "reason": reason}
        audit.note(session, caller, f"root.{state.value}", f"root:{root.id}", facts)


def accept_as_it_is(session: Session, root: WatchRoot, caller: Caller | None = None) -> None:
    """Let a person say that a root's folder is the right one as it is now: device and marker are taken anew."""
    folder = folder_path(root)
    if not folder.is_dir():
        raise NotAFolder(f"{root.shown_path} cannot be reached", hint="mount it first; nothing of it is lost meanwhile")
    catalog_roots.change_root(session, root.id, marker=place_marker(folder), device=folder.stat().st_dev)
    go(session, root, RootState.ONLINE, None, caller)
