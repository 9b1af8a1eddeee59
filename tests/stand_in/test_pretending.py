"""A stand-in that plays another machine: it says so, and rounds as no other does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memoryd.comfyui.facts import STAND_IN_PRETENDS
from memoryd.stand_in.machine import system_stats
from memoryd.stand_in.painting import ROUNDED_SHARE, rounded


def test_what_is_played_is_told_apart_from_what_is() -> None:
    told: Any = system_stats(["x"], {"torch": "2.9.0"})["system"]
    assert (told[STAND_IN_PRETENDS], told["pytorch_version"]) == ({"torch": "2.9.0"}, None)
    assert STAND_IN_PRETENDS not in str(system_stats(["x"], {}))


@pytest.mark.parametrize("other", ["2.9.0", "2.8.1"])
def test_a_machine_rounds_alike_each_time_and_as_no_other(other: str) -> None:
    pixels = np.full((1, 64, 64, 3), 0.5, np.float32)
    once, again = (rounded(pixels, {"torch": "2.8.0"}) for _ in range(2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, rounded(pixels, {"torch": other}))
    off = np.abs(once - pixels)
    assert off.max() == pytest.approx(1 / 255)
    assert 0 < (off > 0).mean() < 2 * ROUNDED_SHARE
