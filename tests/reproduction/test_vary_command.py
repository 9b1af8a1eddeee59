"""How `vary` and `enlarge` read what is typed, and what they say."""

from __future__ import annotations

import pytest

from memoryd_cli import vary
from memoryd_cli.vary import BadSetting


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["seed=7,cfg=5"], {"seed": "7", "cfg": "5"}),
        (
            ["seed=7, 3.cfg=5,Hires.steps=9", "Last pass.steps=4"],
            {"seed": "7", "3.cfg": "5", "Hires.steps": "9", "Last pass.steps": "4"},
        ),
        (["prompt=a fox, at dawn, f/8"], {"prompt": "a fox, at dawn, f/8"}),
        (["prompt=a = b, style=ink", "cfg=5"], {"prompt": "a = b, style=ink", "cfg": "5"}),
        (["negative=雪 🦊,cfg=2.5"], {"negative": "雪 🦊", "cfg": "2.5"}),
        (["prompt="], {"prompt": ""}),
    ],
)
def test_a_comma_inside_of_a_text_is_the_texts(typed: list[str], read: dict[str, str]) -> None:
    assert vary._settings(typed) == read


@pytest.mark.parametrize("typed", [["seed"], ["=5"], ["seed=1", "seed=2"]])
def test_a_setting_that_cannot_be_read_is_refused(typed: list[str]) -> None:
    with pytest.raises(BadSetting) as refused:
        vary._settings(typed)
    assert refused.value.hint


def test_an_axis_has_a_name_and_values() -> None:
    assert vary._axis("cfg=5,7,9") == {"name": "cfg", "values": ["5", "7", "9"]}
    assert vary._axis("3.cfg=5..6..0.5") == {"name": "3.cfg", "values": [5.0, 5.5, 6.0]}
    with pytest.raises(BadSetting):
        vary._axis("cfg")


def test_a_colour_is_six_digits() -> None:
    assert vary._colour("FF8000") == "#FF8000"
    with pytest.raises(vary.BadEnlargement):
        vary._colour("red")


def test_measures_are_said_in_one_line() -> None:
    told = {"width": 256, "height": 256, "comparable": True, "psnr": 41.234, "ssim": 0.99123}
    assert vary._measured(told) == "256x256; scaled back, 41.2 dB from the original, SSIM 0.9912"
    assert vary._measured({**told, "psnr": None}).endswith("pixel for pixel")
    assert vary._measured({"scaled_back_by": "lanczos"}) == "size unknown; not compared"
