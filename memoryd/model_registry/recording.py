"""Keeping what a scan saw: models once, names with the time for which they had this content."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.model_registry import licences, origins, versions
from memoryd.model_registry.facts import Observation, PlaceKind, PresentName, Recorded
from memoryd.model_registry.licensing import changes
from memoryd.model_registry.queries import models as model_queries
from memoryd.model_registry.queries import names as name_queries
from memoryd.model_registry.scanning import NAME_LIMIT

OBSERVATION_LIMIT = 500
"""Observations of one call."""
GONE_LIMIT = 10_000
WORKER_LIMIT = 200
PRESENT_PAGE = 1_000
NAMES_OF_A_STATEMENT = 10_000
"""On a busy machine these take a few seconds; a statement is given up after STATEMENT_TIMEOUT_S."""


class BadModelName(NotAcceptable):
    """This names no model file."""


class TooManyObservations(TooLarge):
    """These are more observations than one call takes."""


def record_observations(
    session: Session,
    caller: Caller | None,
    *,
    worker: str,
    root: str,
    observations: Sequence[Observation],
    gone: Sequence[tuple[str, str]] = (),
) -> Recorded:
    """Record what a scan of `root` on `worker` saw, and which (folder, path) are gone; repeatable.

    A name whose content changed keeps its old row with its end, and gets a new one: drift is never overwritten.
    Raises: BadModelName, TooManyObservations.
    """
    if len(observations) > OBSERVATION_LIMIT or len(gone) > GONE_LIMIT:
        raise TooManyObservations(
            f"{len(observations)} observations, {len(gone)} gone",
            hint=f"send {OBSERVATION_LIMIT} and {GONE_LIMIT} at most, several times",
        )
    by_key = {(seen.folder, seen.path): seen for seen in observations}
    _check_names(worker, root, [*by_key, *gone])
    place_id = name_queries.ensure_place(
        session, key=scan_key(worker, root), kind=PlaceKind.SCANNED.value, worker=worker, root=root
    )
    new_models = keep_models(session, {seen.sha256: seen for seen in observations if seen.sha256 is not None})
    recorded = keep_names(session, place_id, list(by_key.values()))
    gone_names = name_queries.close_names(session, place_id, sorted(set(gone) - set(by_key)))
    total = recorded + Recorded(models_new=new_models, names_gone=gone_names)
    if total != Recorded():
        facts = {
            "observed": len(observations),
            "models_new": total.models_new,
            "names_new": total.names_new,
            "names_changed": total.names_changed,
            "names_gone": total.names_gone,
        }
        audit.note(session, caller, "model.scan", "models", facts)
    return total


def list_present(
    session: Session, worker: str, root: str, *, after: tuple[str, str] | None = None, limit: int = PRESENT_PAGE
) -> list[PresentName]:
    """Return names as the last scan of a folder left them, by (folder, path), after the one named."""
    place_id = name_queries.find_place(session, scan_key(worker, root))
    rows = [] if place_id is None else name_queries.list_present_names(session, place_id, after=after, limit=limit)
    return [
        PresentName(folder=row.folder, path=row.path, size=row.size, mtime_ns=row.mtime_ns, sha256=row.sha256)
        for row in rows
    ]


def scan_key(worker: str, root: str) -> str:
    """Return the key of the place that a scan of a machine's folder is."""
    return "scan:" + hashlib.sha256(f"{worker}\n{root}".encode()).hexdigest()


def keep_models(session: Session, seen: Mapping[bytes, Observation]) -> int:
    """Record what was read of models, and return how many were not known."""
    # In the order of their hashes: two scans with the same models wait for each other instead of deadlocking.
    ordered = sorted(seen)
    new: set[bytes] = set()
    for first in range(0, len(ordered), OBSERVATION_LIMIT):
        some = ordered[first : first + OBSERVATION_LIMIT]
        before = changes.what_is_said(session, some)
        new |= model_queries.insert_models(session, [_row(sha256, seen[sha256]) for sha256 in some])
        model_queries.insert_aliases(session, [row for sha256 in some for row in _aliases(sha256, seen[sha256])])
        linked = _keep_said(session, [(sha256, seen[sha256]) for sha256 in some])
        changes.note_change(session, models=[*changes.changed_since(session, before, some), *linked])
    return len(new)


def keep_names(session: Session, place_id: UUID, seen: Sequence[Observation]) -> Recorded:
    """Record which content each of these names has now in a place; others of its names stay as they are."""
    if not seen:
        return Recorded()
    rows = [
        {"folder": one.folder, "path": one.path, "size": one.size, "mtime_ns": one.mtime_ns, "sha256": one.sha256}
        for one in seen
    ]
    changed = begun = 0
    for first in range(0, len(rows), NAMES_OF_A_STATEMENT):
        some = rows[first : first + NAMES_OF_A_STATEMENT]
        changed += name_queries.close_changed(session, place_id, some)
        name_queries.touch_names(session, place_id, some)
        begun += name_queries.begin_names(session, place_id, some)
    return Recorded(names_new=begun - changed, names_changed=changed)


def _check_names(worker: str, root: str, keys: Sequence[tuple[str, str]]) -> None:
    if not 0 < len(worker) <= WORKER_LIMIT or not root:
        raise BadModelName(
            f"worker {worker[:50]!r}, folder {root[:50]!r}",
            hint=f"name both, the worker with {WORKER_LIMIT} characters at most",
        )
    for folder, path in keys:
        parts = path.split("/")
        if "/" in folder or "" in parts or ".." in parts:
            raise BadModelName(
                f"{folder[:50]!r} {path[:100]!r}", hint="a role, and a path below it with forward slashes"
            )
        if len(f"{root}{folder}/{path}".encode()) > NAME_LIMIT:
            raise BadModelName(f"{path[:100]!r}…", hint=f"names are {NAME_LIMIT} bytes at most (NAME_LIMIT)")


def _row(sha256: bytes, seen: Observation) -> dict[str, object]:
    facts = seen.facts
    return {
        "sha256": sha256,
        "size": seen.size,
        "kind": facts.kind.value,
        "base": facts.base,
        "header": dict(facts.stated),
        "findings": [finding.as_json() for finding in facts.findings],
        "format": facts.format,
        "base_name": facts.base_name or (facts.sidecars.base_model if facts.sidecars is not None else None),
        "triggers": list(facts.triggers),
        "sidecar": None if facts.sidecars is None else dataclasses.asdict(facts.sidecars),
    }


def _aliases(sha256: bytes, seen: Observation) -> list[dict[str, object]]:
    told = dict.fromkeys(seen.facts.aliases.items(), False)
    told |= dict.fromkeys(seen.facts.measured.items(), True)
    return [
        {"algorithm": algorithm, "value": value, "sha256": sha256, "measured": measured}
        for (algorithm, value), measured in sorted(told.items())
    ]


def _keep_said(session: Session, seen: Sequence[tuple[bytes, Observation]]) -> list[bytes]:
    """Record licences, versions and origins that these files and what lies beside them state; return what is derived anew."""
    stated = [(sha256, licence) for sha256, one in seen if (licence := one.facts.licence) is not None]
    licences.keep_stated(session, stated)
    said = [(sha256, one.facts) for sha256, one in seen]
    versions.keep_stated(session, said)
    derived = origins.keep_stated(session, said)
    hashes = {value for _, one in seen for value in (*one.facts.aliases.values(), *one.facts.measured.values())}
    # By its beginning, too: the ten digits that web UIs write are the SHA-256's own.
    hashes |= {sha256.hex()[:digits] for sha256, _ in seen for digits in (10, 64)}
    return [*derived, *origins.link_new(session, hashes)]
