"""The drawing of a job's life, walked arrow by arrow."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from sqlalchemy import text

from memoryd.dispatch import approvals, dead_letters, groups, holds, jobs, leases, tending, tries
from memoryd.dispatch.facts import Cause, Grant, LeaseKey, WorkerIdentity
from memoryd.dispatch.states import ARROWS, ENDED, JobState, Verb
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import JobId, ProjectId, new_id
from tests.dispatch.conftest import LONG_AGO

Put = Callable[..., JobId]
PROJECT = ProjectId(new_id())
APPROVAL = new_id()


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
        if state is JobState.HELD:
            holds.pause_project(self.farm, PROJECT, tenant_id=self.tenant.id)
        self.job_id = self.enqueue(max_attempts=1 if last_try else 2, project_id=PROJECT)
        if state in (JobState.LEASED, JobState.DELAYED, JobState.DEAD):
            self.do(Verb.CLAIM)
        if state in (JobState.DELAYED, JobState.DEAD):
            self.do(Verb.FAIL)
        if state in (JobState.CANCELLED, JobState.EXPIRED):
            self.do(Verb.CANCEL if state is JobState.CANCELLED else Verb.EXPIRE)
        if state is JobState.LEASED and last_try:
            self.farm.execute(text("update job set infra_attempts = :n"), {"n": tries.INFRA_ATTEMPTS_LIMIT - 1})
        if tired:
            self.farm.execute(text("update job set infra_attempts = :n"), {"n": tries.RELEASES_AT_ONCE})
        if cancelled:
            jobs.cancel(self.farm, self.job_id, tenant_id=self.tenant.id)
        assert self.state() is state

    def prepare(self, start: JobState | None, verb: Verb, end: JobState) -> None:
        """Bring about what decides between two ends of one verb."""
        match start, verb, end:
            case (None, Verb.ENQUEUE, JobState.HELD):
                holds.pause_project(self.farm, PROJECT, tenant_id=self.tenant.id)
            case (JobState.LEASED, Verb.FAIL, JobState.HELD):
                self.farm.execute(text("update job set bigger_pools = array[pool_id]"))
                holds.pause_project(self.farm, PROJECT, tenant_id=self.tenant.id)
            case (start, _, JobState.HELD) if start is not JobState.READY and start is not JobState.HELD:
                holds.pause_project(self.farm, PROJECT, tenant_id=self.tenant.id)
            case (JobState.LEASED, Verb.FAIL, JobState.READY):
                self.farm.execute(text("update job set bigger_pools = array[pool_id]"))
            case (JobState.HELD, Verb.LET_GO, JobState.DELAYED):
                self.farm.execute(text("update job set starts_after = clock_timestamp() + interval '1 h'"))
            case (JobState.HELD, Verb.LET_GO, JobState.HELD):
                group_id = groups.make(self.farm, tenant_id=self.tenant.id, name="g", total=1)
                groups.pause(self.farm, group_id, tenant_id=self.tenant.id)
                self.farm.execute(text("update job set group_id = :id"), {"id": group_id})
            case (JobState.HELD, Verb.LET_GO, JobState.CANCELLED):
                approvals.begin(self.farm, APPROVAL, tenant_id=self.tenant.id)
                self.farm.execute(text("update job set approval_id = :id"), {"id": APPROVAL})

    def do(self, verb: Verb, *, end: JobState | None = None) -> None:
        farm, worker, tenant_id = self.farm, self.worker, self.tenant.id
        match verb:
            case Verb.ENQUEUE:
                soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
                later = {"starts_after": soon} if end is JobState.DELAYED else {}
                self.job_id = self.enqueue(project_id=PROJECT, **later)
            case Verb.CLAIM:
                grant = leases.claim(farm, worker, loaded=())
                assert grant is not None
                self.grant = grant
            case Verb.COMPLETE:
                leases.complete(farm, worker, self.lease(), cancelled=end is JobState.CANCELLED)
            case Verb.FAIL:
                moves = end in (JobState.READY, JobState.HELD)
                leases.fail(farm, worker, self.lease(), cause=Cause.JOB, error={"kind": "x"}, move=moves)
            case Verb.RELEASE:
                leases.release(farm, worker, self.lease(), reason="drain")
            case Verb.REAP:
                farm.execute(text("update lease set expires_at = clock_timestamp() - interval '1 s'"))
                assert tending.reap(farm, calm_since=LONG_AGO) == 1
            case Verb.PROMOTE:
                farm.execute(text("update delayed set run_at = clock_timestamp()"))
                assert tending.promote(farm) == 1
            case Verb.CANCEL:
                jobs.cancel(farm, self.job_id, tenant_id=tenant_id)
            case Verb.EXPIRE:
                for table in ("ready", "held", "job"):
                    farm.execute(text(f"update {table} set expires_at = clock_timestamp() - interval '1 s'"))
                assert tending.expire(farm) == 1
            case Verb.REPLAY if self.state() is JobState.DEAD:
                dead_letters.replay(farm, self.job_id, tenant_id=tenant_id)
            case Verb.REPLAY:
                group_id = groups.make(farm, tenant_id=tenant_id, name="g", total=1)
                farm.execute(text("update job set group_id = :id"), {"id": group_id})
                assert groups.retry_missing(farm, group_id, tenant_id=tenant_id) == 1
            case Verb.DISCARD:
                dead_letters.discard(farm, self.job_id, tenant_id=tenant_id, by="somebody")
            case Verb.HOLD:
                holds.pause_project(farm, PROJECT, tenant_id=tenant_id)
            case Verb.LET_GO if end is JobState.CANCELLED:
                approvals.refuse(farm, APPROVAL, "no", tenant_id=tenant_id)
            case Verb.LET_GO:
                holds.resume_project(farm, PROJECT, tenant_id=tenant_id)

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
    walker.prepare(start, verb, end)
    walker.do(verb, end=end)
    assert walker.state() is end
    assert lies_in(farm, walker.job_id) == ({end.value} if end in PLACES else set())


PLACES = {
    JobState.READY: "ready",
    JobState.HELD: "held",
    JobState.LEASED: "lease",
    JobState.DELAYED: "delayed",
    JobState.DEAD: "dead",
}


def lies_in(farm: Session, job_id: JobId) -> set[str]:
    """The states whose table holds the job."""
    return {
        state.value
        for state, table in PLACES.items()
        if farm.execute(text(f"select 1 from {table} where job_id = :id"), {"id": job_id}).first()
    }


def test_an_end_is_left_by_nobody_but_replay_and_success_by_nobody() -> None:
    left = {(start, verb) for start, verb, _ in ARROWS if start in ENDED}
    assert left == {
        (JobState.DEAD, Verb.REPLAY),
        (JobState.DEAD, Verb.DISCARD),
        (JobState.CANCELLED, Verb.REPLAY),
        (JobState.EXPIRED, Verb.REPLAY),
    }


def test_every_verb_and_state_is_drawn() -> None:
    assert {verb for _, verb, _ in ARROWS} == set(Verb)
    assert {end for _, _, end in ARROWS} == set(JobState)
