"""From what an attempt made to a verdict. Pure: bytes are compared by hash, pixels by a function that is handed in.

INV-7: *identical* is said only of equal bytes (or pixels) that were really computed again, and an attempt that computed
nothing is *not attempted*, whatever files it named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from memoryd.foundation.canonical_json import Json
from memoryd.recognition.candidates import NEAR
from memoryd.reproduction.facts import Cause, ComparedWith, Judgement, Made, Plan, Verdict

TOLERANCE_MAX_ABS = 2 / 255
"""No sample may be further off, as a share of full scale. Source: runs that differ in thread count, SIMD level or batch
size alone were off by 1/255 at most; one step more is left for rounding twice."""
TOLERANCE_PSNR_DB = 45.0
"""Rounding in few samples lies far above (0.2 % of them off by 1/255 are 75 dB); every sample off by one is 48 dB."""
TOLERANCE_SSIM = 0.99
"""Rounding lies far above (0.9999 for the runs above); below, flat areas have got a texture that is seen when graded."""

SIMILAR_PSNR_DB = 40.0
"""At and above this an eye sees no difference at a glance."""
SIMILAR_BITS = NEAR
"""Or as many bits of the fingerprint differ at most: up to there, two codes are taken for the same picture."""

COMPARED_OUTPUTS_LIMIT = 256
"""Outputs that are compared where the file does not tell which of several it was: a large batch."""

_BEST_FIRST = tuple(Verdict)


class Difference(Protocol):
    """What a comparison of pixels measured. `imaging.PixelDifference` is one."""

    @property
    def identical(self) -> bool:
        """Every sample equal, and to be shown alike."""
        ...

    @property
    def comparable(self) -> bool:
        """Same size and channels."""
        ...

    @property
    def max_abs(self) -> float:
        """Largest difference of a sample, as a share of full scale (0 to 1)."""
        ...

    @property
    def psnr(self) -> float | None:
        """Decibels; None where no sample differs or sizes do."""
        ...

    @property
    def ssim(self) -> float | None:
        """Structural similarity; None where it was not measured."""
        ...

    @property
    def shown_otherwise(self) -> tuple[str, ...]:
        """What the two files say unlike about showing their samples."""
        ...

    @property
    def hidden_only(self) -> bool:
        """All that differs are colours of fully transparent pixels."""
        ...

    @property
    def reason(self) -> str:
        """Why they are not comparable."""
        ...

    def as_json(self) -> dict[str, Json]:
        """The measures as stored and shown."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a comparison of the original with one output found.

    `difference` None: the pixels could not be compared, `reason` says why. `same_digest`: whether the pixel digest that
    was stored is the output's, None where there is none of the same recipe and decoder. `bits`: how many of the
    fingerprints' bits differ, None where one of them tells nothing, or nobody needed to know. With the bytes of both at
    hand, `same_digest` is of values that are no picture of few bits: an EXR's.
    """

    compared_with: ComparedWith = ComparedWith.BYTES
    difference: Difference | None = None
    same_digest: bool | None = None
    bits: int | None = None
    reason: str = ""


def judge(
    original: bytes,
    plan: Plan,
    made: Sequence[Made],
    *,
    recomputed: bool,
    compare: Callable[[Made], Compared],
    held: bool = True,
) -> Judgement:
    """Return the verdict on an attempt whose job succeeded.

    `original` is the asset's SHA-256, `held` whether its bytes are still there. `recomputed`: the worker proved that
    nothing came from a cache. `compare` measures the original against one output whose bytes are others.
    """
    if not recomputed:
        return Judgement(
            verdict=Verdict.NOT_ATTEMPTED,
            measures={},
            causes=(
                Cause(
                    code="served-from-cache",
                    detail="ComfyUI answered from its cache: nothing was computed again",
                    next_step="try again, or start that ComfyUI with --cache-none",
                ),
            ),
        )
    candidates = _candidates(plan, made)
    if not candidates:
        return Judgement(
            verdict=Verdict.NOT_ATTEMPTED,
            measures={"outputs": len(made)},
            causes=(
                Cause(
                    code="no-such-output",
                    detail="the run made no output that this asset could have been",
                    next_step="look at the job's outputs",
                ),
            ),
        )
    for each in candidates:
        if each.sha256 == original:
            with_ = ComparedWith.BYTES if held else ComparedWith.STORED_HASH
            return Judgement(
                verdict=Verdict.IDENTICAL_FILE,
                measures={**_which(each, candidates), "compared_with": with_.value},
                causes=() if held else (_gone(with_),),
                made=each.asset_id,
                output=each,
            )
    return _by_content(candidates, compare)


def grade(compared: Compared) -> tuple[Verdict, tuple[Cause, ...]]:
    """Return the verdict on two files of different bytes, and what the comparison itself shows of the reason."""
    if compared.compared_with is not ComparedWith.BYTES:
        return _grade_stored(compared)
    difference = compared.difference
    near = compared.bits is not None and compared.bits <= SIMILAR_BITS
    if difference is None and compared.same_digest:
        cause = Cause(
            code="header-not-compared",
            detail="every value is equal; what the files say about showing them was not compared",
        )
        return Verdict.IDENTICAL_PIXELS, (cause,)
    if difference is None:
        cause = Cause(
            code="compared-by-bytes",
            detail=f"the bytes differ, and pixels cannot be compared: {compared.reason or 'this is no picture'}",
        )
        return Verdict.SIMILAR if near else Verdict.DIFFERENT, (cause,)
    if not difference.comparable:
        cause = Cause(code="size-differs", detail=f"size or channels differ: {difference.reason}")
        return Verdict.SIMILAR if near else Verdict.DIFFERENT, (cause,)
    if difference.identical:
        return Verdict.IDENTICAL_PIXELS, ()
    causes = tuple(_shown(difference))
    if not difference.shown_otherwise and _within_tolerance(difference):
        return Verdict.WITHIN_TOLERANCE, causes
    clear = difference.psnr is None or difference.psnr >= SIMILAR_PSNR_DB
    return Verdict.SIMILAR if clear or near or difference.hidden_only else Verdict.DIFFERENT, causes


def _within_tolerance(difference: Difference) -> bool:
    return (
        difference.max_abs <= TOLERANCE_MAX_ABS
        and (difference.psnr is None or difference.psnr >= TOLERANCE_PSNR_DB)
        and (difference.ssim is None or difference.ssim >= TOLERANCE_SSIM)
    )


def _shown(difference: Difference) -> list[Cause]:
    causes = []
    if difference.shown_otherwise:
        same = "every sample is equal, but they" if difference.psnr is None else "the two"
        causes.append(
            Cause(
                code="shown-otherwise",
                detail=f"{same} are to be shown otherwise: {', '.join(difference.shown_otherwise)}",
                next_step="look at how the file was written or changed since: ComfyUI's own files say nothing of it",
            )
        )
    if difference.hidden_only:
        causes.append(
            Cause(
                code="hidden-colours",
                detail="all that differs are colours of pixels that are fully transparent: nobody sees them",
            )
        )
    return causes


def _grade_stored(compared: Compared) -> tuple[Verdict, tuple[Cause, ...]]:
    causes = (_gone(compared.compared_with),)
    if compared.same_digest:
        return Verdict.IDENTICAL_PIXELS, causes
    near = compared.bits is not None and compared.bits <= SIMILAR_BITS
    return Verdict.SIMILAR if near else Verdict.DIFFERENT, causes


def _gone(with_: ComparedWith) -> Cause:
    what = {
        ComparedWith.STORED_HASH: "its SHA-256 was recorded, and decides: of its pixels nothing more is known",
        ComparedWith.STORED_PIXEL_DIGEST: (
            "the digest of its samples was recorded, and decides; how they were to be shown (profile, gamma) was not"
        ),
        ComparedWith.STORED_FINGERPRINT: "its fingerprint was recorded, and tells what it showed, but no pixel",
        ComparedWith.BYTES: "",
    }[with_]
    return Cause(
        code="original-gone",
        detail=f"the original's bytes cannot be had: {what}",
        next_step="bring a copy back with `memoryd ingest FILE`, and make it again for measures",
    )


def _candidates(plan: Plan, made: Sequence[Made]) -> list[Made]:
    same_node = [each for each in made if each.node == plan.node]
    if plan.certain:
        exact = [each for each in same_node if each.batch_index == plan.batch_index]
        return exact if plan.batch_index is not None else same_node
    # The file does not say which of several outputs it was: the likely node first, every other after it.
    return same_node + [each for each in made if each.node != plan.node]


def _by_content(candidates: Sequence[Made], compare: Callable[[Made], Compared]) -> Judgement:
    graded = []
    for each in candidates[:COMPARED_OUTPUTS_LIMIT]:
        compared = compare(each)
        verdict, causes = grade(compared)
        graded.append((each, compared, verdict, causes))
        if verdict is Verdict.IDENTICAL_PIXELS:
            break
    best, compared, verdict, causes = min(graded, key=lambda one: _distance(one[2], one[1]))
    measures: dict[str, Json] = {**_which(best, candidates), "compared_with": compared.compared_with.value}
    if compared.difference is not None:
        measures |= compared.difference.as_json()
    if compared.bits is not None:
        measures["fingerprint_bits"] = compared.bits
    return Judgement(verdict=verdict, measures=measures, causes=causes, made=best.asset_id, output=best)


def _distance(verdict: Verdict, compared: Compared) -> tuple[int, float, int]:
    psnr = compared.difference.psnr if compared.difference is not None else None
    return (_BEST_FIRST.index(verdict), -psnr if psnr is not None else 0.0, compared.bits or 0)


def _which(chosen: Made, candidates: Sequence[Made]) -> dict[str, Json]:
    # Said openly: where the file does not tell its place in the batch, the nearest of several was taken.
    return {"node": chosen.node, "batch_index": chosen.batch_index, "compared_outputs": len(candidates)}
