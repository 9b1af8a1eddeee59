"""Jobs that are meant for particular workers: the nearest first, the next when it is not there, and never stuck.

A routed job lies in its worker's private pool, from which nobody else claims; so a claim knows nothing of routes. The
leader looks at all that are open every second, and moves a job on when its worker is gone, gave it back, or is too busy.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from uuid import UUID

from memoryd.dispatch import endings, telling, waking
from memoryd.dispatch.entering import let_in
from memoryd.dispatch.facts import Route, WorkerState
from memoryd.dispatch.queries import routing as statements
from memoryd.dispatch.queries import upkeep
from memoryd.dispatch.states import ENDED, JobState
from memoryd.dispatch.tables.pools import NOBODY
from memoryd.foundation.database import Session
from memoryd.foundation.ids import JobId, PoolId, TenantId, WorkerId, new_id

BUSY_LIMIT_S = 600.0
"""How long a job waits for a worker that is there, before it goes to the next: ten minutes are some dozen pictures."""

AWAY_LIMIT_S = 900.0
"""How long a job that none but these workers may run waits while they are away: a machine that is started anew with a
large ComfyUI is back by then."""

WAITING_LIMIT = 20
"""A tenant's jobs that wait in one private pool; more go to the next worker. Jobs that none but these workers may run are
not counted out."""

STEP_LIMIT = 1_000
"""Routed jobs that the leader looks at in one round."""

WORKERS_LIMIT = 50
"""Workers of one route."""

HOPELESS = frozenset({"model-drifted", "model-recalled", "environment-changed", "pin-missing"})
"""Why a worker gave a job back, where the same worker would do so again."""


class Place(enum.StrEnum):
    """Where a routed job lies."""

    OWN = "own"  # in its worker's private pool
    POOL = "pool"  # in the pool that was asked for
    ELSEWHERE = "elsewhere"  # in a bigger one


class Step(enum.StrEnum):
    """What becomes of a routed job now."""

    STAY = "stay"
    ON = "on"  # to the next worker, or to the pool that was asked for
    GIVE_UP = "give up"
    CLOSE = "close"  # it has ended, or left by another way


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A routed job as the leader finds it. `refused`: this worker gave it back, or failed it, and why (`kind`)."""

    state: JobState
    place: Place
    refusers: int
    """Workers that gave it back for a reason that stays (HOPELESS)."""
    online: int
    """Workers of the pool that was asked for that are there."""
    only: bool
    others: bool
    """Whether there are workers after this one."""
    there: bool
    removed: bool
    paused: bool
    refused: bool
    kind: str | None
    waited_s: float
    away_s: float


def next_step(now: Situation) -> Step:
    """Return what becomes of a routed job. Pure."""
    if now.state in ENDED or now.place is Place.ELSEWHERE:
        return Step.CLOSE
    if now.state in (JobState.LEASED, JobState.HELD):
        return Step.STAY
    if now.place is Place.POOL:
        # Handing it round among workers that cannot run it would take its ten tries.
        return Step.GIVE_UP if now.refusers >= max(1, now.online) else Step.STAY
    hopeless = now.refused and now.kind in HOPELESS
    if now.only and not now.others:
        if hopeless or now.removed:
            return Step.GIVE_UP
        return Step.GIVE_UP if not now.there and now.away_s > AWAY_LIMIT_S else Step.STAY
    busy = now.waited_s > BUSY_LIMIT_S and not now.paused
    return Step.ON if not now.there or now.refused or busy else Step.STAY


def begin(
    session: Session, route: Route, *, job_id: JobId, tenant_id: TenantId, asked_pool_id: PoolId
) -> PoolId | None:
    """Note a job's route and return the private pool it enters; None where it goes to the pool that was asked for.

    For the transaction that enqueues it. With `only` there is always one, unless none of its workers serves the tenant.
    """
    wanted = list(dict.fromkeys(route.workers))[:WORKERS_LIMIT]
    noted: dict[str, object] = {
        "job_id": job_id,
        "asked_pool_id": asked_pool_id,
        "only_these": route.only,
        "open": True,
    }
    if not route.only and (not wanted or statements.is_limited(session, pool_id=asked_pool_id)):
        # A pause and a cap are the pool's: nothing goes round them.
        statements.insert_route(session, {**noted, "worker_id": UUID(NOBODY), "workers": []})
        return None
    rows = statements.list_places(session, worker_ids=wanted, tenant_id=tenant_id, limit=WAITING_LIMIT)
    places = {row.id: row for row in rows}
    usable = [one for one in wanted if one in places]
    free = [one for one in usable if places[one].there and (route.only or places[one].waiting < WAITING_LIMIT)]
    first = next(iter(free), usable[0] if usable and route.only else None)
    pool_id = statements.upsert_private_pool(session, pool_id=new_id(), worker_id=first) if first is not None else None
    if first is None or pool_id is None:
        if not route.only:
            statements.insert_route(session, {**noted, "worker_id": UUID(NOBODY), "workers": []})
        return None
    left = [one for one in usable if one != first] if route.only else usable[usable.index(first) + 1 :]
    statements.insert_route(session, {**noted, "worker_id": first, "workers": left})
    return PoolId(pool_id)


def step(session: Session, *, limit: int = STEP_LIMIT) -> int:
    """Move on the routed jobs whose worker is not there, gave them back or is too busy; return how many that were."""
    moved = 0
    closed: list[UUID] = []
    entrants: list[JobId] = []
    given_up: list[JobId] = []
    for row in statements.list_open(session, hopeless=sorted(HOPELESS), limit=limit):
        match next_step(_situation(row)):
            case Step.CLOSE:
                closed.append(row.job_id)
            case Step.STAY:
                _note_absence(session, row)
            case Step.GIVE_UP:
                if upkeep.take_waiting(session, job_ids=[row.job_id]):
                    _give_up(session, row)
                    given_up.append(JobId(row.job_id))
            case Step.ON:
                # Whoever has it in hand at this moment claims it, or the next round finds it.
                if upkeep.take_waiting(session, job_ids=[row.job_id]):
                    _move(session, row)
                    entrants.append(JobId(row.job_id))
                    moved += 1
    if closed:
        statements.close_routes(session, job_ids=closed)
    if given_up:
        endings.settle_ended(session, given_up, JobState.DEAD)
    if entrants:
        let = let_in(session, entrants)
        endings.settle_ended(session, let.of_state(JobState.CANCELLED), JobState.CANCELLED)
        waking.wake_after_commit(session)
    return moved + len(given_up)


def why_it_failed(session: Session, job_id: JobId) -> tuple[str, str] | None:
    """Return (kind, sentence) of the last try of a job that made nothing, None where none failed. `session` has the farm."""
    row = statements.find_last_failure(session, job_id=job_id)
    if row is not None and row.state == JobState.EXPIRED:
        return "expired", "no worker took it within its time to live" + (
            f"; before: {row.message}" if row.message else ""
        )
    return None if row is None or row.kind is None else (row.kind, row.message or row.kind)


def _situation(row: statements.Found) -> Situation:
    return Situation(
        state=JobState(row.state),
        place=_place(row),
        refusers=row.refusers,
        online=row.online,
        only=row.only,
        others=bool(row.workers),
        there=row.there,
        removed=row.worker_state in (None, WorkerState.REMOVED),
        paused=row.paused,
        refused=row.avoid_worker == row.worker_id,
        kind=row.kind,
        waited_s=row.waited_s,
        away_s=row.away_s or 0.0,
    )


def _place(row: statements.Found) -> Place:
    if row.private_pool_id is not None and row.pool_id == row.private_pool_id:
        return Place.OWN
    return Place.POOL if row.pool_id == row.asked_pool_id else Place.ELSEWHERE


def _note_absence(session: Session, row: statements.Found) -> None:
    if _place(row) is not Place.OWN:
        return
    away = row.state in (JobState.READY, JobState.DELAYED) and not row.there
    if away != (row.away_since is not None):
        statements.set_away(session, job_id=row.job_id, away=away)


def _move(session: Session, row: statements.Found) -> None:
    """Give a job the next worker that is there; without one the pool that was asked for, or with `only` the last."""
    rows = statements.list_places(session, worker_ids=row.workers, tenant_id=row.tenant_id, limit=WAITING_LIMIT)
    places = {place.id: place for place in rows}
    left: Sequence[UUID] = [one for one in row.workers if one in places]
    target = next((one for one in left if places[one].there), left[-1] if left and row.only else None)
    pool_id = statements.upsert_private_pool(session, pool_id=new_id(), worker_id=target) if target else None
    facts = {"cause": _word(row)}
    if pool_id is not None and target is not None:
        after = left[left.index(target) + 1 :]
        statements.move_job(session, job_id=row.job_id, pool_id=pool_id, worker_id=target, workers=after)
    elif row.only:
        # Its last worker was removed meanwhile: it stays, and the next round gives it up.
        statements.move_job(
            session, job_id=row.job_id, pool_id=row.pool_id, worker_id=WorkerId(row.worker_id), workers=[]
        )
    else:
        statements.move_job(session, job_id=row.job_id, pool_id=row.asked_pool_id, worker_id=None, workers=[])
    telling.tell_jobs(session, "job.moved", [JobId(row.job_id)], **facts)


def _word(row: statements.Found) -> str:
    if row.avoid_worker == row.worker_id and row.kind:
        return str(row.kind)
    return "worker-busy" if row.there else "worker-not-there"


def _give_up(session: Session, row: statements.Found) -> None:
    label = row.label or "unknown"
    if _place(row) is Place.POOL:
        kind, reason = (
            str(row.kind),
            f"no worker of its pool that is there can run it; the last one says: {row.message}",
        )
    elif row.avoid_worker == row.worker_id and row.kind in HOPELESS:
        kind, reason = str(row.kind), f"worker {label!r} cannot run it: {row.message or row.kind}"
    else:
        kind = "worker-not-there"
        reason = f"worker {label!r}, which alone may run it, is {row.worker_state or 'not known'} and not there"
    statements.give_up(session, job_id=row.job_id, kind=kind, reason=reason)
    telling.tell_jobs(session, "job.dead", [JobId(row.job_id)], cause=kind, reason=reason)
