"""Taking over what workers tell of their model files, for a tenant that they serve: a chore, done whenever something is told.

A folder that several workers see is one place, whose names are kept once. A worker that does not serve the tenant any more,
or was removed, takes its places with it; one that merely rests does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from memoryd.access import audit
from memoryd.dispatch import model_descriptions
from memoryd.dispatch.model_descriptions import FileTold, PlaceTold
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import WorkerId
from memoryd.model_registry import recording
from memoryd.model_registry.facts import Observation, PlaceKind, Recorded
from memoryd.model_registry.queries import models as model_queries
from memoryd.model_registry.queries import names as queries
from memoryd.model_registry.scanning import NAME_LIMIT
from memoryd.weights.describing import ModelFacts
from memoryd.weights.kinds import guess_kind

CHORE_KIND = model_descriptions.FOLLOW
BATCH = 500
"""Models of one transaction, their descriptions with them."""
ROUNDS_LIMIT = 3
"""How often it is looked whether more was told meanwhile; what comes later brings a chore of its own."""

_LOCAL = "local"
_Item = TypeVar("_Item")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Followed:
    """What was taken over of a place from one worker."""

    key: str
    worker_id: UUID
    root: str
    told: bytes


def follow(database: Database, tenant: TenantScope, *, on_step: Callable[[], None] = lambda: None) -> Recorded:
    """Take over what workers that serve a tenant told, where it is another than before; return what that changed.

    Safe to repeat and to break off. `on_step` is called after every transaction. Raises: DatabaseDown.
    """
    total = Recorded()
    for _ in range(ROUNDS_LIMIT):
        with database.farm_work() as session:
            serving = model_descriptions.list_serving(session, tenant.id)
            told = model_descriptions.list_told(session, tenant.id)
        with database.tenant_work(tenant) as session:
            closed = _close_places(session, serving)
            changed = _changed(session, told)
        total += Recorded(names_gone=closed)
        for places in changed.values():
            total += _take_over(database, tenant, places, on_step)
        if not changed:
            break
    return total


def _close_places(session: Session, serving: Mapping[WorkerId, str]) -> int:
    """Forget workers that do not serve the tenant any more, and end the names that only they told of."""
    gone = sorted({row.worker_id for row in queries.list_followed(session)} - set(serving))
    left = queries.forget_workers(session, gone) if gone else []
    closed = queries.close_places(session, left) if left else 0
    if gone:
        facts: dict[str, Json] = {"workers": [str(one) for one in gone], "places": len(left), "names_gone": closed}
        audit.note(session, None, "model.unfollow", "models", facts)
    return closed


def _changed(session: Session, told: Sequence[PlaceTold]) -> dict[str, list[PlaceTold]]:
    """Return the places, by key, of which some worker tells something else than was taken over."""
    followed = [
        _Followed(key=row.key, worker_id=row.worker_id, root=row.root, told=bytes(row.told))
        for row in queries.list_followed(session)
    ]
    _rename(session, told, followed)
    known = {(one.key, one.worker_id): one.told for one in followed}
    by_key: dict[str, list[PlaceTold]] = {}
    for place in told:
        by_key.setdefault(_key(place), []).append(place)
    return {
        key: places
        for key, places in by_key.items()
        if any(known.get((key, place.worker_id)) != place.digest for place in places)
    }


def _rename(session: Session, told: Sequence[PlaceTold], followed: list[_Followed]) -> None:
    """Give folders of machines that were started anew their new keys: they are the places that they were."""
    for place in told:
        known = {one.key for one in followed}
        if place.kind != _LOCAL or place.key is None or place.key in known:
            continue
        stated = {other.key for other in told}
        for at, one in enumerate(followed):
            if (one.worker_id, one.root) == (place.worker_id, place.root) and one.key not in stated:
                queries.rename_place(session, one.key, place.key)
                old = one.key
                followed[:] = [
                    dataclasses.replace(other, key=place.key) if other.key == old else other for other in followed
                ]
                assert followed[at].key == place.key
                break


def _take_over(
    database: Database, tenant: TenantScope, places: Sequence[PlaceTold], on_step: Callable[[], None]
) -> Recorded:
    first = places[0]
    with database.farm_work() as session:
        files = [file for file in model_descriptions.list_files(session, tenant.id, first) if _is_a_name(first, file)]
    hashed = {(file.folder, file.path): file for file in files if file.sha256 is not None}
    new = 0
    for some in _chunks(sorted({file.sha256: file for file in hashed.values()}.items(), key=lambda one: str(one[0]))):
        new += _keep_models(database, tenant, [file for _, file in some])
        on_step()
    with database.tenant_work(tenant) as session:
        shared = first.kind in ("share", "marker")
        place_id = queries.ensure_place(
            session,
            key=_key(first),
            kind=(PlaceKind.SHARED if shared else PlaceKind.OWN).value,
            worker=first.label,
            root=first.root,
        )
        recorded = recording.keep_names(session, place_id, [_seen(file, None) for file in hashed.values()])
        gone = _close_gone(session, place_id, files)
        for place in places:
            queries.note_worker(
                session,
                place_id=place_id,
                worker_id=place.worker_id,
                label=place.label,
                root=place.root,
                told=place.digest,
            )
        total = recorded + Recorded(models_new=new, names_gone=gone)
        if total != Recorded():
            facts = {"place": str(place_id), **dataclasses.asdict(total)}
            audit.note(session, None, "model.follow", "models", facts)
    on_step()
    return total


def _keep_models(database: Database, tenant: TenantScope, files: Sequence[FileTold]) -> int:
    sha256s = [file.sha256 for file in files if file.sha256 is not None]
    with database.tenant_work(tenant) as session:
        stamps = model_queries.find_stamps(session, sha256s)
    # Of one that is as it was read nothing is asked; one that nobody described is recorded by its hash.
    fresh = [file for file in files if file.sha256 not in stamps or (file.stamp and stamps[file.sha256] != file.stamp)]
    if not fresh:
        return 0
    with database.farm_work() as session:
        described = model_descriptions.read_descriptions(
            session, tenant.id, [file.sha256 for file in fresh if file.sha256 is not None]
        )
    with database.tenant_work(tenant) as session:
        seen: dict[bytes, Observation] = {}
        for file in fresh:
            assert file.sha256 is not None
            told = described.get(file.sha256)
            seen[file.sha256] = _seen(file, None if told is None else told[1])
        new = recording.keep_models(session, seen)
        model_queries.note_stamps(
            session, {one.sha256: one.stamp for one in fresh if one.sha256 in described and one.sha256 and one.stamp}
        )
    return new


def _close_gone(session: Session, place_id: UUID, files: Sequence[FileTold]) -> int:
    """End names that are not stated any more, and those whose file changed and is not hashed yet.

    Of a folder of which nothing is stated none is: that is what a disk looks like that is not mounted (INV-8).
    """
    unhashed = [
        {"folder": f.folder, "path": f.path, "size": f.size, "mtime_ns": f.mtime_ns, "sha256": None}
        for f in files
        if f.sha256 is None and f.size is not None and f.mtime_ns is not None
    ]
    closed = queries.close_unhashed(session, place_id, unhashed) if unhashed else 0
    return closed + queries.close_missing(session, place_id, [(file.folder, file.path) for file in files])


def _seen(file: FileTold, facts: ModelFacts | None) -> Observation:
    if facts is None:
        kind = guess_kind(None, f"{file.folder}/{file.path}")
        facts = ModelFacts(kind=kind, base=None, stated={}, licence=None, aliases={}, findings=())
    return Observation(
        folder=file.folder,
        path=file.path,
        size=file.size or 0,
        mtime_ns=file.mtime_ns or 0,
        sha256=file.sha256,
        facts=facts,
    )


def _is_a_name(place: PlaceTold, file: FileTold) -> bool:
    parts = file.path.split("/")
    fits = len(f"{place.root}{file.folder}/{file.path}".encode()) <= NAME_LIMIT
    return fits and "" not in parts and ".." not in parts and "/" not in file.folder


def _key(place: PlaceTold) -> str:
    return place.key if place.key is not None else f"worker:{place.worker_id}"


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
