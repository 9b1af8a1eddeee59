"""The drawing of a job's life, walked arrow by arrow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from memoryd.dispatch import dead_letters, jobs, leases, tending
from memoryd.dispatch.facts import Cause, Grant, LeaseKey, WorkerIdentity
from memoryd.dispatch.states import ARROWS, ENDED, JobState, Verb
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import JobId
from tests.dispatch.conftest import LONG_AGO

Put = Callable[..., JobId]


class Walker:
    """Does verbs to one job."""

    def __init__(self, farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put) -> None:
        self.farm, self.worker, self.tenant, self.enqueue = farm, worker, tenant, enqueue
        self.job_id: JobId
        self.grant: Grant

    def state(self) -> JobState:
        return jobs.find_standing(self.farm, self.job_id).state

    def bring_to(self, state: JobState | None, *, last_try: bool, cancelled: bool, tired: bool) -> None:
        if state is None:
            return
        self.job_id = self.enqueue(max_attempts=1 if last_try else 2)
        if state in (JobState.LEASED, JobState.DELAYED, JobState.DEAD):
            self.do(Verb.CLAIM)
        if state in (JobState.DELAYED, JobState.DEAD):
            self.do(Verb.FAIL)
        if state is JobState.LEASED and last_try:
            self.farm.execute(text("update job set infra_attempts = :n"), {"n": leases.INFRA_ATTEMPTS_LIMIT - 1})
        if tired:
            self.farm.execute(text("update job set infra_attempts = :n"), {"n": leases.RELEASES_AT_ONCE})
        if cancelled:
            jobs.cancel(self.farm, self.job_id, tenant_id=self.tenant.id)
        assert self.state() is state

    def do(self, verb: Verb, *, cancelled: bool = False) -> None:
        farm, worker = self.farm, self.worker
        match verb:
            case Verb.ENQUEUE:
                self.job_id = self.enqueue()
            case Verb.CLAIM:
                grant = leases.claim(farm, worker, loaded=())
                assert grant is not None
                self.grant = grant
            case Verb.COMPLETE:
                leases.complete(farm, worker, self.lease(), cancelled=cancelled)
            case Verb.FAIL:
                leases.fail(farm, worker, self.lease(), cause=Cause.JOB, error={"kind": "x"})
            case Verb.RELEASE:
                leases.release(farm, worker, self.lease(), reason="drain")
            case Verb.REAP:
                farm.execute(text("update lease set expires_at = clock_timestamp() - interval '1 s'"))
                assert tending.reap(farm, calm_since=LONG_AGO) == 1
            case Verb.PROMOTE:
                farm.execute(text("update delayed set run_at = clock_timestamp()"))
                assert tending.promote(farm) == 1
            case Verb.CANCEL:
                jobs.cancel(farm, self.job_id, tenant_id=self.tenant.id)
            case Verb.EXPIRE:
                farm.execute(text("update ready set expires_at = clock_timestamp() - interval '1 s'"))
                assert tending.expire(farm) == 1
            case Verb.REPLAY:
                dead_letters.replay(farm, self.job_id, tenant_id=self.tenant.id)

    def lease(self) -> LeaseKey:
        return LeaseKey(job_id=self.grant.job_id, fence=self.grant.fence, token=self.grant.token)


@pytest.mark.parametrize(
    "arrow", sorted(ARROWS, key=str), ids=lambda arrow: f"{arrow[0] or 'nothing'}-{arrow[1]}-{arrow[2]}"
)
def test_every_arrow_can_be_walked(
    arrow: tuple[JobState | None, Verb, JobState],
    farm: Session,
    worker: WorkerIdentity,
    tenant: TenantScope,
    enqueue: Put,
) -> None:
    start, verb, end = arrow
    walker = Walker(farm, worker, tenant, enqueue)
    dying = end is JobState.DEAD or start is JobState.DEAD
    walker.bring_to(
        start,
        last_try=dying,
        cancelled=end is JobState.CANCELLED and start is JobState.LEASED,
        tired=verb is Verb.RELEASE and end is JobState.DELAYED,
    )
    walker.do(verb, cancelled=end is JobState.CANCELLED)
    assert walker.state() is end
    assert lies_in(farm, walker.job_id) == ({end.value} if end in PLACES else set())


PLACES = {JobState.READY: "ready", JobState.LEASED: "lease", JobState.DELAYED: "delayed", JobState.DEAD: "dead"}


def lies_in(farm: Session, job_id: JobId) -> set[str]:
    """The states whose table holds the job."""
    return {
        state.value
        for state, table in PLACES.items()
        if farm.execute(text(f"select 1 from {table} where job_id = :id"), {"id": job_id}).first()
    }


def test_an_end_is_left_by_nobody_but_replay() -> None:
    assert {(start, verb) for start, verb, _ in ARROWS if start in ENDED} == {(JobState.DEAD, Verb.REPLAY)}


def test_every_verb_and_state_is_drawn() -> None:
    assert {verb for _, verb, _ in ARROWS} == set(Verb)
    assert {end for _, _, end in ARROWS} == set(JobState)
