"""What is due and when; one at a time; two leaders, processes that die, and errors on the way."""

from __future__ import annotations

import datetime
import threading
import uuid

import pytest
from sqlalchemy import text

from memoryd.dispatch import doubts
from memoryd.foundation.ids import TenantId, new_id
from memoryd.reproduction import making
from memoryd.reproduction.canaries import due, queries, tending
from memoryd.reproduction.canaries.due import RETRY_S, allowed_pools, reason_for
from memoryd.reproduction.canaries.facts import Outcome, Reason, RunState
from memoryd.reproduction.canaries.tending import BEGIN_AGAIN_S, DUE_LIMIT_S, RUNNING_LIMIT
from tests.reproduction.canaries.cage import MINIMAL, NEW, OLD, SOLID, Cage, cage
from tests.reproduction.studio import studio

__all__ = ["cage", "studio"]

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
THEN, PRESENT = b"\x01" * 32, b"\x02" * 32


class Last:
    """A worker's newest run, so many seconds ago."""

    def __init__(
        self,
        ago_s: float,
        *,
        state: str = "over",
        outcome: str = "good",
        stated: bytes = THEN,
        ran: bytes | None = None,
    ) -> None:
        self.at = NOW - datetime.timedelta(seconds=ago_s)
        self.state, self.outcome, self.stated, self.environment = state, outcome, stated, ran


@pytest.mark.parametrize(
    ("last", "every_s", "after_change", "wanted"),
    [
        (None, None, True, Reason.FIRST),
        (Last(10, state="running"), 5, True, None),
        (Last(10), None, True, Reason.CHANGE),
        (Last(10), 3600, False, None),
        (Last(10, stated=PRESENT), None, True, None),
        (Last(10, ran=PRESENT), None, True, None),
        (Last(3500, stated=PRESENT), 3600, True, None),
        (Last(3700, stated=PRESENT), 3600, True, Reason.SCHEDULE),
        (Last(RETRY_S - 9, stated=PRESENT, outcome="not attempted"), None, True, None),
        (Last(RETRY_S + 9, stated=PRESENT, outcome="not attempted"), None, True, Reason.SCHEDULE),
    ],
)
def test_when_a_worker_is_to_make_an_asset(
    last: Last | None, every_s: int | None, after_change: bool, wanted: Reason | None
) -> None:
    found = reason_for(
        last,  # type: ignore[arg-type]
        environment=PRESENT,
        every_s=every_s,
        after_change=after_change,
        spread=0.0,
        now=NOW,
    )
    assert found is wanted


def test_a_worker_that_states_no_environment_has_not_changed() -> None:
    found = reason_for(
        Last(10),  # type: ignore[arg-type]
        environment=None,
        every_s=None,
        after_change=True,
        spread=0.0,
        now=NOW,
    )
    assert found is None


def test_workers_do_not_all_come_at_once() -> None:
    late = [
        reason_for(
            Last(3700, stated=PRESENT),  # type: ignore[arg-type]
            environment=PRESENT,
            every_s=3600,
            after_change=False,
            spread=spread,
            now=NOW,
        )
        for spread in (0.0, 1.0)
    ]
    assert late == [Reason.SCHEDULE, None]


def test_canaries_run_where_their_project_may() -> None:
    usable = {"a": "eu", "b": "us", "c": None}
    assert allowed_pools(usable, None, None) == {"a", "b", "c"}
    assert allowed_pools(usable, ["a", "x"], None) == {"a"}
    assert allowed_pools(usable, None, ["us"]) == {"b"}


def test_without_a_policy_nothing_is_due(cage: Cage) -> None:
    cage.approved(SOLID)
    cage.worker()
    assert (cage.tend().planned, cage.runs()) == (0, [])


def test_one_asset_of_each_workflow_is_chosen(cage: Cage) -> None:
    cage.approved(SOLID)
    cage.approved("modelfree_extra_chunks.png")
    cage.worker()
    cage.keep(assets=5)
    cage.tend()
    with cage.work() as session:
        workflows = session.execute(
            text("""select count(*), count(distinct i.digest) from canary_run c
                      join generation_output o on o.asset_id = c.asset_id join generation g on g.id = o.generation_id
                      join graph_identity i on i.exact = g.exact and i.level = 'workflow'""")
        ).one()
    assert workflows[0] == workflows[1]


def test_a_worker_that_lacks_what_it_needs_is_left_alone(cage: Cage) -> None:
    cage.approved("txt2img_basic.png")
    cage.worker()
    cage.keep()
    assert (cage.tend().planned, cage.asked) == (0, [])


def test_a_worker_has_one_canary_at_a_time(cage: Cage) -> None:
    cage.approved(SOLID)
    cage.approved("modelfree_minimal_no_meta_titles.png")
    cage.worker()
    cage.keep(assets=5)
    cage.tend()
    due = len(cage.runs())
    assert [run.state for run in cage.runs()].count(RunState.RUNNING) == 1
    for _ in range(due):
        assert [run.state for run in cage.runs()].count(RunState.RUNNING) <= 1
        cage.ends("identical file")
        cage.tend()
    assert all(run.state is RunState.OVER for run in cage.runs())


def test_a_worker_is_one_tenants_at_a_time(cage: Cage) -> None:
    cage.approved(SOLID)
    worker = cage.worker(serves=(cage.scope, cage.studio.other_tenant))
    cage.keep()
    theirs = new_id()
    with cage.farm() as session:
        other = TenantId(cage.studio.other_tenant.id)
        assert doubts.take_turn(session, worker, theirs, tenant_id=other)  # type: ignore[arg-type]
    assert cage.tend().begun == 0
    with cage.farm() as session:
        doubts.end_turn(session, worker, theirs)  # type: ignore[arg-type]
    assert cage.tend().begun == 1


def test_a_farm_is_looked_at_worker_by_worker(cage: Cage) -> None:
    cage.approved(SOLID)
    for number in range(RUNNING_LIMIT + 2):
        cage.worker(f"gpu-{number}")
    cage.keep()
    cage.tend()
    assert [run.state for run in cage.runs()].count(RunState.RUNNING) == RUNNING_LIMIT
    cage.ends("identical file")
    cage.tend()
    assert [run.state for run in cage.runs()].count(RunState.RUNNING) == 2


def test_two_leaders_make_one_run_and_one_doubt(cage: Cage) -> None:
    cage.approved(SOLID)
    other = cage.asset(MINIMAL)
    worker = cage.worker()
    cage.keep()
    cage.round("identical file")
    cage.starts(worker, NEW)
    _at_once(lambda: _step(cage))
    assert len(cage.runs()) == 2
    assert len(cage.asked) == 2
    cage.ends("different", made=other)
    _at_once(lambda: tending.judge_ended(cage.studio.offices.database, cage.studio.store, cage.scope))
    (doubt,) = cage.in_doubt()
    assert doubt.bad_runs == 1


def test_only_one_leads(cage: Cage) -> None:
    assert cage.tend(holder=uuid.uuid4()).leading
    assert not cage.tend(holder=uuid.uuid4()).leading


def test_a_process_that_died_after_its_attempt_was_recorded_makes_no_second_one(
    cage: Cage, monkeypatch: pytest.MonkeyPatch
) -> None:
    cage.approved(SOLID)
    cage.worker()
    cage.keep()
    real = queries.set_running
    monkeypatch.setattr(queries, "set_running", _killed)
    with pytest.raises(KeyboardInterrupt):
        cage.tend()
    monkeypatch.setattr(queries, "set_running", real)
    assert [run.state for run in cage.runs()] == [RunState.DUE]
    assert cage.tend().begun == 0, "not at once: whoever began it may still be at it"
    cage.later(BEGIN_AGAIN_S)
    assert cage.tend().begun == 1
    assert len(cage.asked) == 1
    assert [run.state for run in cage.runs()] == [RunState.RUNNING]


def test_an_error_on_the_way_is_tried_again_and_holds_up_no_other(cage: Cage, monkeypatch: pytest.MonkeyPatch) -> None:
    cage.approved(SOLID)
    first, second = cage.worker("a"), cage.worker("b")
    cage.keep()
    real = making.make_again

    def fails_once(*args: object, **asked: object) -> object:
        if asked["on_worker"] == first:
            raise RuntimeError("the disk is full")
        return real(*args, **asked)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "make_again", fails_once)
    assert cage.tend().begun == 1
    monkeypatch.setattr(making, "make_again", real)
    cage.later(BEGIN_AGAIN_S)
    assert cage.tend().begun == 1
    assert {asked["on_worker"] for asked in cage.asked} == {first, second}


def test_a_worker_that_never_comes_back_is_not_waited_for_for_ever(cage: Cage) -> None:
    cage.approved(SOLID)
    worker = cage.worker()
    cage.keep()
    cage.round("identical file")
    cage.ask_now()
    with cage.farm() as session:
        session.execute(text("update worker set state = 'left' where id = :w"), {"w": worker})
    assert cage.tend().begun == 0
    cage.later(DUE_LIMIT_S)
    cage.tend()
    run = cage.runs()[0]
    assert (run.outcome, run.causes[0]["code"]) == (Outcome.NOT_ATTEMPTED, "worker-away")


def test_a_policy_that_is_dropped_leaves_nothing_due(cage: Cage) -> None:
    cage.approved(SOLID)
    worker = cage.worker()
    cage.keep()
    cage.round("identical file")
    with cage.farm() as session:
        session.execute(text("update worker set state = 'draining' where id = :w"), {"w": worker})
    cage.starts(worker, OLD)
    cage.ask_now()
    cage.drop()
    assert [run.state for run in cage.runs()] == [RunState.OVER]


def _step(cage: Cage) -> None:
    database, store = cage.studio.offices.database, cage.studio.store
    with cage.work() as session:
        due.plan_due(session, cage.scope, now=datetime.datetime.now(datetime.UTC))
    tending.begin_due(database, store, cage.scope)


def _at_once(act: object) -> None:
    threads = [threading.Thread(target=act) for _ in range(4)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
