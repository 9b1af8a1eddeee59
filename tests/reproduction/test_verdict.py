"""INV-7: what may be called identical, and what was never tried."""

from __future__ import annotations

import dataclasses

import pytest

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import AssetId, new_id
from memoryd.reproduction.facts import ComparedWith, Judgement, Made, Plan, Verdict
from memoryd.reproduction.verdict import SIMILAR_BITS, Compared, grade, judge

ORIGINAL = b"o" * 32
OTHER = b"x" * 32


@dataclasses.dataclass(frozen=True)
class Measured:
    identical: bool = False
    comparable: bool = True
    max_abs: float = 0.0
    psnr: float | None = None
    ssim: float | None = None
    shown_otherwise: tuple[str, ...] = ()
    hidden_only: bool = False
    reason: str = ""

    def as_json(self) -> dict[str, Json]:
        return {"identical": self.identical, "psnr": self.psnr}


def made(sha256: bytes, *, node: str = "9", place: int | None = 0) -> Made:
    return Made(asset_id=AssetId(new_id()), node=node, batch_index=place, sha256=sha256)


def plan(*, node: str | None = "9", place: int | None = None, certain: bool = False) -> Plan:
    return Plan(
        asset_id=AssetId(new_id()), generation_id=None, project_id=None, node=node, batch_index=place, certain=certain
    )


def judged(
    outputs: list[Made],
    measured: Measured | None = None,
    *,
    of: Plan | None = None,
    recomputed: bool = True,
    bits: int | None = None,
) -> Judgement:
    found = Compared(difference=measured, bits=bits)
    return judge(ORIGINAL, of or plan(), outputs, recomputed=recomputed, compare=lambda _: found)


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
        (Measured(max_abs=2 / 255, psnr=46.0, ssim=0.98), Verdict.SIMILAR),
        (Measured(max_abs=3 / 255, psnr=60.0), Verdict.SIMILAR),
        (Measured(shown_otherwise=("colour profile",)), Verdict.SIMILAR),
        (Measured(max_abs=1 / 255, psnr=78.0, shown_otherwise=("orientation",)), Verdict.SIMILAR),
        (Measured(max_abs=1.0, psnr=12.0, hidden_only=True), Verdict.SIMILAR),
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


@pytest.mark.parametrize("measured", [Measured(max_abs=0.9, psnr=12.0), Measured(comparable=False), None])
def test_a_near_fingerprint_makes_another_picture_similar_and_never_better(measured: Measured | None) -> None:
    assert judged([made(OTHER)], measured, bits=SIMILAR_BITS).verdict is Verdict.SIMILAR
    assert judged([made(OTHER)], measured, bits=SIMILAR_BITS + 1).verdict is Verdict.DIFFERENT


def test_where_the_original_is_gone_no_more_is_said_than_was_kept() -> None:
    hash_only = Compared(compared_with=ComparedWith.STORED_HASH)
    fingerprint = Compared(compared_with=ComparedWith.STORED_FINGERPRINT, bits=3)
    digest = Compared(compared_with=ComparedWith.STORED_PIXEL_DIGEST, same_digest=True)
    other = Compared(compared_with=ComparedWith.STORED_PIXEL_DIGEST, same_digest=False, bits=3)
    found = [grade(each) for each in (hash_only, fingerprint, digest, other)]
    assert [verdict for verdict, _ in found] == [
        Verdict.DIFFERENT,
        Verdict.SIMILAR,
        Verdict.IDENTICAL_PIXELS,
        Verdict.SIMILAR,
    ]
    assert all(causes[0].code == "original-gone" for _, causes in found)


def test_a_stored_hash_is_said_to_be_one() -> None:
    found = judge(ORIGINAL, plan(), [made(ORIGINAL)], recomputed=True, compare=lambda _: Compared(), held=False)
    assert (found.verdict, found.measures["compared_with"]) == (Verdict.IDENTICAL_FILE, "stored hash")
    assert found.causes[0].code == "original-gone"


def test_of_several_outputs_the_best_verdict_counts_before_decibels() -> None:
    outputs = [made(OTHER, place=0), made(b"y" * 32, place=1)]
    found = {
        OTHER: Compared(difference=Measured(max_abs=0.5, psnr=70.0, shown_otherwise=("gamma",))),
        b"y" * 32: Compared(difference=Measured(max_abs=1 / 255, psnr=50.0)),
    }
    judgement = judge(ORIGINAL, plan(), outputs, recomputed=True, compare=lambda each: found[each.sha256])
    assert (judgement.verdict, judgement.measures["batch_index"]) == (Verdict.WITHIN_TOLERANCE, 1)


def test_values_without_pixels_are_identical_by_their_digest_alone_and_it_says_so() -> None:
    verdict, causes = grade(Compared(same_digest=True, reason="an EXR"))
    assert (verdict, causes[0].code) == (Verdict.IDENTICAL_PIXELS, "header-not-compared")
    assert grade(Compared(same_digest=False, reason="an EXR"))[0] is Verdict.DIFFERENT
