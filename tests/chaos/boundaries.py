"""kill -9 of Postgres between any two statements of the queue's acts: each happens whole or not at all.

An act is done once to count its statements, and then again and again on a queue that stands as before, each time with
Postgres killed before the next statement, before its commit, and after the commit before anybody heard of it. After
each recovery the queue must be in order, what was confirmed must be there, and the act, asked for again, must lead to
where it leads without a kill.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from one_place import disorder
from sqlalchemy import event, text

from memoryd.access.directory import add_tenant, find_tenant
from memoryd.dispatch import groups, holds, jobs, leases, pools, tending, workers
from memoryd.dispatch.facts import Cause, Completion, LeaseKey, WorkerIdentity
from memoryd.dispatch.wire import RegisterRequest
from memoryd.foundation.database import Database, DBAPIError, Session
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.ids import GroupId, JobId, ProjectId
from memoryd.foundation.migrations import ensure_farm_role, upgrade_schema

LONG_S = 3600.0


class Killer:
    """Kills Postgres at the n-th step of a transaction: before a statement, before the commit, or right after it."""

    def __init__(self, place: Place) -> None:
        """Watches until it is armed."""
        self._place, self.steps, self._at = place, 0, -1
        self.committed = False
        engine = place.database.engine
        event.listen(engine, "before_cursor_execute", lambda *_: self._step())
        event.listen(engine, "commit", lambda _: self._commit())

    def arm(self, at: int) -> None:
        """Kill at that step of the next transaction; -1 never."""
        self.steps, self._at, self.committed = 0, at, False

    def after_commit(self) -> None:
        """The step that comes when the transaction has committed and its caller does not know it yet."""
        if self._at >= 0:
            self.committed = True
            self._step()

    def _commit(self) -> None:
        self._step()

    def _step(self) -> None:
        if self.steps == self._at:
            self._place.kill()
        self.steps += 1


class Place:
    """A queue of its own, with one pool, one project and one worker."""

    def __init__(self, folder: Path) -> None:
        """Make it."""
        self.cluster = Cluster(folder / "home")
        self.cluster.ensure_running()
        owner = self.cluster.owner_url()
        ensure_farm_role(owner)
        upgrade_schema(owner, line="farm", schema="farm", role="memoryd_farm")
        add_tenant(owner, "default", "Default studio")
        self.database = Database(self.cluster.server_url(), pool_size=1)
        self.kills = 0
        with self.database.farm_work() as session:
            pools.ensure_defaults(session)
            self.scope = find_tenant(session, "default")
            self.pool = pools.find_pool(session, "default", tenant_id=self.scope.id)
            self.worker = _worker(session, self)
        self.project_id = ProjectId(uuid4())
        self.fences: list[int] = []

    def kill(self) -> None:
        """kill -9 of every process of Postgres."""
        self.kills += 1
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == self.cluster.data:
                    os.kill(int(entry.name), signal.SIGKILL)

    def recover(self) -> None:
        """Start it again."""
        self.database.engine.dispose()
        until = time.monotonic() + 30
        while True:
            try:
                self.cluster.ensure_running()
                with self.database.farm_work():
                    return
            except (Unavailable, DBAPIError):
                if time.monotonic() > until:
                    raise

    def work(self, act: Callable[[Session], Any]) -> Any:
        """Return what an act answers in a transaction of its own."""
        with self.database.farm_work() as session:
            return act(session)

    def ask(self, **asked: Any) -> jobs.JobAsked:
        """A job of the project."""
        values = {"job_id": JobId(uuid4()), "tenant_id": self.scope.id, "pool_id": self.pool.id}
        return jobs.JobAsked(**{**values, "project_id": self.project_id, "cost_ms": 1_000, **asked})

    def claim(self, session: Session) -> LeaseKey:
        """Claim the next job, whose fence must be greater than all before."""
        grant = leases.claim(session, self.worker, loaded=())
        assert grant is not None
        return LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)

    def state(self, job_id: UUID) -> str:
        """A job's state."""
        found = self.work(lambda session: session.execute(text("select state from job where id = :i"), {"i": job_id}))
        return str(found.scalar_one())

    def clear(self) -> None:
        """Take everything out of the queue."""
        with psycopg.connect(self.cluster.superuser_url("memoryd"), autocommit=True) as connection:
            tables = (
                "ready, held, lease, delayed, dead, result, job_key, job_group, paused_project, flow, mark, chore, job"
            )
            for name in tables.split(", "):
                connection.execute(f"delete from farm.{name}")


def _worker(session: Session, place: Place) -> WorkerIdentity:
    token = workers.make_join_token(session, tenants=[place.scope.id], pools=["default"], label="gpu")
    joined = workers.join(session, token, label="gpu", host="chaos", gpu_uuid=None, protocol=1)
    stated = {
        "incarnation": uuid4(), "label": "gpu", "host": "chaos", "environment": {}, "models": [],
        "nodes_sha256": "0" * 64, "classes": [],
    }  # fmt: skip
    workers.register(session, workers.recognise(session, joined.key), RegisterRequest.model_validate(stated))
    return workers.recognise(session, joined.key)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An act: what must be there before, the act itself on that, and what must be true of it at the end."""

    name: str
    prepare: Callable[[Place], Any]
    act: Callable[[Place, Session, Any], Any]
    ended: Callable[[Place, Any], bool]


def _queued(place: Place) -> JobId:
    return JobId(place.work(lambda session: jobs.enqueue(session, place.ask())).job_id)


def _leased(place: Place) -> LeaseKey:
    _queued(place)
    lease = place.work(place.claim)
    assert isinstance(lease, LeaseKey)
    return lease


def _leased_before_another(place: Place) -> LeaseKey:
    lease = _leased(place)
    _queued(place)
    return lease


def _grouped(place: Place) -> GroupId:
    def make(session: Session) -> GroupId:
        group_id = groups.make(session, tenant_id=place.scope.id, name="g", total=3, project_id=place.project_id)
        jobs.enqueue_many(session, [place.ask(group_id=group_id) for _ in range(3)])
        return group_id

    return GroupId(place.work(make))


def _paused(place: Place) -> JobId:
    job_id = _queued(place)
    place.work(lambda session: holds.pause_project(session, place.project_id, tenant_id=place.scope.id))
    return job_id


def _silent(place: Place) -> LeaseKey:
    lease = _leased(place)
    place.work(
        lambda session: session.execute(text("update lease set expires_at = clock_timestamp() - interval '1 s'"))
    )
    return lease


def _waiting_for_its_time(place: Place) -> JobId:
    lease = _leased(place)
    place.work(lambda s: leases.fail(s, place.worker, lease, cause=Cause.JOB, error={"kind": "x", "message": "y"}))
    place.work(lambda session: session.execute(text("update delayed set run_at = clock_timestamp()")))
    return lease.job_id


def _reap(place: Place, session: Session, _: object) -> object:
    calm = session.execute(text("select clock_timestamp() - make_interval(secs => :s)"), {"s": LONG_S}).scalar_one()
    return tending.reap(session, calm_since=calm)


def _states(place: Place) -> set[str]:
    return set(place.work(lambda session: session.execute(text("select state from job")).scalars().all()))


def _one_lease(place: Place, _: object) -> bool:
    found = place.work(lambda session: session.execute(text("select count(*) from lease")).scalar_one())
    return bool(found == 1)


def _fail(place: Place, session: Session, lease: LeaseKey) -> Completion:
    error = {"kind": "x", "message": "y"}
    return leases.fail(session, place.worker, lease, cause=Cause.JOB, error=dict(error))


def _complete_and_claim(place: Place, session: Session, lease: LeaseKey) -> Completion:
    assert place.worker.incarnation is not None
    answer, _ = leases.complete_and_claim(session, place.worker, lease, incarnation=place.worker.incarnation, loaded=())
    return answer


def _pause(place: Place, session: Session, _: object) -> object:
    return holds.pause_project(session, place.project_id, tenant_id=place.scope.id)


def _resume(place: Place, session: Session, _: object) -> object:
    return holds.resume_project(session, place.project_id, tenant_id=place.scope.id)


def _cancel(place: Place, session: Session, job_id: JobId) -> object:
    return jobs.cancel(session, job_id, tenant_id=place.scope.id)


ACTS = (
    Act(
        name="enqueue",
        prepare=lambda place: place.ask(key="k", body_sha256=b"b" * 32),
        act=lambda place, session, asked: jobs.enqueue(session, asked),
        ended=lambda place, asked: place.state(asked.job_id) == "ready",
    ),
    Act(
        name="claim",
        prepare=_queued,
        act=lambda place, session, _: leases.claim(session, place.worker, loaded=()),
        ended=_one_lease,
    ),
    Act(
        name="complete",
        prepare=_leased,
        act=lambda place, session, lease: leases.complete(session, place.worker, lease),
        ended=lambda place, lease: place.state(lease.job_id) == "succeeded",
    ),
    Act(
        name="complete and claim",
        prepare=_leased_before_another,
        act=_complete_and_claim,
        ended=lambda place, lease: place.state(lease.job_id) == "succeeded" and _one_lease(place, lease),
    ),
    Act(name="fail", prepare=_leased, act=_fail, ended=lambda place, lease: place.state(lease.job_id) == "delayed"),
    Act(
        name="release",
        prepare=_leased,
        act=lambda place, session, lease: leases.release(session, place.worker, lease, reason="drain"),
        ended=lambda place, lease: place.state(lease.job_id) in ("ready", "delayed"),
    ),
    Act(name="cancel what waits", prepare=_queued, act=_cancel, ended=lambda p, job: p.state(job) == "cancelled"),
    Act(
        name="cancel what runs",
        prepare=_leased,
        act=lambda place, session, lease: _cancel(place, session, lease.job_id),
        ended=lambda place, lease: place.state(lease.job_id) == "leased",
    ),
    Act(name="cancel what is held", prepare=_paused, act=_cancel, ended=lambda p, job: p.state(job) == "cancelled"),
    Act(name="pause a project", prepare=_queued, act=_pause, ended=lambda place, job: place.state(job) == "held"),
    Act(name="resume a project", prepare=_paused, act=_resume, ended=lambda place, job: place.state(job) == "ready"),
    Act(
        name="pause a group",
        prepare=_grouped,
        act=lambda place, session, group: groups.pause(session, group, tenant_id=place.scope.id),
        ended=lambda place, _: _states(place) == {"held"},
    ),
    Act(
        name="cancel a group",
        prepare=_grouped,
        act=lambda place, session, group: groups.cancel(session, group, tenant_id=place.scope.id),
        ended=lambda place, _: _states(place) == {"cancelled"},
    ),
    Act(name="reap", prepare=_silent, act=_reap, ended=lambda place, lease: place.state(lease.job_id) == "delayed"),
    Act(
        name="promote",
        prepare=_waiting_for_its_time,
        act=lambda place, session, _: tending.promote(session),
        ended=lambda place, job: place.state(job) == "ready",
    ),
)


def check_boundaries(say: Callable[..., None]) -> None:
    """Do every act with Postgres killed at each of its steps; `say(name, holds, detail)` is told of each act."""
    folder = Path(tempfile.mkdtemp(prefix="memoryd-boundaries-"))
    place = Place(folder)
    try:
        killer = Killer(place)
        for act in ACTS:
            began = time.monotonic()
            steps, wrong = _walk(place, killer, act)
            told = f"({steps} kills, {time.monotonic() - began:.0f} s)"
            say(
                f"kill -9 of Postgres at every step: {act.name}", not wrong, f"{told}{'' if not wrong else f' {wrong}'}"
            )
    finally:
        place.database.close()
        place.cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def _walk(place: Place, killer: Killer, act: Act) -> tuple[int, list[str]]:
    wrong: list[str] = []
    place.clear()
    given = act.prepare(place)
    killer.arm(-1)
    place.work(lambda session: act.act(place, session, given))
    if not act.ended(place, given):
        return 0, [f"leads elsewhere even without a kill: {_states(place)}"]
    killer.arm(-1)
    place.clear()
    given = act.prepare(place)
    killer.steps = 0
    place.work(lambda session: act.act(place, session, given))
    steps = killer.steps + 1  # the last: after the commit
    for at in range(steps):
        wrong += [f"at step {at}: {one}" for one in _once(place, killer, act, at)]
    return steps, wrong


def _once(place: Place, killer: Killer, act: Act, at: int) -> list[str]:
    place.clear()
    given = act.prepare(place)
    killer.arm(at)
    with contextlib.suppress(Unavailable, DBAPIError):
        place.work(lambda session: act.act(place, session, given))
        killer.after_commit()
    committed = killer.committed
    killer.arm(-1)
    place.recover()
    wrong = disorder(place.cluster.superuser_url("memoryd"))
    if committed and not act.ended(place, given):
        wrong.append("what was committed is not there")
    again = place.work(lambda session: act.act(place, session, given))
    if again in (Completion.STALE,):
        wrong.append("asked for again, it was refused")
    if committed and act.name in ("complete", "fail", "release") and again is not Completion.DUPLICATE:
        wrong.append(f"asked for again, it was {again}")
    if not act.ended(place, given):
        wrong.append(f"asked for again, it led elsewhere: {_states(place)}")
    wrong += disorder(place.cluster.superuser_url("memoryd"))
    fences = place.work(lambda session: session.execute(text("select max(fence) from lease")).scalar_one())
    if fences is not None:
        if place.fences and fences <= place.fences[-1]:
            wrong.append("a fence came again")
        place.fences.append(fences)
    return wrong
