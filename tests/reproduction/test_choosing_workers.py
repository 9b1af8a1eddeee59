"""Which worker an attempt goes to, or why to none."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from memoryd.dispatch.facts import Route
from memoryd.foundation.canonical_json import canonical_digest
from memoryd.foundation.ids import WorkerId
from memoryd.reproduction.environments.nearness import nearness
from memoryd.reproduction.facts import Cause, WorkerMatch
from memoryd.reproduction.routing import Chosen, choose

THEN: dict[str, Any] = {
    "torch": "2.9",
    "comfyui": "0.29",
    "python": "3.11.7",
    "devices": [{"name": "cpu", "type": "cpu"}],
    "flags": [],
    "packages": {"torch": "2.9"},
    "threads": {"intra_op": 1},
    "simd": "AVX2",
}
DRIFTED = Cause(code="model-drifted", detail="its checkpoints/a is another file", next_step="bring it back")
LINKED = Cause(code="model-under-other-name", detail="it has it as b")


def worker(label: str, now: dict[str, Any] | None = None, **changes: Any) -> WorkerMatch:
    values: dict[str, Any] = {
        "worker_id": WorkerId(uuid4()),
        "label": label,
        "pools": ("default",),
        "online": True,
        "fits": True,
        "nearness": nearness(THEN, THEN if now is None else now),
        "environment": canonical_digest(THEN if now is None else now).hex(),
        **changes,
    }
    return WorkerMatch(**values)


def ids(*matches: WorkerMatch) -> tuple[UUID, ...]:
    return tuple(UUID(str(match.worker_id)) for match in matches)


def codes(chosen: Chosen) -> list[str]:
    return [cause.code for cause in chosen.causes]


def test_the_nearest_first_and_the_pool_in_the_end() -> None:
    near, far, away = worker("near"), worker("far", THEN | {"torch": "2.1"}), worker("away", online=False)
    assert choose([near, far, away], pool="default").route == Route(workers=ids(near, far))


def test_a_worker_alone_gets_it_in_the_order_of_its_pool_and_a_pool_without_one_waits() -> None:
    assert choose([worker("one")], pool="default").route == Route(workers=())
    assert choose([worker("one")], pool="another") == Chosen(pool="another")


def test_a_worker_that_cannot_run_it_is_no_place_to_fall_back_to() -> None:
    fits, late = worker("fits"), worker("late", online=False)
    drifted = worker("drifted", fits=False, lacks=(DRIFTED,))
    assert choose([fits, late, drifted], pool="default").route == Route(workers=ids(fits, late), only=True)


def test_weights_that_changed_everywhere_refuse_it_beforehand_with_the_next_step() -> None:
    chosen = choose([worker("gpu-1", fits=False, lacks=(LINKED, DRIFTED))], pool="default")
    assert codes(chosen) == ["model-drifted"]
    assert chosen.causes[0].detail == "worker 'gpu-1': its checkpoints/a is another file"
    assert chosen.causes[0].next_step == "bring it back"


def test_a_worker_with_the_file_under_another_name_will_do() -> None:
    chosen = choose([worker("one", lacks=(LINKED,))], pool="default")
    assert (chosen.causes, chosen.linked) == ((), True)


def test_who_insists_on_the_environment_gets_it_or_a_refusal_that_names_the_nearest() -> None:
    same, other = worker("same"), worker("other", THEN | {"torch": "2.1"})
    chosen = choose([other, same], pool="default", require_identical=True)
    assert (chosen.route, chosen.environments) == (Route(workers=ids(same), only=True), (same.environment,))
    silent = worker("silent", environment=None)
    assert codes(choose([silent], pool="default", require_identical=True)) == ["environment-not-here"]
    named = choose([other, same], pool="default", require_identical=True, on_worker=UUID(str(same.worker_id)))
    assert named.environments == (same.environment,)
    refused = choose([other], pool="default", require_identical=True)
    assert codes(refused) == ["environment-not-here"]
    assert "worker 'other': torch: 2.9 then, 2.1 now" in refused.causes[0].detail
    assert codes(choose([], pool="default", require_identical=True)) == ["environment-not-here"]
    asleep = worker("asleep", online=False)
    assert codes(choose([asleep, other], pool="default", require_identical=True)) == ["worker-not-there"]
    unknown = worker("same", nearness=nearness(None, THEN))
    told = choose([unknown], pool="default", require_identical=True)
    assert (codes(told), told.causes[0].detail) == (
        ["environment-not-here"],
        "nobody recorded in which environment the original was made",
    )


def test_equal_in_what_is_told_is_not_identical_where_what_decides_is_not_told() -> None:
    for left_out in ("threads", "simd", "packages", "python"):
        little = {name: value for name, value in THEN.items() if name != left_out}
        remote = worker("remote", nearness=nearness(little, little))
        assert remote.nearness.identical
        refused = choose([remote], pool="default", require_identical=True)
        assert codes(refused) == ["environment-not-here"]
        assert f"nobody knows: {left_out}" in refused.causes[0].detail
    assert codes(choose([worker("x", nearness=nearness({}, {}))], pool="default", require_identical=True))


def test_one_worker_and_no_other() -> None:
    one, two = worker("one"), worker("two", pools=("big",))
    chosen = choose([one, two], pool="default", on_worker=UUID(str(two.worker_id)))
    assert (chosen.pool, chosen.route) == ("big", Route(workers=ids(two), only=True))
    assert codes(choose([one], pool="default", on_worker=uuid4())) == ["worker-unknown"]
    asleep, unfit = worker("asleep", online=False), worker("unfit", fits=False, lacks=(DRIFTED,))
    assert codes(choose([asleep], pool="default", on_worker=UUID(str(asleep.worker_id)))) == ["worker-not-there"]
    assert codes(choose([unfit], pool="default", on_worker=UUID(str(unfit.worker_id)))) == ["model-drifted"]
    far = worker("far", THEN | {"torch": "2.1"})
    refused = choose([far], pool="default", on_worker=UUID(str(far.worker_id)), require_identical=True)
    assert codes(refused) == ["environment-not-here"]
