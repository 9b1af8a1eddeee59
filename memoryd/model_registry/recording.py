"""Keeping what a scan saw: models once, names with the time for which they had this content."""

from __future__ import annotations

from collections.abc import Sequence

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.model_registry import licences, queries
from memoryd.model_registry.facts import Observation, PresentName, Recorded
from memoryd.model_registry.scanning import NAME_LIMIT

OBSERVATION_LIMIT = 500
"""Observations of one call; ten parameters each stay below Postgres's 65,535."""
GONE_LIMIT = 10_000
WORKER_LIMIT = 200
PRESENT_PAGE = 1_000


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
    queries.lock_root(session, worker, root)
    new_models = _keep_models(session, observations)
    recorded = _keep_names(session, worker, root, by_key)
    gone_names = queries.close_names(session, worker, root, sorted(set(gone) - set(by_key)))
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
    return [
        PresentName(folder=row.folder, path=row.path, size=row.size, mtime_ns=row.mtime_ns, sha256=row.sha256)
        for row in queries.list_present_names(session, worker, root, after=after, limit=limit)
    ]


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


def _keep_models(session: Session, observations: Sequence[Observation]) -> int:
    # In the order of their hashes: two scans with the same models wait for each other instead of deadlocking.
    seen = {o.sha256: o for o in observations if o.sha256 is not None}
    ordered = sorted(seen)
    rows = [
        {
            "sha256": sha256,
            "size": seen[sha256].size,
            "kind": seen[sha256].facts.kind.value,
            "base": seen[sha256].facts.base,
            "header": dict(seen[sha256].facts.stated),
            "findings": [finding.as_json() for finding in seen[sha256].facts.findings],
        }
        for sha256 in ordered
    ]
    new = queries.insert_models(session, rows)
    aliases = [
        {"algorithm": algorithm, "value": value, "sha256": sha256}
        for sha256 in ordered
        for algorithm, value in sorted(seen[sha256].facts.aliases.items())
    ]
    queries.insert_aliases(session, aliases)
    stated = [(sha256, licence) for sha256 in ordered if (licence := seen[sha256].facts.licence) is not None]
    licences.keep_stated(session, stated)
    return len(new)


def _keep_names(session: Session, worker: str, root: str, by_key: dict[tuple[str, str], Observation]) -> Recorded:
    if not by_key:
        return Recorded()
    present = {(row.folder, row.path): row.sha256 for row in queries.lock_names(session, worker, root, sorted(by_key))}
    changed = [key for key, sha256 in present.items() if by_key[key].sha256 != sha256]
    queries.close_names(session, worker, root, changed)
    begun = [key for key in sorted(by_key) if key not in present or key in set(changed)]

    def row(key: tuple[str, str]) -> dict[str, object]:
        seen = by_key[key]
        return {"folder": key[0], "path": key[1], "size": seen.size, "mtime_ns": seen.mtime_ns, "sha256": seen.sha256}

    queries.insert_names(session, [{"worker": worker, "root": root, **row(key)} for key in begun])
    queries.touch_names(session, worker, root, [row(key) for key in sorted(by_key) if key not in set(begun)])
    return Recorded(names_new=len(begun) - len(changed), names_changed=len(changed))
