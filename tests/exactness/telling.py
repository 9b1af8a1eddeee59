"""What was checked, said as it goes, and what two files are by somebody else's eyes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

IDENTICAL_FILE, IDENTICAL_PIXELS, WITHIN = "identical file", "identical pixels", "within tolerance"
ROUNDING = 2
"""Of 255: the largest difference that is rounding."""


class Telling:
    """Counts checks and says each."""

    def __init__(self) -> None:
        """Nothing was checked yet."""
        self.passed = self.failed = 0

    def check(self, name: str, holds: bool, detail: object = "") -> bool:
        """Count a check, say it, and return whether it held."""
        self.passed, self.failed = self.passed + holds, self.failed + (not holds)
        print(f"{'ok  ' if holds else 'FAIL'} {name} {detail if detail != '' else ''}".rstrip(), flush=True)
        return holds

    def say(self, line: str) -> None:
        """Say something that is no check."""
        print(line, flush=True)


def by_other_eyes(original: bytes, made: bytes) -> tuple[str | None, int, float]:
    """Return the verdict that two pictures deserve, without the code under test; None: more than rounding differs.

    Then the largest difference of 255, and the share of the pixels that differ.
    """
    if original == made:
        return IDENTICAL_FILE, 0, 0.0
    one, other = _samples(original), _samples(made)
    if one.shape != other.shape:
        return None, 255, 1.0
    apart = np.abs(one - other)
    largest, share = int(apart.max()), float((apart.max(axis=-1) > 0).mean())
    if largest == 0:
        return IDENTICAL_PIXELS, 0, 0.0
    return (WITHIN if largest <= ROUNDING else None), largest, share


def first(causes: Sequence[dict[str, Any]]) -> str:
    """Return the first cause in a few words: its code, or which difference of the environments it is."""
    if not causes:
        return "none"
    cause = causes[0]
    differs = cause["code"] == "environment-differs"
    return str(cause["name"] if differs else cause["code"])


def _samples(content: bytes) -> Any:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGBA")).astype(np.int16)
