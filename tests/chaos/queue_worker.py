"""The queue itself, without HTTP, engines and pictures: submitters, workers and meddlers at the level of its functions.

    queue_worker.py submit|work|meddle DATABASE_URL JOURNAL_FOLDER NAME SEED COUNT

Most of the run's jobs pass here, since a thousand of them cost what a dozen cost on the whole way.
"""

from __future__ import annotations

import os
import random
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

from journal import Journal, read

from memoryd.access.directory import find_tenant
from memoryd.dispatch import dead_letters, jobs, leases, pools, tending, workers
from memoryd.dispatch.facts import Cause, Completion, Grant, LeaseKey, Urgency, WorkerIdentity
from memoryd.dispatch.wire import RegisterRequest
from memoryd.foundation.database import Database, DBAPIError, Session, TenantScope
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.ids import JobId, WorkerId

POOL = "queue"
MODELS = ("", "a", "b", "c")
BRINGS_NEXT = 0.6
"""Of the reports that may, so many ask for the next job."""
Answer = TypeVar("Answer")


class Part:
    """What all of them have: a database that may be away, and a journal."""

    def __init__(self, url: str, folder: Path, name: str, seed: int) -> None:
        """Go on where an earlier start stopped."""
        self.folder, self.name, self.seed = folder, name, seed
        self.database = Database(url, pool_size=1)
        self.path = folder / f"{name}.jsonl"
        self.before = list(read(self.path))
        self.journal = Journal(self.path)
        self.dice = random.Random(seed * 104_729 + os.getpid())
        self._starter = os.getppid()
        self.scope: TenantScope = self.insist(lambda session: find_tenant(session, "default"))
        self.pool = self.insist(lambda session: pools.find_pool(session, POOL, tenant_id=self.scope.id))

    def going(self) -> bool:
        """Whether whoever started it is still there."""
        return os.getppid() == self._starter

    def insist(self, act: Callable[[Session], Answer]) -> Answer:
        """Return what an act answers in a transaction of its own, however often the database goes away meanwhile."""
        while True:
            try:
                with self.database.farm_work() as session:
                    return act(session)
            except (Unavailable, DBAPIError) as error:
                if "deadlock" in str(error).lower():
                    self.journal.note("deadlock", error=str(error)[:300])
                elif isinstance(error, DBAPIError) and not error.connection_invalidated:
                    self.journal.note("fault", error=str(error)[:600])
                    raise
                if not self.going():
                    raise SystemExit(0) from error
                time.sleep(self.dice.uniform(0.05, 0.3))


# --- submitting


def submit(part: Part, count: int) -> None:
    """Queue so many jobs, one key each; what was never answered is asked again."""
    answered = {line["number"] for line in part.before if line["what"] == "queued"}
    for number in range(count):
        if number in answered:
            continue
        if not part.going():
            return
        key = f"{part.name}-{number}"
        asked = jobs.JobAsked(
            job_id=JobId(uuid.uuid4()),
            tenant_id=part.scope.id,
            pool_id=part.pool.id,
            urgency=part.dice.choice(list(Urgency)),
            model_set=part.dice.choice(MODELS),
            cost_ms=part.dice.randrange(1, 5_000),
            key=key,
            body_sha256=b"b" * 32,
        )
        part.journal.note("asked", number=number, key=key)
        enqueued = part.insist(lambda session, asked=asked: jobs.enqueue(session, asked))  # type: ignore[misc]
        part.journal.note("queued", number=number, job=str(enqueued.job_id), known=enqueued.known)
        time.sleep(part.dice.uniform(0, 0.012))
    part.journal.note("done")
    while part.going():
        time.sleep(0.5)


# --- working


def work(part: Part) -> None:
    """Claim and end jobs, well or badly; a start after a kill is a fresh incarnation of the same worker."""
    worker = _start(part)
    late = [
        (0.0, _key(line))
        for line in part.before
        if line["what"] == "grant" and not any(_same(line, other) for other in part.before if other["what"] == "report")
    ]
    brought: Grant | None = None
    while part.going():
        if brought is None and late and late[0][0] <= time.monotonic() and part.dice.random() < 0.3:
            _report(part, worker, late.pop(0)[1], "ok")
            continue

        def take(session: Session) -> Any:
            workers.touch(session, worker.worker_id)
            assert worker.incarnation is not None
            tending.end_earlier_starts(session, worker_id=worker.worker_id, incarnation=worker.incarnation)
            return leases.claim(session, worker, loaded=(part.dice.choice(MODELS[1:]),))

        grant, brought = brought or part.insist(take), None
        if grant is None:
            time.sleep(0.05)
            continue
        lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
        part.journal.note("grant", job=str(lease.job_id), fence=lease.fence, token=lease.token, attempt=grant.attempt)
        lot = part.dice.randrange(100)
        if lot < 6:
            late.append((time.monotonic() + part.dice.uniform(0, 10), lease))
            continue
        how = (
            "fail" if lot < 9 else "infra" if lot < 11 else "release" if lot < 14 else "cancelled" if lot < 15 else "ok"
        )
        if lot >= 97:
            forged = LeaseKey(job_id=lease.job_id, fence=lease.fence, token="forged")
            part.journal.note("forgery", job=str(lease.job_id), answer=_end(part, worker, forged, "ok"))
        if how in ("ok", "cancelled") and part.dice.random() < BRINGS_NEXT:
            brought = _report_and_claim(part, worker, lease, how)
        else:
            _report(part, worker, lease, how)
        if part.dice.randrange(100) < 8:
            _report(part, worker, lease, how)


def _report_and_claim(part: Part, worker: WorkerIdentity, lease: LeaseKey, how: str) -> Grant | None:
    """The end of one job and the claim of the next by one commit; where its answer is lost, so is the next job's lease."""

    def act(session: Session) -> tuple[Completion, Grant | None]:
        assert worker.incarnation is not None
        return leases.complete_and_claim(
            session,
            worker,
            lease,
            incarnation=worker.incarnation,
            loaded=(part.dice.choice(MODELS[1:]),),
            cancelled=how == "cancelled",
        )

    answer, brought = part.insist(act)
    part.journal.note(
        "report", job=str(lease.job_id), fence=lease.fence, how=how, answer=answer.value, next=bool(brought)
    )
    return cast("Grant | None", brought)


def _start(part: Part) -> WorkerIdentity:
    made = next((line for line in part.before if line["what"] == "worker"), None)
    if made is None:
        token = part.insist(
            lambda session: workers.make_join_token(session, tenants=[part.scope.id], pools=[POOL], label=part.name)
        )
        joined = part.insist(
            lambda session: workers.join(session, token, label=part.name, host="chaos", gpu_uuid=None, protocol=1)
        )
        made = {"id": str(joined.worker_id)}
        part.journal.note("worker", **made)
    worker_id = WorkerId(UUID(made["id"]))
    request = RegisterRequest.model_validate(
        {
            "incarnation": uuid.uuid4(), "label": part.name, "host": "chaos", "environment": {"comfyui": "chaos"},
            "models": [], "nodes_sha256": "0" * 64, "classes": [],
        }
    )  # fmt: skip
    part.insist(lambda session: workers.register(session, workers.current(session, worker_id), request))
    return part.insist(lambda session: workers.current(session, worker_id))


def _report(part: Part, worker: WorkerIdentity, lease: LeaseKey, how: str) -> None:
    answer = _end(part, worker, lease, how)
    part.journal.note("report", job=str(lease.job_id), fence=lease.fence, how=how, answer=answer)


def _end(part: Part, worker: WorkerIdentity, lease: LeaseKey, how: str) -> str:
    def act(session: Session) -> Completion:
        match how:
            case "ok" | "cancelled":
                return leases.complete(session, worker, lease, cancelled=how == "cancelled")
            case "release":
                return leases.release(session, worker, lease, reason="chaos")
            case _:
                cause = Cause.JOB if how == "fail" else Cause.INFRA
                return leases.fail(session, worker, lease, cause=cause, error={"kind": "chaos", "message": how})

    return part.insist(act).value


def _key(line: dict[str, Any]) -> LeaseKey:
    return LeaseKey(job_id=JobId(UUID(line["job"])), fence=line["fence"], token=line["token"])


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool((one["job"], one["fence"]) == (other["job"], other["fence"]))


# --- meddling


def meddle(part: Part) -> None:
    """Cancel and replay, again and again."""
    while part.going():
        queued = [
            line["job"] for path in part.folder.glob("queue-submit-*.jsonl") for line in list(read(path))[-60:]
            if line["what"] == "queued"
        ]  # fmt: skip
        if queued and part.dice.random() < 0.7:
            job_id = JobId(UUID(part.dice.choice(queued)))
            answer = part.insist(
                lambda session, job_id=job_id: jobs.cancel(session, job_id, tenant_id=part.scope.id)  # type: ignore[misc]
            )
            part.journal.note("cancel", job=str(job_id), answer=answer.value)
        else:
            part.insist(lambda session: _replay(part, session))
        time.sleep(part.dice.uniform(0.02, 0.1))


def _replay(part: Part, session: Session) -> None:
    for letter in dead_letters.list_dead(session, tenant_id=part.scope.id, before=None, limit=3):
        dead_letters.replay(session, letter.job_id, tenant_id=part.scope.id)
        part.journal.note("replay", job=str(letter.job_id))


if __name__ == "__main__":
    _, kind, database_url, place, own_name, seed_text, count_text = sys.argv
    one = Part(database_url, Path(place), own_name, int(seed_text))
    if kind == "submit":
        submit(one, int(count_text))
    elif kind == "work":
        work(one)
    else:
        meddle(one)
