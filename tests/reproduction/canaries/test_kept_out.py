"""A worker that is kept out gets no reproduction work, and is tried all the same; ordinary jobs do not ask."""

from __future__ import annotations

from memoryd.foundation.database import take_farm
from memoryd.reproduction import matching, planning
from memoryd.reproduction.facts import WorkerMatch
from memoryd.reproduction.matching import KEPT_OUT
from memoryd.reproduction.routing import choose
from tests.reproduction.canaries.cage import MINIMAL, NEW, SOLID, Cage, cage
from tests.reproduction.studio import studio

__all__ = ["cage", "studio"]


def matches_of(cage: Cage) -> tuple[WorkerMatch, ...]:
    """How the workers stand to making the approved picture again."""
    asset = cage.runs()[0].asset_id
    with cage.work() as session:
        plan = planning.make_plan(session, asset, None)
        take_farm(session)
        return matching.match_workers(session, matching.needs_of(plan), None, cage.scope)


def drifted(cage: Cage, *, keep_out: bool) -> None:
    """Two workers, the first of which drifts."""
    cage.approved(SOLID)
    other = cage.asset(MINIMAL)
    first, _ = cage.worker("drifts"), cage.worker("steady")
    cage.keep(keep_out=keep_out)
    cage.round("identical file")
    cage.starts(first, NEW)
    cage.round("different", made=other)


def test_it_is_named_in_the_plan_and_passed_over(cage: Cage) -> None:
    drifted(cage, keep_out=True)
    steady, drifts = matches_of(cage)
    assert (steady.label, steady.fits) == ("steady", True)
    assert (drifts.label, drifts.fits, [cause.code for cause in drifts.lacks]) == ("drifts", False, [KEPT_OUT])
    assert drifts.lacks[0].next_step
    chosen = choose((steady, drifts), pool="default")
    assert (chosen.route.workers, chosen.route.only) == ((steady.worker_id,), True)


def test_one_that_is_only_flagged_gets_work(cage: Cage) -> None:
    drifted(cage, keep_out=False)
    assert all(match.fits for match in matches_of(cage))


def test_asked_for_by_name_it_is_refused_with_the_reason_but_to_a_canary(cage: Cage) -> None:
    drifted(cage, keep_out=True)
    matches = matches_of(cage)
    (worker,) = cage.kept_out()
    refused = choose(matches, pool="default", on_worker=worker)
    assert [cause.code for cause in refused.causes] == [KEPT_OUT]
    tried = choose(matches, pool="default", on_worker=worker, in_doubt=True)
    assert (tried.causes, tried.route.workers) == ((), (worker,))


def test_another_tenants_work_goes_there(cage: Cage) -> None:
    drifted(cage, keep_out=True)
    assert cage.kept_out(cage.studio.other_tenant) == frozenset()
