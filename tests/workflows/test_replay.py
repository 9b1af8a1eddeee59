from __future__ import annotations

import json
from pathlib import Path

import pytest

from memoryd.comfyui.submitted_graph import without_is_changed
from memoryd.plugin_api.png import read_png
from memoryd.workflows.replay import NotReplayable, replay


def documents(path: Path) -> list[tuple[str, bytes]]:
    with path.open("rb") as stream:
        return [(text.key, text.raw) for text in read_png(stream).texts]


def test_a_replay_spells_every_chunk_as_it_was(files: Path) -> None:
    for path in sorted((files / "comfyui" / "images").glob("*.png")):
        texts = documents(path)
        if not texts:
            continue
        again = replay(texts)
        assert again.left_out == ()
        # ComfyUI writes each with json.dumps: what it will write is what was there, is_changed aside.
        written = [("prompt", again.prompt), *again.extra_pnginfo.items()]
        for (key, raw), (name, value) in zip(texts, written, strict=True):
            assert key == name
            if b"is_changed" not in raw:
                assert json.dumps(value).encode() == raw


def test_is_changed_is_taken_out_and_nothing_else() -> None:
    prompt = json.loads('{"1": {"inputs": {"is_changed": 1}, "class_type": "A", "is_changed": ["x"]}, "2": 3}')
    assert without_is_changed(prompt) == {"1": {"inputs": {"is_changed": 1}, "class_type": "A"}, "2": 3}
    assert "is_changed" in prompt["1"]


def test_texts_that_comfyui_did_not_write_are_named() -> None:
    again = replay([("Software", b"an editor"), ("prompt", b'{"1": {}}'), ("prompt", b"{}"), ("n", b"7")])
    assert again.prompt == {"1": {}}
    assert again.extra_pnginfo == {"n": 7}
    assert again.left_out == ("Software",)


@pytest.mark.parametrize("texts", [[], [("workflow", b"{}")], [("prompt", b"a red fox")], [("prompt", b"[]")]])
def test_without_a_prompt_there_is_nothing_to_replay(texts: list[tuple[str, bytes]]) -> None:
    with pytest.raises(NotReplayable):
        replay(texts)
