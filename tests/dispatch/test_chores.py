"""The server's own follow-up work."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import text

from memoryd.dispatch import chores, jobs, leases
from memoryd.dispatch.facts import Cause, Chore, FollowUp, LeaseKey, PoolView, WorkerIdentity
from memoryd.foundation.database import Session, TenantScope
from tests.dispatch.conftest import ask


def claim(farm: Session, *kinds: str) -> Chore:
    chore = chores.claim(farm, kinds or ("thumbnail",))
    assert chore is not None
    return chore


def test_a_chore_is_done_once_and_gone(farm: Session, tenant: TenantScope) -> None:
    subjects = [uuid4(), uuid4()]
    assert chores.add(farm, tenant, "thumbnail", "v1", subjects) == 1
    assert chores.claim(farm, ["other"]) is None
    chore = claim(farm)
    assert (chore.subjects, chore.recipe, chore.tenant_id, chore.attempt) == (tuple(subjects), "v1", tenant.id, 1)
    assert chores.claim(farm, ["thumbnail"]) is None
    assert chores.finish(farm, chore)
    assert not chores.finish(farm, chore)
    assert chores.count(farm) == {}


def test_many_subjects_become_several_chores_and_none_becomes_none(farm: Session, tenant: TenantScope) -> None:
    assert chores.add(farm, tenant, "thumbnail", "v1", []) == 0
    assert chores.add(farm, tenant, "thumbnail", "v1", [uuid4() for _ in range(chores.SUBJECTS_LIMIT + 1)]) == 2
    assert sorted(len(claim(farm).subjects) for _ in range(2)) == [1, chores.SUBJECTS_LIMIT]


def test_the_greatest_priority_comes_first(farm: Session, tenant: TenantScope) -> None:
    for priority in (0, 5, 1):
        chores.add(farm, tenant, "thumbnail", str(priority), [uuid4()], priority=priority)
    assert [claim(farm).recipe for _ in range(3)] == ["5", "1", "0"]


def test_who_lost_a_chore_cannot_end_it(farm: Session, tenant: TenantScope) -> None:
    chores.add(farm, tenant, "thumbnail", "v1", [uuid4()])
    late = claim(farm)
    farm.execute(text("update chore set lease_until = clock_timestamp() - interval '1 s'"))
    present = claim(farm)
    assert present.attempt == 2
    assert not chores.finish(farm, late)
    assert not chores.fail(farm, late, reason="x")
    with pytest.raises(chores.ChoreLost):
        chores.extend(farm, late)
    chores.extend(farm, present)
    assert chores.finish(farm, present)


def test_a_chore_that_fails_waits_longer_each_time_and_is_given_up_with_its_reason(
    farm: Session, tenant: TenantScope
) -> None:
    chores.add(farm, tenant, "thumbnail", "v1", [uuid4()])
    for turn in range(chores.TRIES_LIMIT):
        chore = claim(farm)
        assert chore.attempt == turn + 1
        assert chores.fail(farm, chore, reason="broken\x00file")
        assert chores.claim(farm, ["thumbnail"]) is None
        farm.execute(text("update chore set not_before = clock_timestamp()"))
    assert chores.claim(farm, ["thumbnail"]) is None
    assert chores.count(farm) == {"thumbnail": (0, 1)}
    assert farm.execute(text("select error from chore")).scalar_one() == "broken\ufffdfile"
    assert chores.retry_given_up(farm, tenant) == 1
    assert claim(farm).attempt == 1


def test_a_jobs_end_brings_its_chore_however_it_ends(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, pool: PoolView
) -> None:
    for end in ("completed", "cancelled while it waits", "dead"):
        subject = uuid4()
        follow_up = FollowUp(kind="verdict", recipe=end, subject=subject)
        job_id = jobs.enqueue(farm, ask(tenant.id, pool, follow_up=follow_up, max_attempts=1)).job_id
        if end.startswith("cancelled"):
            jobs.cancel(farm, job_id, tenant_id=tenant.id)
        else:
            grant = leases.claim(farm, worker, loaded=())
            assert grant is not None
            lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
            if end == "dead":
                leases.fail(farm, worker, lease, cause=Cause.JOB, error={"kind": "x"})
            else:
                leases.complete(farm, worker, lease)
        chore = claim(farm, "verdict")
        assert (chore.recipe, chore.subjects) == (end, (subject,))
        assert chores.finish(farm, chore)
