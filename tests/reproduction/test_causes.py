"""What stands beside a verdict short of identical: named, ranked, and ranked again by what was tested."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from memoryd.foundation.canonical_json import Json
from memoryd.reproduction import facts
from memoryd.reproduction.causes import (
    SHOWN_LIMIT,
    Circumstances,
    ModelThenAndNow,
    SecondRun,
    copy_cause,
    explain,
    retold,
)
from memoryd.reproduction.facts import Cause, Verdict

THEN: dict[str, Json] = {
    "comfyui": "0.28.0",
    "torch": "2.12.0",
    "pillow": "11.0",
    "simd": "AVX2",
    "threads": {"intra_op": 1},
    "flags": [],
    "devices": [{"name": "cpu", "type": "cpu"}],
}
A, B = b"a" * 32, b"b" * 32


def about(now: dict[str, Json] | None, then: dict[str, Json] | None = THEN, **more: Any) -> Circumstances:
    return Circumstances(then=then, now=now, **more)


def codes(causes: tuple[Cause, ...]) -> list[str]:
    return [cause.name or cause.code for cause in causes]


def test_differences_of_environment_are_causes_of_their_own_the_heaviest_first() -> None:
    now: dict[str, Json] = {**THEN, "comfyui": "0.29.0", "simd": "default", "torch": "2.13.0"}
    causes = explain(Verdict.WITHIN_TOLERANCE, (), about(now))
    assert codes(causes) == ["torch", "simd", "comfyui"]
    assert causes[0].detail == "torch: 2.12.0 then, 2.13.0 now"
    assert (causes[0].then, causes[0].now) == ("2.12.0", "2.13.0")


@pytest.mark.parametrize("verdict", [Verdict.WITHIN_TOLERANCE, Verdict.SIMILAR, Verdict.DIFFERENT])
def test_other_weights_under_the_same_name_come_first_of_all(verdict: Verdict) -> None:
    swapped = ModelThenAndNow(folder="checkpoints", name="a.safetensors", then=A, now=B)
    now: dict[str, Json] = {**THEN, "torch": "2.13.0", "devices": [{"name": "H200", "type": "cuda"}]}
    noise = Cause(code="device-noise", detail="euler_ancestral")
    causes = explain(verdict, (), about(now, models=[swapped], notices=[noise]))
    assert causes[0].code == "model-changed"
    assert A.hex() in causes[0].next_step
    assert codes(causes)[1] == "device-noise", "a sampler's noise on another device: another picture altogether"


def test_a_name_that_got_another_content_since_is_told_where_nobody_knows_the_one_of_then() -> None:
    drifted = ModelThenAndNow(folder="checkpoints", name="a", then=None, now=B, changed_since=True)
    unknown = ModelThenAndNow(folder="loras", name="b", then=None, now=None)
    same = ModelThenAndNow(folder="vae", name="c", then=A, now=A)
    causes = explain(Verdict.DIFFERENT, (), about(dict(THEN), models=[drifted, unknown, same]))
    assert codes(causes) == ["checkpoints/a", "weights-unknown", "environment-same"]
    assert causes[1].detail.endswith(": loras/b")


def test_what_is_unknown_is_ranked_by_what_it_would_explain() -> None:
    unknown = ModelThenAndNow(folder="loras", name="b", then=None, now=None)
    rounding = explain(Verdict.WITHIN_TOLERANCE, (), about(dict(THEN), None, models=[unknown]))
    another = explain(Verdict.DIFFERENT, (), about(dict(THEN), None, models=[unknown]))
    assert codes(rounding) == ["environment-unknown", "weights-unknown"]
    assert codes(another) == ["weights-unknown", "environment-unknown"]
    assert codes(explain(Verdict.DIFFERENT, (), about(None))) == ["environment-unknown"]


def test_another_size_of_batch_is_a_cause() -> None:
    causes = explain(Verdict.WITHIN_TOLERANCE, (), about(dict(THEN), batch_then=1, batch_now=2))
    assert codes(causes)[0] == "batch_size"


def test_equal_pixels_are_explained_by_what_writes_files() -> None:
    now: dict[str, Json] = {**THEN, "pillow": "12.0", "torch": "2.13.0"}
    assert codes(explain(Verdict.IDENTICAL_PIXELS, (), about(now, parts=["packing"]))) == ["pillow", "file-differs"]
    texts = explain(Verdict.IDENTICAL_PIXELS, (), about(now, parts=["packing", "text prompt"]))
    assert codes(texts)[0] == "texts-differ"
    assert "text prompt" in texts[0].detail


def test_what_the_comparison_shows_itself_comes_before_what_may_be() -> None:
    seen = (Cause(code="size-differs", detail="8 x 8 against 16 x 16"),)
    assert codes(explain(Verdict.DIFFERENT, seen, about({**THEN, "torch": "1"})))[0] == "size-differs"


def test_an_identical_file_and_an_attempt_that_was_none_need_no_explanation() -> None:
    assert explain(Verdict.IDENTICAL_FILE, (), about(None)) == ()
    failed = (Cause(code="job-failed", detail="no"),)
    assert explain(Verdict.NOT_ATTEMPTED, failed, about({**THEN, "torch": "1"})) == failed


def test_many_differences_are_counted() -> None:
    then: dict[str, Json] = {"variables": {f"V{index}": "1" for index in range(SHOWN_LIMIT + 2)}}
    causes = explain(Verdict.DIFFERENT, (), about({"variables": {}}, then))
    assert causes[-1].detail == "2 lighter differences more"


def test_a_copy_is_never_said_to_be_identical_itself() -> None:
    assert copy_cause(b"\xab" * 32).detail.startswith("this is a copy")


CAUSES = explain(Verdict.WITHIN_TOLERANCE, (), about({**THEN, "torch": "2.13.0", "simd": "default"}))


def run(by: facts.TestedBy, *, as_first: bool | None, **more: Any) -> SecondRun:
    return SecondRun(**{"by": by, "verdict": Verdict.WITHIN_TOLERANCE, "as_first": as_first, **more})


def test_two_runs_that_differ_say_that_this_workflow_does_not_repeat_itself() -> None:
    chance = Cause(code="known-nondeterministic", detail="--fast allows it", weight=1)
    told = retold([*CAUSES, chance], [run(facts.TestedBy.REPEAT, as_first=False)])
    assert told[0].code == "not-deterministic"
    assert "--fast" in told[0].detail
    assert told[1].tested is not None
    assert told[1].tested.holds is None


def test_two_equal_runs_say_that_the_difference_lies_between_then_and_now() -> None:
    chance = Cause(code="known-nondeterministic", detail="a flag", weight=150_000)
    told = retold([chance, *CAUSES], [run(facts.TestedBy.REPEAT, as_first=True)])
    assert codes(told) == ["torch", "simd", "known-nondeterministic"]
    assert told[0].tested is not None
    assert "between then and now" in told[0].tested.detail
    assert told[2].tested is not None
    assert told[2].tested.holds is False


def test_equal_runs_in_the_environment_of_then_point_at_what_nobody_recorded() -> None:
    same = explain(Verdict.DIFFERENT, (), about(dict(THEN)))
    assert codes(retold(same, [run(facts.TestedBy.REPEAT, as_first=True)])) == ["unrecorded-difference"]


def test_a_worker_on_which_it_comes_out_again_shows_which_difference_it_is() -> None:
    runs = [
        run(facts.TestedBy.REPEAT, as_first=True),
        run(
            facts.TestedBy.OTHER_WORKER,
            as_first=False,
            verdict=Verdict.IDENTICAL_FILE,
            worker="gpu-2",
            same_as_then=frozenset({"simd"}),
        ),
    ]
    told = retold(CAUSES, runs)
    assert codes(told) == ["simd", "torch"]
    assert [cause.tested.holds for cause in told if cause.tested] == [True, False]


def test_a_worker_that_is_as_then_in_something_and_gives_the_same_as_here_rules_it_out() -> None:
    other = run(facts.TestedBy.OTHER_WORKER, as_first=True, worker="gpu-2", same_as_then=frozenset({"torch"}))
    told = retold(CAUSES, [other])
    assert codes(told) == ["simd", "torch"]
    assert told[1].tested is not None
    assert told[1].tested.holds is False


def test_second_runs_that_made_nothing_change_nothing() -> None:
    nothing = run(facts.TestedBy.REPEAT, as_first=None, verdict=Verdict.NOT_ATTEMPTED)
    assert retold(CAUSES, [nothing]) == CAUSES


def test_a_cause_is_read_as_it_was_stored() -> None:
    for cause in retold(CAUSES, [run(facts.TestedBy.REPEAT, as_first=True)]):
        assert Cause.of(cause.as_json()) == cause
    plain = Cause(code="no-graph", detail="none", next_step="take it in")
    assert Cause.of(plain.as_json()) == plain
    assert dataclasses.replace(plain, weight=1) != plain
