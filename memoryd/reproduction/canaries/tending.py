"""Keeping canaries: what one elected process does every few seconds. Every step is safe to repeat and to lose.

Two leaders at once are harmless: a worker and asset have one open run, an attempt's id is chosen before it is made, and
a run is judged under its row's lock; the lead only saves the work. No worker has more than one canary at a time, whoever
keeps it, and no tenant more than RUNNING_LIMIT: a farm that was brought up to date is looked at one by one.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from uuid import UUID, uuid4

from memoryd.access.facts import Caller, Scope
from memoryd.dispatch import doubts, leading
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.ids import AssetId, CanaryRunId, ProjectId, ReproductionId, TenantId, WorkerId
from memoryd.foundation.logging import log_for
from memoryd.reproduction import making
from memoryd.reproduction.canaries import due, judging, queries
from memoryd.reproduction.facts import Purpose
from memoryd.storage.blob_store import BlobStore

LEAD = "canaries"
LEAD_TERM_S = 30.0
LOOK_EVERY_S = 10.0
"""How often a tenant's workers and schedules are looked at; what is due already is begun sooner."""
RUNNING_LIMIT = 4
"""Canaries of one tenant at once."""
BEGIN_AGAIN_S = 60.0
"""After which a run is begun again whose process died, or met an error, before its attempt was recorded."""
DUE_LIMIT_S = 7 * 86_400.0
"""How long a run waits for its worker to be there."""
BATCH = 50

VIA = "canary"

_log = log_for(__name__)
_holder = uuid4()
_looked: weakref.WeakKeyDictionary[Database, dict[TenantId, float]] = weakref.WeakKeyDictionary()
_look_lock = threading.Lock()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tended:
    """What one round did. `leading` False: another process leads, and nothing was done."""

    leading: bool
    planned: int = 0
    begun: int = 0
    judged: int = 0


def tend_once(
    database: Database,
    store: BlobStore,
    tenants: Iterable[TenantScope],
    *,
    holder: UUID = _holder,
    look_every_s: float = LOOK_EVERY_S,
) -> Tended:
    """Do one round for these tenants, if this process leads: judge what ended, note what is due, begin what may begin.

    What goes wrong with one run or tenant is logged and holds up no other. Raises: DatabaseDown.
    """
    with database.farm_work() as session:
        if not leading.take_lead(session, LEAD, holder, term_s=LEAD_TERM_S):
            return Tended(leading=False)
    planned = begun = judged = 0
    for scope in tenants:
        try:
            judged += judge_ended(database, store, scope)
            if _is_time(database, scope, look_every_s):
                planned += _plan(database, scope)
            begun += begin_due(database, store, scope)
        except Unavailable:
            raise
        except Exception:
            _log.exception("canaries of tenant %s: a round failed; the next tries again", scope.slug)
    return Tended(leading=True, planned=planned, begun=begun, judged=judged)


def judge_ended(database: Database, store: BlobStore, scope: TenantScope) -> int:
    """Judge a tenant's runs whose attempts are decided; return how many."""
    with database.tenant_work(scope) as session:
        ended = queries.list_decided(session, limit=BATCH)
    return sum(_alone(scope, functools.partial(_judge, database, store, scope, CanaryRunId(one))) for one in ended)


def begin_due(database: Database, store: BlobStore, scope: TenantScope) -> int:
    """Begin a tenant's due runs, as far as their workers are free and RUNNING_LIMIT allows; return how many."""
    with database.tenant_work(scope) as session:
        waiting = queries.list_due(session, retry_s=BEGIN_AGAIN_S, limit=BATCH)
        room = RUNNING_LIMIT - queries.count_running(session) if waiting else 0
    if room <= 0:
        return 0
    with database.farm_work() as session:
        here = {one.worker_id for one in doubts.list_servants(session, tenant_id=TenantId(scope.id))}
    begun = 0
    for row in waiting:
        if begun < room and row.worker_id in here:
            begun += _alone(scope, functools.partial(_begin, database, store, scope, row))
    return begun


def caller_of(scope: TenantScope, project_id: ProjectId) -> Caller:
    """Return whom a project's canaries run as: nobody in person, who sees this project alone."""
    held = frozenset({Scope.READ, Scope.SUBMIT})
    return Caller(
        tenant=scope,
        name="canaries",
        scopes=held,
        sees=frozenset({project_id}),
        via=VIA,
        in_project={project_id: held},
    )


def _alone(scope: TenantScope, step: Callable[[], bool]) -> bool:
    """Do a step of one run; what goes wrong with it is logged, and False."""
    try:
        return step()
    except Unavailable:
        raise
    except Exception:
        _log.exception("a canary of tenant %s failed; it is looked at again", scope.slug)
        return False


def _judge(database: Database, store: BlobStore, scope: TenantScope, run: CanaryRunId) -> bool:
    return judging.judge(database, store, scope, run) is not None


def _begin(database: Database, store: BlobStore, scope: TenantScope, row: queries.Found) -> bool:
    run, worker = CanaryRunId(row.id), WorkerId(row.worker_id)
    with database.farm_work() as session:
        if not doubts.take_turn(session, worker, run, tenant_id=TenantId(scope.id)):
            return False
    with database.tenant_work(scope) as session:
        if not queries.begin(session, run, retry_s=BEGIN_AGAIN_S):
            return False
        made = queries.has_attempt(session, row.reproduction_id)
    try:
        if not made:
            making.make_again(
                database,
                store,
                caller_of(scope, ProjectId(row.project_id)),
                AssetId(row.asset_id),
                pool=row.pool,
                purpose=Purpose.CANARY,
                on_worker=worker,
                attempt=ReproductionId(row.reproduction_id),
            )
    except Exception:
        # Others of the tenant's workers are free: the turn is, too, until this run is begun again.
        with database.farm_work() as session:
            doubts.end_turn(session, worker, run)
        raise
    with database.tenant_work(scope) as session:
        queries.set_running(session, run)
    return True


def _plan(database: Database, scope: TenantScope) -> int:
    with database.tenant_work(scope) as session:
        for row in queries.list_forgotten(session, older_s=DUE_LIMIT_S, limit=BATCH):
            cause = {
                "code": "worker-away",
                "detail": f"its worker took no canary for {DUE_LIMIT_S / 86_400:g} days",
                "next_step": "start the worker, or remove it: `memoryd workers list`",
            }
            judging.give_up(session, scope, CanaryRunId(row.id), WorkerId(row.worker_id), cause)
        return due.plan_due(session, scope, now=datetime.datetime.now(datetime.UTC))


def _is_time(database: Database, scope: TenantScope, every_s: float) -> bool:
    with _look_lock:
        looked = _looked.setdefault(database, {})
        now = time.monotonic()
        if now - looked.get(TenantId(scope.id), float("-inf")) < every_s:
            return False
        looked[TenantId(scope.id)] = now
        return True
