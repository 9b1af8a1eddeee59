"""Pools and job classes: where a job may run, and how urgently."""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Mapping, Sequence

from memoryd.dispatch import telling, waking
from memoryd.dispatch.facts import PoolDepth, PoolView, Urgency
from memoryd.dispatch.queries import fleet, routing
from memoryd.dispatch.queries import pooling as statements
from memoryd.foundation.canonical_json import Json, NotJson, read_json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAcceptable, NotAllowed, NotFound
from memoryd.foundation.ids import PoolId, TenantId, new_id
from memoryd.foundation.texts import storable

DEFAULT_POOL = "default"

MAX_RUN_TIME_S = 3600.0
"""A run is given up after this: videos of minutes take less on the cards of today."""
NO_PROGRESS_LIMIT_S = 900.0
"""A lease without any progress is not extended beyond this: loading the largest models takes 1 to 3 minutes."""
WARM_UP_S = 8.0
"""Loading a checkpoint of 7 GB from a local disk, as a start; set it per pool from what is measured."""

CLASS_IDS = {Urgency.REALTIME: 0, Urgency.STANDARD: 1, Urgency.BATCH: 2}

_CLASSES: tuple[dict[str, object], ...] = (
    {"id": 0, "name": "realtime", "visibility_s": 10.0, "age_offset_s": 0.0, "backoff_s": 0.5, "affinity": 1.0},
    {"id": 1, "name": "standard", "visibility_s": 45.0, "age_offset_s": 30.0, "backoff_s": 5.0, "affinity": 2.5},
    {"id": 2, "name": "batch", "visibility_s": 300.0, "age_offset_s": 900.0, "backoff_s": 60.0, "affinity": 8.0},
)
"""Source: reference measurements; 2.5 loading times halve the makespan, more buys unfairness and little else."""

LABELS_LIMIT = 50
WORD_LIMIT = 200
"""Characters of a region, a licence server's name, a label."""
WARM_UP_GRAPH_LIMIT = 1024 * 1024
"""Characters: a warm-up loads models and makes one small picture."""

_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")


class PoolNotFound(NotFound):
    """There is no such pool."""


class PoolExists(Conflict):
    """There is a pool of this name already."""


class BadPoolName(NotAcceptable):
    """A pool cannot have this name."""


class BadPool(NotAcceptable):
    """A pool cannot be like this."""


class PoolShared(NotAllowed):
    """Other studios use this pool too."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolEdit:
    """What of a pool changes; None stays. Times in seconds, memory in MiB; an empty text takes away what was there.

    `warm_up`: a graph in API format, as JSON text.
    """

    vram_mb: int | None = None
    region: str | None = None
    licence_server: str | None = None
    labels: Mapping[str, str] | None = None
    rank: int | None = None
    max_run_time_s: float | None = None
    no_progress_limit_s: float | None = None
    warm_up_s: float | None = None
    warm_up: str | None = None


def ensure_defaults(session: Session) -> None:
    """Make the job classes and the pool `default`, where they are not there. Safe to repeat."""
    fleet.insert_classes(session, _CLASSES)
    _insert(session, DEFAULT_POOL, shared=True)


def add_pool(
    session: Session,
    name: str,
    *,
    tenant_id: TenantId,
    warm_up_s: float = WARM_UP_S,
    edit: PoolEdit | None = None,
) -> PoolView:
    """Make a pool for one tenant's jobs; `edit` says more about it. Raises: BadPoolName, PoolExists, BadPool."""
    if not _NAME.match(name):
        raise BadPoolName(f"{name[:80]!r}", hint="use small letters, digits, `-` and `_`, at most 63")
    pool_id = _insert(session, name, shared=False, warm_up_s=warm_up_s)
    if pool_id is None:
        raise PoolExists(f"pool {name!r}", hint="choose another name; pools of other studios may have taken it")
    fleet.insert_grant(session, tenant_id=tenant_id, pool_id=pool_id)
    if edit is not None:
        statements.update_pool(session, pool_id=pool_id, values=_checked(edit))
    return find_pool(session, name, tenant_id=tenant_id)


def edit_pool(session: Session, name: str, edit: PoolEdit, *, tenant_id: TenantId) -> PoolView:
    """Change what is given of a pool that no other tenant uses, and return it. Raises: PoolNotFound, PoolShared, BadPool."""
    pool = _own(session, name, tenant_id)
    statements.update_pool(session, pool_id=pool.id, values=_checked(edit))
    return find_pool(session, name, tenant_id=tenant_id)


def pause(session: Session, name: str, *, tenant_id: TenantId) -> PoolView:
    """Let nothing be claimed from a pool from now on; what runs goes on. Raises: PoolNotFound, PoolShared."""
    pool = _own(session, name, tenant_id)
    statements.set_paused(session, pool_id=pool.id, paused=True)
    routing.pause_private_pools(session, pool_id=pool.id)
    telling.tell_tenant(session, "pool.paused", pool.id, tenant_id=tenant_id, facts={"pool": pool.name})
    return find_pool(session, name, tenant_id=tenant_id)


def resume(session: Session, name: str, *, tenant_id: TenantId) -> PoolView:
    """Let a pool be claimed from again, also one that backs off. Raises: PoolNotFound, PoolShared."""
    pool = _own(session, name, tenant_id)
    statements.set_paused(session, pool_id=pool.id, paused=False)
    routing.pause_private_pools(session, pool_id=pool.id)
    telling.tell_tenant(session, "pool.resumed", pool.id, tenant_id=tenant_id, facts={"pool": pool.name})
    waking.wake_after_commit(session)
    return find_pool(session, name, tenant_id=tenant_id)


def _own(session: Session, name: str, tenant_id: TenantId) -> PoolView:
    pool = find_pool(session, name, tenant_id=tenant_id)
    if statements.has_other_users(session, pool_id=pool.id, tenant_id=tenant_id):
        raise PoolShared(f"pool {name!r}", hint="make one for your own jobs: `memoryd pools add NAME`")
    return pool


def _checked(edit: PoolEdit) -> dict[str, object]:
    values = {
        field.name: value
        for field in dataclasses.fields(edit)
        if (value := getattr(edit, field.name)) is not None and field.name != "warm_up"
    }
    if edit.warm_up is not None:
        values["warm_up_graph"] = _packed_graph(edit.warm_up) if edit.warm_up else None
    for name in ("region", "licence_server"):
        if name in values:
            values[name] = storable(str(values[name]))[0].strip()[:WORD_LIMIT] or None
    if "labels" in values:
        values["labels"] = _labels(values["labels"])
    return values


def _labels(labels: object) -> dict[str, Json]:
    if not isinstance(labels, Mapping) or len(labels) > LABELS_LIMIT:
        raise BadPool("labels", hint=f"at most {LABELS_LIMIT} (LABELS_LIMIT)")
    return {storable(str(name))[0][:WORD_LIMIT]: storable(str(value))[0][:WORD_LIMIT] for name, value in labels.items()}


def _packed_graph(graph: str) -> bytes:
    if len(graph) > WARM_UP_GRAPH_LIMIT:
        raise BadPool(f"{len(graph)} characters of a warm-up graph", hint=f"at most {WARM_UP_GRAPH_LIMIT}")
    try:
        nodes = read_json(graph)
    except NotJson as error:
        raise BadPool(f"warm-up graph: {error.detail}", hint="export it from ComfyUI with Export (API)") from None
    if not isinstance(nodes, dict) or not nodes or not all(_is_node(node) for node in nodes.values()):
        raise BadPool("warm-up graph: not in API format", hint="export it from ComfyUI with Export (API)")
    return zlib.compress(graph.encode("utf-8", "replace"))


def _is_node(node: Json) -> bool:
    return isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)


def find_pool(session: Session, name: str, *, tenant_id: TenantId) -> PoolView:
    """Return a pool that the tenant may use. Raises: PoolNotFound."""
    if name == DEFAULT_POOL:
        ensure_defaults(session)
    for row in statements.list_pools(session, tenant_id=tenant_id, name=name) if _NAME.match(name) else ():
        return _view(row)
    raise PoolNotFound(f"pool {name[:80]!r}", hint="`memoryd pools list` shows those there are")


def list_pools(session: Session, *, tenant_id: TenantId) -> list[PoolView]:
    """Return the pools that the tenant may use, by name."""
    ensure_defaults(session)
    return [_view(row) for row in statements.list_pools(session, tenant_id=tenant_id)]


def list_depths(session: Session, pools: Sequence[PoolView], *, tenant_id: TenantId) -> list[PoolDepth]:
    """Return how busy these pools are now for a tenant, by name. Costs the same however long the queue is.

    What waits and runs is counted over all tenants of a shared pool, since it is what a new job stands behind; workers
    are those that serve the tenant, and what is delayed or held is its own.
    """
    rows = fleet.list_depths(session, pool_ids=[pool.id for pool in pools], tenant_id=tenant_id)
    return [
        PoolDepth(
            pool=row.pool,
            waiting=row.waiting,
            waiting_ms=row.waiting_ms,
            running=row.running,
            delayed=row.delayed,
            held=row.held,
            workers=row.workers,
        )
        for row in rows
    ]


def _insert(session: Session, name: str, *, shared: bool, warm_up_s: float = WARM_UP_S) -> PoolId | None:
    pool_id = PoolId(new_id())
    made = fleet.insert_pool(
        session,
        {
            "id": pool_id,
            "name": name,
            "shared": shared,
            "max_run_time_s": MAX_RUN_TIME_S,
            "no_progress_limit_s": NO_PROGRESS_LIMIT_S,
            "warm_up_s": warm_up_s,
        },
    )
    return pool_id if made else None


def _view(row: fleet.Found) -> PoolView:
    return PoolView(
        id=PoolId(row.id),
        name=row.name,
        shared=row.shared,
        max_run_time_s=row.max_run_time_s,
        no_progress_limit_s=row.no_progress_limit_s,
        warm_up_s=row.warm_up_s,
        vram_mb=row.vram_mb,
        region=row.region,
        licence_server=row.licence_server,
        labels=row.labels,
        rank=row.rank,
        paused_at=row.paused_at,
        warm_up=zlib.decompress(row.warm_up_graph).decode("utf-8") if row.warm_up_graph else None,
        backs_off_until=row.backs_off_until,
    )
