"""What a canary showed: a worker is compared with itself, and told since when and after which change it drifted."""

from __future__ import annotations

import pytest

from memoryd.catalog.environments import keep_environment
from memoryd.dispatch.doubts import Drift
from memoryd.reproduction.canaries.facts import Outcome, Reason, RunState
from memoryd.reproduction.facts import Purpose
from tests.reproduction.canaries.cage import MINIMAL, NEW, OLD, SOLID, Cage, cage
from tests.reproduction.studio import studio

__all__ = ["cage", "studio"]


def test_a_worker_that_makes_what_was_approved_is_good(cage: Cage) -> None:
    asset = cage.approved(SOLID)
    worker = cage.worker()
    cage.keep()
    (run,) = cage.round("identical file")
    assert (run.outcome, run.reason, run.state) == (Outcome.GOOD, Reason.FIRST, RunState.OVER)
    assert (run.asset_id, run.worker_id, run.is_baseline) == (asset, worker, True)
    asked = cage.asked[0]
    assert (asked["purpose"], asked["on_worker"]) == (Purpose.CANARY, worker)
    assert asked["caller"].person_id is None
    assert cage.in_doubt() == []


def test_drift_is_told_with_since_when_and_after_which_change(cage: Cage) -> None:
    cage.approved(SOLID)
    other = cage.asset(MINIMAL)
    worker = cage.worker()
    cage.keep(keep_out=True)
    (good,) = cage.round("identical file")
    cage.starts(worker, NEW)
    bad, _ = cage.round("different", made=other)
    assert (bad.outcome, bad.reason, bad.verdict) == (Outcome.DRIFTED, Reason.CHANGE, "different")
    (doubt,) = cage.in_doubt()
    assert (doubt.worker_id, doubt.reason, doubt.keeps_out, doubt.changed) == (worker, Drift.PIXELS, True, True)
    assert (doubt.last_good_at, doubt.first_bad_at) == (good.ended_at, bad.ended_at)
    assert [(one["name"], one["then"], one["now"]) for one in doubt.change] == [("torch", "2.8.0", "2.9.0")]
    assert bad.doubt_id == doubt.id
    assert cage.kept_out() == {worker}


def test_what_another_machine_made_is_no_measure_of_this_one(cage: Cage) -> None:
    cage.approved(SOLID)
    own = cage.asset(MINIMAL)
    cage.worker()
    cage.keep(every_s=60)
    (first,) = cage.round("within tolerance", made=own)
    assert (first.outcome, first.is_baseline) == (Outcome.FIRST, True), "it never made the original: nothing drifted"
    assert cage.in_doubt() == []


def test_the_same_as_before_is_good_though_it_is_not_the_original(cage: Cage) -> None:
    cage.approved(SOLID)
    own = cage.asset(MINIMAL)
    worker = cage.worker()
    cage.keep()
    cage.round("within tolerance", made=own)
    cage.starts(worker, NEW)
    run, _ = cage.round("within tolerance", made=own)
    assert run.outcome is Outcome.GOOD
    assert cage.in_doubt() == []


def test_drift_from_its_own_baseline_is_found_by_the_pixels(cage: Cage) -> None:
    original = cage.approved(SOLID)
    own = cage.asset(MINIMAL)
    third = cage.asset("txt2img_basic.png")
    worker = cage.worker()
    cage.keep()
    cage.round("within tolerance", made=own)
    cage.starts(worker, NEW)
    run, *_ = cage.round("within tolerance", made=third)
    assert run.outcome is Outcome.DRIFTED
    assert run.baseline_sha256 != run.made_sha256
    assert run.measures["compared_with"] in ("bytes", "stored hash")
    assert original not in (own, third)


def test_equal_pixels_in_another_file_are_told_and_keep_nobody_out(cage: Cage) -> None:
    cage.approved(SOLID)
    other = cage.asset(MINIMAL)
    worker = cage.worker()
    cage.keep(keep_out=True)
    cage.round("identical file")
    cage.starts(worker, {**OLD, "pillow": "12.0"})
    run, _ = cage.round("identical pixels", made=other)
    assert run.outcome is Outcome.FILE_DRIFTED
    (doubt,) = cage.in_doubt()
    assert (doubt.reason, doubt.keeps_out) == (Drift.FILE, False)
    assert doubt.change[0]["bearing"] == "file"
    assert cage.kept_out() == frozenset()


@pytest.mark.parametrize("before", [True, False])
def test_what_could_not_be_run_is_never_drift(cage: Cage, before: bool) -> None:
    cage.approved(SOLID)
    worker = cage.worker()
    cage.keep()
    if before:
        cage.round("identical file")
        cage.starts(worker, NEW)
    run, *_ = cage.round("not attempted")
    assert run.outcome is Outcome.NOT_ATTEMPTED
    assert cage.in_doubt() == []


def test_drift_in_the_same_environment_says_so(cage: Cage) -> None:
    cage.approved(SOLID)
    other = cage.asset(MINIMAL)
    worker = cage.worker()
    cage.keep()
    cage.round("identical file")
    cage.starts(worker, NEW)
    cage.starts(worker, OLD)
    cage.ask_now()
    cage.round("different", made=other)
    (doubt,) = cage.in_doubt()
    assert (doubt.changed, doubt.change) == (False, ())


def test_more_bad_runs_are_one_doubt_and_a_good_one_is_noted_on_it(cage: Cage) -> None:
    cage.approved(SOLID)
    other = cage.asset(MINIMAL)
    worker = cage.worker()
    cage.keep(keep_out=True)
    cage.round("identical file")
    cage.starts(worker, NEW)
    cage.round("different", made=other)
    cage.ask_now()
    cage.round("different", made=other)
    (doubt,) = cage.in_doubt()
    assert (doubt.bad_runs, doubt.good_again_at) == (2, None)
    cage.starts(worker, OLD)
    run, *_ = cage.round("identical file")
    (noted,) = cage.in_doubt()
    assert (noted.id, noted.good_again_at) == (doubt.id, run.ended_at)
    assert cage.kept_out() == {worker}, "until somebody decides"


def test_the_original_is_its_makers_own_measure_before_any_canary_ran(cage: Cage) -> None:
    asset = cage.approved(SOLID)
    other = cage.asset(MINIMAL)
    cage.worker("maker")
    with cage.work() as session:
        cage.was_made_by(session, asset, "maker", keep_environment(session, OLD))
    cage.starts(next(iter(cage.keys)), NEW)
    cage.keep()
    (run,) = cage.round("different", made=other)
    assert run.outcome is Outcome.DRIFTED
    (doubt,) = cage.in_doubt()
    assert [one["name"] for one in doubt.change] == ["torch"]
    assert doubt.last_good_at is not None


def test_a_run_that_another_worker_took_says_nothing(cage: Cage) -> None:
    cage.approved(SOLID)
    other = cage.asset(MINIMAL)
    cage.worker()
    cage.keep()
    cage.round("identical file")
    cage.ask_now()
    cage.tend()
    cage.ran_elsewhere()
    cage.ends("different", made=other)
    cage.tend()
    assert cage.runs()[0].outcome is Outcome.NOT_ATTEMPTED
    assert cage.runs()[0].causes[0]["code"] == "ran-elsewhere"
    assert cage.in_doubt() == []
