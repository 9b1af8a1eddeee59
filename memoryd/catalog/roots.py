"""Watch roots: the folders whose files are remembered, how they are called on each machine, and whether they can be
trusted now."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import PureWindowsPath

from memoryd.catalog.column_limits import name, optional_name, shown
from memoryd.catalog.facts import Custody, FolderRule, RootDisclosure, RootState, RootWatcher, Watching, WatchRoot
from memoryd.catalog.queries import places as queries
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAcceptable, NotFound
from memoryd.foundation.ids import PersonId, ProjectId, WatchRootId, new_id, parse_id


class RootNotFound(NotFound):
    """There is no such watched folder."""


class RootExists(Conflict):
    """This folder is watched already."""


class BadRoot(NotAcceptable):
    """This folder cannot be watched."""


def add_root(
    session: Session,
    *,
    host: str,
    path: bytes,
    project_id: ProjectId | None = None,
    person_id: PersonId | None = None,
    person_rule: str | None = None,
    marker: str | None = None,
    device: int | None = None,
    aliases: Mapping[str, str] | None = None,
    custody: Custody = Custody.REFERENCE,
    disclosure: RootDisclosure = RootDisclosure.OFF,
    watched_by: RootWatcher = RootWatcher.SERVER,
) -> WatchRootId:
    """Remember a folder; `path` is absolute, as bytes, on machine `host`, in that machine's own spelling.

    Raises: BadRoot, RootExists.
    """
    foreign = watched_by is RootWatcher.OUTPOST and PureWindowsPath(os.fsdecode(path)).is_absolute()
    if b"\0" in path or not (path.startswith(b"/") or foreign):
        raise BadRoot(f"{shown(path)!r} is not an absolute path", hint="name the folder from / (or its drive) on")
    root = WatchRootId(new_id())
    clean = path.rstrip(b"/\\" if foreign else b"/") or b"/"
    free = queries.insert_root(
        session,
        id=root,
        host=name(host),
        path=clean,
        shown_path=shown(clean),
        marker=marker,
        device=device,
        aliases={name(machine): name(alias) for machine, alias in (aliases or {}).items()},
        project_id=project_id,
        person_id=person_id,
        person_rule=person_rule,
        custody=custody.value,
        disclosure=disclosure.value,
        state=RootState.ONLINE.value,
        watched_by=watched_by.value,
    )
    if not free:
        raise RootExists(f"{shown(clean)} on {host}", hint="`memoryd watch list` shows it")
    return root


def list_roots(session: Session, *, retired: bool = False) -> list[WatchRoot]:
    """Return the watched folders, oldest first; with those no longer watched where `retired`."""
    return queries.list_roots(session, retired=retired)


def show_root(session: Session, root: WatchRootId) -> WatchRoot:
    """Return one watched folder. Raises: RootNotFound."""
    found = queries.list_roots(session, retired=True, root=root)
    if not found:
        raise RootNotFound(f"root {root}", hint="`memoryd watch list` shows them")
    return found[0]


def find_root(session: Session, ref: str, host: str | None = None) -> WatchRoot:
    """Return the watched folder that an id or a path means; `host` tells equal paths of two machines apart.

    Raises: RootNotFound.
    """
    id_ = parse_id(ref)
    if id_ is not None:
        return show_root(session, WatchRootId(id_))
    plain = ref.rstrip("/") or "/"
    for root in list_roots(session, retired=True):
        if root.shown_path == plain and (host is None or root.host == host):
            return root
    raise RootNotFound(f"{ref[:200]!r}", hint="`memoryd watch list` shows them")


def change_root(
    session: Session,
    root: WatchRootId,
    *,
    marker: str | None = None,
    device: int | None = None,
    project_id: ProjectId | None = None,
    custody: Custody | None = None,
    disclosure: RootDisclosure | None = None,
    person_id: PersonId | None = None,
) -> None:
    """Change what is given; what is None stays. Raises: RootNotFound."""
    given = {
        "marker": marker,
        "device": device,
        "project_id": project_id,
        "custody": None if custody is None else custody.value,
        "disclosure": None if disclosure is None else disclosure.value,
        "person_id": person_id,
    }
    _update(session, root, **{column: value for column, value in given.items() if value is not None})


def set_alias(session: Session, root: WatchRootId, machine: str, path: str | None) -> None:
    """Say how a machine spells the folder (`Z:\\out`); None forgets it. Raises: RootNotFound."""
    aliases: dict[str, object] = dict(show_root(session, root).aliases)
    aliases.pop(name(machine), None)
    if path is not None:
        aliases[name(machine)] = name(path)
    _update(session, root, aliases=aliases)


def set_state(session: Session, root: WatchRootId, state: RootState, reason: str | None = None) -> None:
    """Say whether what the folder shows can be trusted, and why not. Raises: RootNotFound."""
    _update(session, root, state=state.value, state_reason=reason, state_at=datetime.datetime.now(datetime.UTC))


def set_rules(
    session: Session, root: WatchRootId, rules: Sequence[FolderRule], *, makes_projects: bool | None = None
) -> None:
    """Say whose the files of a folder are by their paths, first match first; what is recorded stays as it is.

    Raises: RootNotFound.
    """
    stored = [dataclasses.asdict(rule) for rule in rules]
    made: dict[str, object] = {} if makes_projects is None else {"makes_projects": makes_projects}
    _update(session, root, rules=stored, **made)


def note_watching(session: Session, root: WatchRootId, how: Watching | None, why: str | None) -> None:
    """Note how a folder is watched now; None where it is not. Raises: RootNotFound."""
    _update(session, root, watching=None if how is None else how.value, watching_why=optional_name(why))


def note_scan(session: Session, root: WatchRootId) -> None:
    """Note that a whole pass over the folder ended now. Raises: RootNotFound."""
    _update(session, root, scanned_at=datetime.datetime.now(datetime.UTC))


def retire_root(session: Session, root: WatchRootId, *, retired: bool = True) -> None:
    """Stop watching a folder, or begin again; all that was recorded of it stays. Raises: RootNotFound."""
    _update(session, root, retired_at=datetime.datetime.now(datetime.UTC) if retired else None)


def _update(session: Session, root: WatchRootId, **values: object) -> None:
    if values and not queries.update_root(session, root, **values):
        raise RootNotFound(f"root {root}", hint="`memoryd watch list` shows them")
