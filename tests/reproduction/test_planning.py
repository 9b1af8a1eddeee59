"""Where ComfyUI must find a file that a graph names."""

from __future__ import annotations

import json

import pytest

from memoryd.comfyui.input_names import input_place
from memoryd.foundation.ids import AssetId, new_id
from memoryd.reproduction.facts import Plan
from memoryd.reproduction.planning import extra_data_of


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("fox.png", ("", "fox.png", "input")),
        ("fx/lora_00001_.png [output]", ("fx", "lora_00001_.png", "output")),
        ("a\\b.png", ("a", "b.png", "input")),
        ("x.png [temp]", ("", "x.png", "temp")),
        ("x [draft].png", ("", "x [draft].png", "input")),
    ],
)
def test_a_written_name_says_folder_name_and_kind(written: str, place: tuple[str, str, str]) -> None:
    assert input_place(written) == place


def test_the_other_texts_go_back_in_their_order_and_spelling() -> None:
    extras = (("workflow", b'{"b": 1.50, "a": 18446744073709551615}'), ("author", b'"me"'))
    plan = Plan(asset_id=AssetId(new_id()), generation_id=None, project_id=None, extras=extras)
    text = extra_data_of(plan)
    assert '"workflow": {"b": 1.50, "a": 18446744073709551615}, "author": "me"' in text
    assert list(json.loads(text)["extra_pnginfo"]) == ["workflow", "author"]
