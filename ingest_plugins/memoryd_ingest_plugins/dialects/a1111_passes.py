"""The sampling passes and prompt texts of a settings line: the first pass, the hires pass, ADetailer's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memoryd.plugin_api.facts import Confidence, Pass, Polarity, Said
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.a1111_text import SettingsText

_SCHEDULERS = (
    "Karras",
    "Exponential",
    "Polyexponential",
    "SGM Uniform",
    "Simple",
    "Normal",
    "Beta",
    "Uniform",
    "Turbo",
)
"""What older versions wrote behind the sampler's name."""

_UNIT = re.compile(r"adetailer (?:model|prompt)(?: (\d+)(?:st|nd|rd|th))?")
_ORDINALS = {1: "", 2: " 2nd", 3: " 3rd"}
_SAME = frozenset(("use same sampler", "use same scheduler", "use same checkpoint"))


def passes_of(read: SettingsText, place: str, confidence: Confidence = Confidence.HIGH) -> tuple[Pass, ...]:
    """Return the passes in order: ADetailer's repaint parts only, so that the pass which made the picture stands last."""
    sampler = values.word(read.value("sampler"))
    scheduler = values.word(read.value("schedule type", "scheduler")) or _scheduler_in(sampler)
    steps = values.count(read.value("steps"))
    cfg = values.number(read.value("cfg scale", "cfg", "guidance scale"))
    seed = values.whole(read.value("seed"))
    if seed is None:
        # Civitai writes -1 for services, and what it sent them beside it.
        seed = values.whole((values.object_of(read.value("civitai metadata") or "") or {}).get("seed"))
    denoise = values.number(read.value("denoising strength"))
    has_hires = _has_hires(read)
    main = Pass(
        place=place,
        seed=seed,
        steps=steps,
        cfg=cfg,
        sampler=sampler,
        scheduler=scheduler,
        denoise=None if has_hires else denoise,
        final=not has_hires,
        confidence=confidence,
    )
    details = tuple(_details(read))
    if not has_hires:
        return (*details, main)
    own = _other(read.value("hires sampler"))
    hires = Pass(
        place="hires",
        seed=seed,
        steps=values.count(read.value("hires steps")) or steps,
        cfg=_or(values.number(read.value("hires cfg scale")), cfg),
        sampler=own or sampler,
        scheduler=_other(read.value("hires schedule type")) or (_scheduler_in(own) if own else scheduler),
        denoise=_or(values.number(read.value("hires strength")), denoise),
        final=True,
        confidence=confidence,
    )
    return (main, *details, hires)


def texts_of(read: SettingsText, place: str, confidence: Confidence = Confidence.HIGH) -> tuple[Said, ...]:
    """Return the prompt texts: the picture's own, the hires pass's, ADetailer's. `[PROMPT]` means the picture's own."""
    said: list[Said] = []

    def say(where: str, polarity: Polarity, text: str | None) -> None:
        if text and text.strip() and text.strip() not in ("[PROMPT]", "[SKIP]"):
            said.append(Said(place=where, polarity=polarity, text=text, confidence=confidence))

    say(place, Polarity.POSITIVE, read.prompt)
    say(place, Polarity.NEGATIVE, read.negative)
    say("hires", Polarity.POSITIVE, read.value("hires prompt"))
    say("hires", Polarity.NEGATIVE, read.value("hires negative prompt"))
    say("refiner", Polarity.POSITIVE, read.value("refiner prompt"))
    say("refiner", Polarity.NEGATIVE, read.value("refiner negative"))
    say("detailer", Polarity.POSITIVE, read.value("detailer prompt"))
    say("detailer", Polarity.NEGATIVE, read.value("detailer negative"))
    for unit in _units(read):
        ordinal = _ordinal(unit)
        say(f"adetailer {unit}", Polarity.POSITIVE, read.value(f"adetailer prompt{ordinal}"))
        say(f"adetailer {unit}", Polarity.NEGATIVE, read.value(f"adetailer negative prompt{ordinal}"))
    return tuple(said)


def _has_hires(read: SettingsText) -> bool:
    asked = values.word(read.value("hires upscale", "hires resize", "hires scale", "hires steps"))
    if read.value("app") and "upscale" not in (read.value("operations") or "hires upscale").lower():
        return False
    return asked is not None or values.word(read.value("hires upscaler")) is not None


def _units(read: SettingsText) -> list[int]:
    found = {int(matched[1] or 1) for key, _ in read.settings if (matched := _UNIT.fullmatch(key.lower())) is not None}
    return sorted(unit for unit in found if 0 < unit < 20)


def _ordinal(unit: int) -> str:
    return _ORDINALS.get(unit, f" {unit}th")


def _details(read: SettingsText) -> Iterator[Pass]:
    if values.word(read.value("detailer")) is not None:
        yield Pass(
            place="detailer",
            steps=values.count(read.value("detailer steps")),
            denoise=values.number(read.value("detailer strength")),
        )
    for unit in _units(read):
        ordinal = _ordinal(unit)
        if values.word(read.value(f"adetailer model{ordinal}")) is None:
            continue
        yield Pass(
            place=f"adetailer {unit}",
            steps=values.count(read.value(f"adetailer steps{ordinal}")),
            cfg=values.number(read.value(f"adetailer cfg scale{ordinal}")),
            sampler=_other(read.value(f"adetailer sampler{ordinal}")),
            scheduler=_other(read.value(f"adetailer scheduler{ordinal}")),
            denoise=values.number(read.value(f"adetailer denoising strength{ordinal}")),
        )


def _other(written: str | None) -> str | None:
    found = values.word(written)
    return None if found is None or found.lower() in _SAME else found


def _or(first: float | None, second: float | None) -> float | None:
    return second if first is None else first


def _scheduler_in(sampler: str | None) -> str | None:
    if sampler is None:
        return None
    return next((name for name in _SCHEDULERS if sampler.lower().endswith(f" {name.lower()}")), None)
