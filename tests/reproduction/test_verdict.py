"""INV-7: what may be called identical, and what was never tried."""

from __future__ import annotations

import dataclasses

import pytest

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import AssetId, new_id
from memoryd.reproduction.facts import Judgement, Made, Plan, Verdict
from memoryd.reproduction.verdict import judge

ORIGINAL = b"o" * 32
OTHER = b"x" * 32


@dataclasses.dataclass(frozen=True)
class Measured:
    identical: bool = False
    comparable: bool = True
    max_abs: float = 0.0
    psnr: float | None = None

    def as_json(self) -> dict[str, Json]:
        return {"identical": self.identical, "psnr": self.psnr}


def made(sha256: bytes, *, node: str = "9", place: int | None = 0) -> Made:
    return Made(asset_id=AssetId(new_id()), node=node, batch_index=place, sha256=sha256)


def plan(*, node: str | None = "9", place: int | None = None, certain: bool = False) -> Plan:
    return Plan(
        asset_id=AssetId(new_id()), generation_id=None, project_id=None, node=node, batch_index=place, certain=certain
    )


def judged(
    outputs: list[Made], measured: Measured | None = None, *, of: Plan | None = None, recomputed: bool = True
) -> Judgement:
    return judge(ORIGINAL, of or plan(), outputs, recomputed=recomputed, compare=lambda _: measured)


def test_equal_bytes_that_were_computed_again_are_the_identical_file() -> None:
    assert judged([made(OTHER, place=0), made(ORIGINAL, place=1)]).verdict is Verdict.IDENTICAL_FILE


def test_equal_bytes_from_a_cache_are_no_attempt() -> None:
    judgement = judged([made(ORIGINAL)], recomputed=False)
    assert judgement.verdict is Verdict.NOT_ATTEMPTED
    assert judgement.causes[0].code == "served-from-cache"


def test_equal_pixels_in_another_file_are_said_to_be_just_that() -> None:
    assert judged([made(OTHER)], Measured(identical=True)).verdict is Verdict.IDENTICAL_PIXELS


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (Measured(max_abs=1 / 255, psnr=78.0), Verdict.WITHIN_TOLERANCE),
        (Measured(max_abs=2 / 255, psnr=45.0), Verdict.WITHIN_TOLERANCE),
        (Measured(max_abs=2 / 255, psnr=44.9), Verdict.SIMILAR),
        (Measured(max_abs=90 / 255, psnr=52.0), Verdict.SIMILAR),
        (Measured(max_abs=1 / 255, psnr=30.0), Verdict.DIFFERENT),
        (Measured(comparable=False), Verdict.DIFFERENT),
        (None, Verdict.DIFFERENT),
    ],
)
def test_what_differs_is_graded_by_measures(measured: Measured | None, verdict: Verdict) -> None:
    assert judged([made(OTHER)], measured).verdict is verdict


def test_a_run_without_a_fitting_output_is_no_attempt() -> None:
    assert judged([]).verdict is Verdict.NOT_ATTEMPTED
    assert judged([made(ORIGINAL, node="4")], of=plan(certain=True)).verdict is Verdict.NOT_ATTEMPTED


def test_a_known_place_in_the_batch_is_not_taken_from_its_neighbour() -> None:
    outputs = [made(OTHER, place=0), made(ORIGINAL, place=1)]
    judgement = judged(outputs, Measured(max_abs=0.5, psnr=10.0), of=plan(place=0, certain=True))
    assert judgement.verdict is Verdict.DIFFERENT


def test_where_the_file_does_not_say_which_output_it_was_every_output_is_compared() -> None:
    judgement = judged([made(OTHER, node="4"), made(OTHER, node="9")], Measured(identical=True))
    assert judgement.measures["compared_outputs"] == 2
    assert judgement.measures["node"] == "9"
