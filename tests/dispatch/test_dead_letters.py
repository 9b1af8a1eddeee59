"""Jobs that were given up: seen, replayed, discarded; one, or all that fit."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from sqlalchemy import text

from memoryd.dispatch import dead_letters, jobs, leases
from memoryd.dispatch.facts import Cause, DeadFilter, LeaseKey, Urgency, WorkerIdentity
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import JobId, ProjectId, new_id

Put = Callable[..., JobId]
PROJECT = ProjectId(new_id())


@pytest.fixture
def dead(farm: Session, worker: WorkerIdentity, enqueue: Put) -> list[JobId]:
    """Three given-up jobs, the last of a project and with another model."""
    ids = [enqueue(max_attempts=1), enqueue(max_attempts=1)]
    ids.append(enqueue(max_attempts=1, model_set="flux", project_id=PROJECT, urgency=Urgency.REALTIME))
    for _ in ids:
        grant = leases.claim(farm, worker, loaded=())
        assert grant is not None
        lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
        leases.fail(farm, worker, lease, cause=Cause.JOB, error={"kind": "execution-error", "message": "no"})
    return ids


def listed(farm: Session, tenant: TenantScope, **only: object) -> list[JobId]:
    letters = dead_letters.list_dead(
        farm,
        tenant_id=tenant.id,
        before=None,
        limit=10,
        only=DeadFilter(**only),  # type: ignore[arg-type]
    )
    return [letter.job_id for letter in letters]


def test_they_are_found_by_what_they_have_in_common(farm: Session, tenant: TenantScope, dead: list[JobId]) -> None:
    now = datetime.datetime.now(datetime.UTC)
    assert listed(farm, tenant) == dead[::-1]
    assert listed(farm, tenant, pool="default") == dead[::-1]
    assert listed(farm, tenant, pool="other") == []
    assert listed(farm, tenant, model_set="flux") == [dead[2]]
    assert listed(farm, tenant, project_id=PROJECT) == [dead[2]]
    assert listed(farm, tenant, since=now - datetime.timedelta(hours=1)) == dead[::-1]
    assert listed(farm, tenant, since=now + datetime.timedelta(hours=1)) == []


def test_all_that_fit_are_replayed_as_batch_work(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, dead: list[JobId]
) -> None:
    replayed = dead_letters.replay_all(farm, DeadFilter(project_id=PROJECT), tenant_id=tenant.id)
    assert replayed == [dead[2]]
    standing = jobs.find_standing(farm, dead[2])
    assert (standing.state, standing.urgency, standing.attempt) == (JobState.READY, Urgency.BATCH, 0)
    assert sorted(dead_letters.replay_all(farm, DeadFilter(), tenant_id=tenant.id)) == sorted(dead[:2])
    assert dead_letters.replay_all(farm, DeadFilter(), tenant_id=tenant.id) == []


def test_what_is_discarded_is_cancelled_and_says_by_whom(farm: Session, tenant: TenantScope, dead: list[JobId]) -> None:
    dead_letters.discard(farm, dead[0], tenant_id=tenant.id, by="somebody")
    standing = jobs.find_standing(farm, dead[0])
    assert standing.state is JobState.CANCELLED
    assert standing.failures[-1]["cause"] == "discarded"
    with pytest.raises(dead_letters.NotDead):
        dead_letters.discard(farm, dead[0], tenant_id=tenant.id, by="somebody")
    rest = dead_letters.discard_all(farm, DeadFilter(), tenant_id=tenant.id, by="somebody")
    assert sorted(rest) == sorted(dead[1:])
    assert farm.execute(text("select count(*) from dead")).scalar_one() == 0


def test_another_tenants_dead_letters_are_out_of_reach(
    farm: Session, other_tenant: TenantScope, dead: list[JobId]
) -> None:
    assert listed(farm, other_tenant) == []
    assert dead_letters.replay_all(farm, DeadFilter(), tenant_id=other_tenant.id) == []
    assert dead_letters.discard_all(farm, DeadFilter(), tenant_id=other_tenant.id, by="x") == []
    with pytest.raises(dead_letters.NotDead):
        dead_letters.discard(farm, dead[0], tenant_id=other_tenant.id, by="x")
