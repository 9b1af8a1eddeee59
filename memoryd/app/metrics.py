"""`GET /metrics`: the farm's state and this process's counters, in the text that Prometheus reads.

They name pools, workers and numbers of every tenant, so no tenant's key opens them: the operator's token does, or a
request from this very machine to a server that only listens to it.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from memoryd.access.guards import Office, Offices, is_local
from memoryd.access.sealing import make_key_file
from memoryd.dispatch import gauges
from memoryd.dispatch.gauges import FarmGauge
from memoryd.foundation.counters import REGISTRY
from memoryd.foundation.database import Database, DatabaseDown
from memoryd.foundation.errors import NotRecognised

TOKEN_FILE = "metrics.token"  # noqa: S105 - a file's name
KEPT_S = 5.0
"""How long one look at the farm serves every scraper: counting a million waiting jobs takes 0.1 s."""

MB = 2**20


class NotTheOperator(NotRecognised):
    """Only the operator reads these figures."""


class FarmLook(Collector):
    """The farm's state as metrics, at most KEPT_S old."""

    def __init__(self, database: Database) -> None:
        """Nothing is looked at yet."""
        self._database = database
        self._lock = threading.Lock()
        self._seen: tuple[float, FarmGauge | None] = (float("-inf"), None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families; without a database only `memoryd_database_up` 0."""
        farm = self._look()
        up = GaugeMetricFamily("memoryd_database_up", "1 where the database answers")
        up.add_metric([], 0.0 if farm is None else 1.0)
        yield up
        if farm is not None:
            yield from _families(farm)

    def _look(self) -> FarmGauge | None:
        with self._lock:
            at, farm = self._seen
            if time.monotonic() - at < KEPT_S:
                return farm
            try:
                with self._database.farm_work() as session:
                    farm = gauges.read(session)
            except DatabaseDown:
                farm = None
            self._seen = time.monotonic(), farm
            return farm


def operators_token(keys: Path) -> str:
    """Return the token that opens the figures, made when a server first starts (mode 600)."""
    path = keys / TOKEN_FILE
    if not path.exists():
        make_key_file(path, secrets.token_urlsafe(32).encode("ascii"))
    return path.read_text("ascii").strip()


router = APIRouter(tags=["metrics"])
_making = threading.Lock()


@router.get("/metrics", response_class=Response)
def metrics(request: Request, office: Office) -> Response:
    """The farm's state and this process's counters, for Prometheus."""
    require_operator(request, office)
    told = generate_latest(_look_of(request.app)) + generate_latest(REGISTRY)
    return Response(told, media_type=CONTENT_TYPE_LATEST)


def _look_of(app: FastAPI) -> CollectorRegistry:
    """The look that all scrapers of an application share."""
    with _making:
        registry = getattr(app.state, "farm_look", None)
        if not isinstance(registry, CollectorRegistry):
            registry = app.state.farm_look = CollectorRegistry()
            registry.register(FarmLook(app.state.offices.database))
        return registry


def require_operator(request: Request, offices: Offices) -> None:
    """Return where the operator asks. Raises: NotTheOperator."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        if hmac.compare_digest(token.strip().encode(), operators_token(offices.keys).encode()):
            return
    elif is_local(request, offices.settings):
        return
    raise NotTheOperator(
        "no token, or another one",
        hint=f"send `Authorization: Bearer …` with what keys/{TOKEN_FILE} in the server's home holds",
    )


def _families(farm: FarmGauge) -> Iterator[GaugeMetricFamily]:
    yield from _of_orders(farm)
    yield from _of_pools(farm)
    yield from _of_workers(farm)
    yield from _of_doubts(farm)
    yield from _of_runs(farm)
    yield from _of_upkeep(farm)


def _of_orders(farm: FarmGauge) -> Iterator[GaugeMetricFamily]:
    at = ("pool", "class")
    waiting = GaugeMetricFamily("memoryd_queue_waiting", "Jobs that wait for a worker", labels=at)
    work = GaugeMetricFamily("memoryd_queue_waiting_gpu_seconds", "Their estimated work", labels=at)
    oldest = GaugeMetricFamily("memoryd_queue_oldest_seconds", "Age of the oldest waiting job", labels=at)
    lag = GaugeMetricFamily("memoryd_queue_watermark_lag_seconds", "Work between watermark and first job", labels=at)
    for one in farm.orders:
        where = [one.pool, one.urgency]
        waiting.add_metric(where, one.waiting)
        work.add_metric(where, one.waiting_s)
        oldest.add_metric(where, one.oldest_s)
        lag.add_metric(where, one.lag_s)
    yield from (waiting, work, oldest, lag)


def _of_pools(farm: FarmGauge) -> Iterator[GaugeMetricFamily]:
    paused = GaugeMetricFamily("memoryd_pool_paused", "1 where nothing is claimed from the pool", labels=["pool"])
    jobs = GaugeMetricFamily("memoryd_jobs", "Jobs that do not wait for a worker, by state", labels=["pool", "state"])
    dead = GaugeMetricFamily("memoryd_dead_letters", "Jobs that were given up", labels=["pool"])
    for one in farm.pools:
        paused.add_metric([one.pool], float(one.paused))
        for state, count in (("running", one.running), ("delayed", one.delayed), ("held", one.held)):
            jobs.add_metric([one.pool, state], count)
        dead.add_metric([one.pool], one.dead)
    yield from (paused, jobs, dead)


def _of_workers(farm: FarmGauge) -> Iterator[GaugeMetricFamily]:
    names = ["worker", "label", "gpu"]
    up = GaugeMetricFamily("memoryd_worker_online", "1 where the worker was heard lately", labels=[*names, "state"])
    silent = GaugeMetricFamily("memoryd_worker_silent_seconds", "Since the worker was last heard", labels=names)
    running = GaugeMetricFamily("memoryd_worker_running", "Jobs that the worker holds", labels=names)
    total = GaugeMetricFamily("memoryd_worker_vram_bytes", "Memory of the worker's GPU", labels=names)
    used = GaugeMetricFamily("memoryd_worker_vram_used_bytes", "Used memory of the worker's GPU", labels=names)
    serving = GaugeMetricFamily("memoryd_pool_workers", "Workers that were heard lately", labels=["pool", "state"])
    present: dict[tuple[str, str], int] = {}
    for one in farm.workers:
        who = [one.id, one.label, one.gpu or ""]
        up.add_metric([*who, one.state], float(one.online))
        running.add_metric(who, one.running)
        if one.silent_s is not None:
            silent.add_metric(who, one.silent_s)
        if one.vram_mb is not None:
            total.add_metric(who, one.vram_mb * MB)
        if one.vram_used_mb is not None and one.online:
            used.add_metric(who, one.vram_used_mb * MB)
        for pool in one.pools:
            key = (pool, one.state if one.online else "silent")
            present[key] = present.get(key, 0) + 1
    for (pool, state), count in sorted(present.items()):
        serving.add_metric([pool, state], count)
    yield from (up, silent, running, total, used, serving)


def _of_doubts(farm: FarmGauge) -> Iterator[GaugeMetricFamily]:
    names = ["worker", "label", "gpu"]
    doubts = GaugeMetricFamily(
        "memoryd_worker_doubts", "Projects whose canaries found that the worker drifted", labels=[*names, "decided"]
    )
    since = GaugeMetricFamily(
        "memoryd_worker_drifted_seconds", "Since its first run that was not as before", labels=names
    )
    out = GaugeMetricFamily("memoryd_worker_kept_out", "1 where it gets no reproduction work", labels=names)
    for one in farm.doubts:
        who = [one.worker_id, one.label, one.gpu or ""]
        doubts.add_metric([*who, "no"], one.undecided)
        doubts.add_metric([*who, "yes"], one.doubts - one.undecided)
        since.add_metric(who, one.bad_s)
        out.add_metric(who, float(one.keeps_out))
    yield from (doubts, since, out)


def _of_runs(farm: FarmGauge) -> Iterator[GaugeMetricFamily]:
    at = ["pool", "outcome", "kind"]
    runs = GaugeMetricFamily("memoryd_runs_last_hour", "Tries that ended within the hour", labels=at)
    spent = GaugeMetricFamily("memoryd_gpu_seconds_last_hour", "GPU time that they held", labels=at)
    waited = GaugeMetricFamily("memoryd_waited_seconds_last_hour", "Time that they waited, summed", labels=at)
    loads = GaugeMetricFamily("memoryd_model_loads_last_hour", "Runs that loaded a model", labels=["pool"])
    warm = GaugeMetricFamily("memoryd_warm_runs_last_hour", "Runs that found theirs loaded", labels=["pool"])
    by_pool: dict[str, tuple[int, int]] = {}
    for one in farm.runs:
        how = [one.pool, one.outcome, one.kind]
        runs.add_metric(how, one.runs)
        spent.add_metric(how, one.gpu_s)
        waited.add_metric(how, one.waited_s)
        before = by_pool.get(one.pool, (0, 0))
        by_pool[one.pool] = before[0] + one.loads, before[1] + one.warm
    for pool, (loaded, found) in sorted(by_pool.items()):
        loads.add_metric([pool], loaded)
        warm.add_metric([pool], found)
    yield from (runs, spent, waited, loads, warm)


def _of_upkeep(farm: FarmGauge) -> Iterator[GaugeMetricFamily]:
    rows = GaugeMetricFamily("memoryd_ready_rows", "Rows of the waiting line, by kind", labels=["kind"])
    rows.add_metric(["live"], farm.ready_live)
    rows.add_metric(["dead"], farm.ready_dead)
    yield rows
    if farm.snapshot_s is not None:
        oldest = GaugeMetricFamily("memoryd_oldest_snapshot_seconds", "Age of the snapshot that holds vacuum back")
        oldest.add_metric([], farm.snapshot_s)
        yield oldest
    chores = GaugeMetricFamily("memoryd_chores", "The server's own follow-up work", labels=["kind", "state"])
    age = GaugeMetricFamily("memoryd_chores_oldest_seconds", "Age of the oldest of it", labels=["kind"])
    for one in farm.chores:
        chores.add_metric([one.kind, "waiting"], one.waiting)
        chores.add_metric([one.kind, "given_up"], one.given_up)
        age.add_metric([one.kind], one.oldest_s)
    yield from (chores, age)
