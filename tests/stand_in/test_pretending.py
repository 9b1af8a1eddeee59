"""A stand-in that plays another machine: it says so, and rounds as no other does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memoryd.comfyui.facts import STAND_IN_PRETENDS
from memoryd.stand_in.machine import system_stats
from memoryd.stand_in.painting import ROUNDED_SHARE, rounded
from memoryd.stand_in.playing import Machine


def test_what_is_played_is_told_apart_from_what_is() -> None:
    told: Any = system_stats(["x"], {"torch": "2.9.0"})["system"]
    assert (told[STAND_IN_PRETENDS], told["pytorch_version"]) == ({"torch": "2.9.0"}, None)
    assert STAND_IN_PRETENDS not in str(system_stats(["x"], {}))


def rounding(torch: str) -> int:
    found = Machine(torch=torch).rounding()
    assert found is not None
    return found


@pytest.mark.parametrize("other", ["2.9.0", "2.8.1"])
def test_a_machine_rounds_alike_each_time_and_as_no_other(other: str) -> None:
    pixels = np.full((1, 64, 64, 3), 0.5, np.float32)
    once, again = (rounded(pixels, rounding("2.8.0")) for _ in range(2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, rounded(pixels, rounding(other)))
    off = np.abs(once - pixels)
    assert off.max() == pytest.approx(1 / 255)
    assert 0 < (off > 0).mean() < 2 * ROUNDED_SHARE


def test_all_that_is_played_is_told_but_that_it_does_not_repeat_itself() -> None:
    machine = Machine(torch="2.8.0", threads=2, simd="AVX2", pillow="11.0.0")
    played = {"torch": "2.8.0", "threads": {"intra_op": 2, "inter_op": 1}, "simd": "AVX2", "pillow": "11.0.0"}
    assert machine.told() == played
    jittery = Machine(jitter=True)
    assert (jittery.told(), Machine().rounding()) == ({}, None)
    assert jittery.rounding() != jittery.rounding()


def test_another_pillow_packs_otherwise_and_touches_no_pixel() -> None:
    assert Machine(pillow="11.0.0").rounding() is None
    assert Machine(pillow="11.0.0").level(4) != 4
    assert (Machine().level(4), Machine(torch="2.8.0").level(4)) == (4, 4)
    assert Machine(torch="2.8.0", pillow="11.0.0").rounding() == rounding("2.8.0")
