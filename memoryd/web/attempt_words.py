"""What people are told of an attempt to make a picture again: verdicts, measures and tests in their words. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from memoryd.reproduction.facts import ComparedWith, Purpose, Tested, TestedBy, Verdict
from memoryd.reproduction.receipts import MEANS
from memoryd.reproduction.verdict import SIMILAR_BITS, TOLERANCE_MAX_ABS, TOLERANCE_PSNR_DB, TOLERANCE_SSIM

FULL_SCALE = 255
"""Differences are told in steps of 8 bits, whatever the file has."""
LEAST_PERCENT = 0.01

WHAT_TO_DO: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.IDENTICAL_FILE: "It can be sent as the original: these are the same bytes.",
        Verdict.IDENTICAL_PIXELS: "It is the same picture. Where the very file counts, send the original's own bytes.",
        Verdict.WITHIN_TOLERANCE: "Nobody sees it, and it is not the original: send that one's own bytes if they are there.",
        Verdict.SIMILAR: "Look at both side by side before it is sent in the original's place.",
        Verdict.DIFFERENT: "Do not send it in the original's place. The causes say what is the likeliest reason.",
        Verdict.NOT_ATTEMPTED: "That is no verdict on the picture. What stood in the way is told below, with what to do.",
    }
)
"""What follows from a verdict for who has to deliver."""

TONES: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.IDENTICAL_FILE: "good",
        Verdict.IDENTICAL_PIXELS: "good",
        Verdict.WITHIN_TOLERANCE: "warn",
        Verdict.SIMILAR: "warn",
        Verdict.DIFFERENT: "bad",
        Verdict.NOT_ATTEMPTED: "quiet",
    }
)
"""The colour beside the words; not attempted is no bad verdict (INV-7)."""

COMPARED_WORDS: Mapping[str, str] = MappingProxyType(
    {
        ComparedWith.BYTES.value: "the original's own bytes",
        ComparedWith.STORED_HASH.value: "the original's recorded SHA-256, since its bytes were gone",
        ComparedWith.STORED_PIXEL_DIGEST.value: "the recorded digest of the original's pixels, since its bytes were gone",
        ComparedWith.STORED_FINGERPRINT.value: "the original's recorded fingerprint, since its bytes were gone: it tells"
        " whether both show the same, and no more",
    }
)
"""What a verdict rests on."""

PURPOSE_WORDS: Mapping[Purpose, str] = MappingProxyType(
    {
        Purpose.ASKED: "asked for",
        Purpose.REPEAT: "once more on the same worker: does this workflow repeat itself?",
        Purpose.OTHER_WORKER: "on another worker: does the machine make the difference?",
        Purpose.CANARY: "a canary: does its worker still make what it made?",
        Purpose.ENLARGEMENT: "an enlargement",
    }
)
"""What an attempt is made for."""

_TESTED_BY_WORDS = {
    TestedBy.REPEAT: "tested by a second run on the same worker",
    TestedBy.OTHER_WORKER: "tested by a run on another worker",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure as people read it. `limit`: up to where it is *within tolerance*, empty where none is set."""

    name: str
    value: str
    limit: str = ""


def means(verdict: Verdict) -> str:
    """Return what a verdict says, as a sentence: the words of its receipt."""
    told = MEANS[verdict].replace("the tolerances below", "the tolerances")
    return f"{told[0].upper()}{told[1:]}."


def what_to_do(verdict: Verdict, *, held: bool, codes: Collection[str] = ()) -> str:
    """Return what follows from a verdict. `held`: the original's bytes can be had. `codes`: of what it is told to rest on."""
    if verdict is Verdict.IDENTICAL_PIXELS and not held:
        return "It is the same picture, and the nearest there is: the original's own bytes are gone."
    if "compared-by-bytes" in codes:
        return "Only bytes could be compared: whether it shows or sounds the same, look and listen."
    return WHAT_TO_DO[verdict]


def tested_words(tested: Tested) -> str:
    """Return what a second run showed of a cause: confirmed, ruled out, or nothing by itself."""
    shown = {True: "confirmed", False: "ruled out", None: "not decided"}[tested.holds]
    return f"{shown}, {_TESTED_BY_WORDS[tested.by]}"


def measured(measures: Mapping[str, Any], pixels: int | None = None) -> list[Measure]:
    """Return the measures of a comparison. `pixels`: how many the picture has, where it is one frame."""
    told = []
    if measures.get("comparable"):
        told += _of_pixels(measures, pixels)
    elif measures.get("reason"):
        told.append(Measure(name="Pixels", value=f"cannot be compared: {measures['reason']}"))
    bits = measures.get("fingerprint_bits")
    if isinstance(bits, int):
        limit = f"similar up to {SIMILAR_BITS}"
        told.append(Measure(name="Fingerprint", value=f"{bits} of 256 bits differ", limit=limit))
    return told


def _of_pixels(measures: Mapping[str, Any], pixels: int | None) -> list[Measure]:
    largest, share = measures.get("max_abs"), measures.get("share_different")
    told = []
    if isinstance(largest, float | int):
        told.append(Measure(name="Largest difference", value=of_255(largest), limit=of_255(TOLERANCE_MAX_ABS)))
    if isinstance(share, float | int):
        told.append(Measure(name="Pixels that differ", value=share_of_pixels(share, pixels)))
    psnr, ssim = measures.get("psnr"), measures.get("ssim")
    noise = f"{psnr:.1f} dB" if isinstance(psnr, float | int) else "no noise: every sample is equal"
    told.append(Measure(name="Noise (PSNR, more is better)", value=noise, limit=f"from {TOLERANCE_PSNR_DB:g} dB"))
    if isinstance(ssim, float | int):
        told.append(Measure(name="Structure (SSIM, 1 is equal)", value=_alike(ssim), limit=f"from {TOLERANCE_SSIM:g}"))
    frames = measures.get("frames")
    if isinstance(frames, int) and frames > 1:
        told.append(Measure(name="Frames that differ", value=f"{measures.get('frames_different', 0)} of {frames}"))
    return told


def of_255(share: float) -> str:
    """Return a difference, a share of full scale, in steps of 8 bits: 0.00784 is `2 of 255`."""
    return f"{share * FULL_SCALE:.3g} of {FULL_SCALE}"


def share_of_pixels(share: float, pixels: int | None) -> str:
    """Return a share of pixels: 0.0021 of 65,536 is `0.21 % (138 of 65,536)`."""
    percent = share * 100
    if 0 < percent < LEAST_PERCENT:
        told = f"less than {LEAST_PERCENT:g} %"
    elif LEAST_PERCENT <= 100 - percent < 100 or percent in (0, 100):
        told = f"{percent:.3g} %"
    else:
        told = f"more than {100 - LEAST_PERCENT:g} %"
    return f"{told} ({round(share * pixels):,} of {pixels:,})" if pixels else told


def _alike(ssim: float) -> str:
    return "more than 0.9999" if 0.99995 <= ssim < 1 else f"{ssim:.4f}"


ATTEMPT_WORDS: Mapping[str, Any] = MappingProxyType(
    {
        "what_to_do": what_to_do,
        "tones": TONES,
        "compared_words": COMPARED_WORDS,
        "purpose_words": PURPOSE_WORDS,
        "means": means,
        "tested_words": tested_words,
        "of_255": of_255,
    }
)
"""What every template of attempts speaks with."""
