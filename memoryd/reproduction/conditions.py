"""What was not the same, then and now: the causes that stand beside a verdict short of *identical file*.

They are named, not blamed: which of them made the difference is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.facts import Cause

SHOWN_LIMIT = 6
"""Differences that a cause spells out; of the others it tells the number."""
WORD_LIMIT = 120
"""Characters of one value."""


def environment_cause(then: Mapping[str, Json] | None, now: Mapping[str, Json] | None) -> Cause:
    """Return what is known of the two machines; None for an environment that nobody recorded."""
    if then is None:
        return Cause(
            code="environment-unknown",
            detail="on which ComfyUI, torch and device the original was made is not known: its file does not tell",
        )
    if now is None:
        return Cause(code="environment-unknown", detail="what made it again is not known")
    differences = _differences(then, now)
    if not differences:
        return Cause(
            code="environment-same",
            detail="versions, flags and devices are those of then: this graph does not repeat itself here",
        )
    told = "; ".join(differences[:SHOWN_LIMIT])
    more = f"; {len(differences) - SHOWN_LIMIT} more" if len(differences) > SHOWN_LIMIT else ""
    return Cause(
        code="environment-differs",
        detail=f"{told}{more}",
        next_step="a worker with the old versions, in a pool of its own, can tell whether this is why",
    )


def weights_causes(models: Sequence[Mapping[str, Json]]) -> tuple[Cause, ...]:
    """Return a cause for the models of a stored plan whose content then is not known."""
    names = [f"{model.get('folder')}/{model.get('name')}" for model in models if not model.get("sha256")]
    if not names:
        return ()
    detail = f"which weights had these names then is not known: {', '.join(names[:SHOWN_LIMIT])}"
    return (Cause(code="weights-unknown", detail=detail),)


def copy_cause(original: bytes) -> Cause:
    """Return what to say where the asset is a copy without a run of its own. `original` is a SHA-256 (32 bytes)."""
    detail = (
        f"this is a copy: what it was made from was made again and compared ({original.hex()[:12]}), not its own bytes"
    )
    return Cause(code="copy-of-original", detail=detail)


def _differences(then: Mapping[str, Json], now: Mapping[str, Json]) -> list[str]:
    told = []
    for key in sorted({*then, *now}):
        before, after = then.get(key), now.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            told += [f"{key} {each}" for each in _differences(before, after)]
        elif before != after:
            told.append(f"{key}: {_word(before)} then, {_word(after)} now")
    return told


def _word(value: Json) -> str:
    word = "none" if value in (None, [], "") else " ".join(map(_word, value)) if isinstance(value, list) else str(value)
    return word if len(word) <= WORD_LIMIT else f"{word[:WORD_LIMIT]}…"
