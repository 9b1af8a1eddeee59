"""From what an attempt made to a verdict. Pure: bytes are compared by hash, pixels by a function that is handed in.

INV-7: *identical* is said only of equal bytes (or pixels) that were really computed again, and an attempt that computed
nothing is *not attempted*, whatever files it named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.facts import Cause, Judgement, Made, Plan, Verdict

TOLERANCE_MAX_ABS = 2 / 255
"""No sample may be further off, as a share of full scale. Source: runs that differ in thread count, SIMD level or batch
size alone were off by 1/255 at most; one step more is left for rounding twice."""
TOLERANCE_PSNR_DB = 45.0
"""Rounding in few samples lies far above (0.2 % of them off by 1/255 are 75 dB); every sample off by one is 48 dB."""

SIMILAR_PSNR_DB = 40.0
"""At and above this an eye sees no difference at a glance."""


class Difference(Protocol):
    """What a comparison of pixels measured. `imaging.PixelDifference` is one."""

    @property
    def identical(self) -> bool:
        """Every sample equal."""
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
        """Decibels; None where nothing differs or sizes do."""
        ...

    def as_json(self) -> dict[str, Json]:
        """The measures as stored and shown."""
        ...


def judge(
    original: bytes,
    plan: Plan,
    made: Sequence[Made],
    *,
    recomputed: bool,
    compare: Callable[[Made], Difference | None],
) -> Judgement:
    """Return the verdict on an attempt whose job succeeded.

    `original` is the asset's SHA-256. `recomputed`: the worker proved that nothing came from a cache. `compare` measures
    the original against one output; None where one of the two cannot be decoded as a picture.
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
            return Judgement(verdict=Verdict.IDENTICAL_FILE, measures=_which(each, candidates), made=each.asset_id)
    return _by_pixels(candidates, compare)


def _candidates(plan: Plan, made: Sequence[Made]) -> list[Made]:
    same_node = [each for each in made if each.node == plan.node]
    if plan.certain:
        exact = [each for each in same_node if each.batch_index == plan.batch_index]
        return exact if plan.batch_index is not None else same_node
    # The file does not say which of several outputs it was: the likely node first, every other after it.
    return same_node + [each for each in made if each.node != plan.node]


def _by_pixels(candidates: Sequence[Made], compare: Callable[[Made], Difference | None]) -> Judgement:
    measured = [(each, difference) for each in candidates if (difference := compare(each)) is not None]
    if not measured:
        return Judgement(
            verdict=Verdict.DIFFERENT,
            measures={"compared": "bytes only"},
            causes=(
                Cause(code="no-pixels", detail="the bytes differ, and the content cannot be compared as pictures"),
            ),
            made=candidates[0].asset_id,
        )
    best, difference = min(measured, key=lambda pair: _distance(pair[1]))
    measures = {**_which(best, candidates), **difference.as_json()}
    if difference.identical:
        verdict = Verdict.IDENTICAL_PIXELS
        causes = (Cause(code="file-differs", detail="every pixel is equal; texts or compression around them are not"),)
    elif not difference.comparable:
        verdict, causes = Verdict.DIFFERENT, (Cause(code="size-differs", detail="size or channels differ"),)
    elif (
        difference.psnr is not None and difference.psnr >= TOLERANCE_PSNR_DB and difference.max_abs <= TOLERANCE_MAX_ABS
    ):
        verdict, causes = Verdict.WITHIN_TOLERANCE, (Cause(code="pixels-differ", detail="differs as rounding does"),)
    elif difference.psnr is not None and difference.psnr >= SIMILAR_PSNR_DB:
        verdict, causes = Verdict.SIMILAR, (Cause(code="pixels-differ", detail="differs beyond rounding"),)
    else:
        verdict, causes = Verdict.DIFFERENT, (Cause(code="pixels-differ", detail="differs beyond rounding"),)
    return Judgement(verdict=verdict, measures=measures, causes=causes, made=best.asset_id)


def _distance(difference: Difference) -> tuple[int, float]:
    if difference.identical:
        return (0, 0.0)
    if not difference.comparable or difference.psnr is None:
        return (2, 0.0)
    return (1, -difference.psnr)


def _which(chosen: Made, candidates: Sequence[Made]) -> dict[str, Json]:
    # Said openly: where the file does not tell its place in the batch, the nearest of several was taken.
    return {"node": chosen.node, "batch_index": chosen.batch_index, "compared_outputs": len(candidates)}
