from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.comfyui.frames import BadFrame, Message, NodeText, Preview, UnknownFrame, read_frame
from memoryd.foundation.errors import MemorydError


def test_every_recorded_message_is_read(fixtures: Path) -> None:
    count = 0
    for path in sorted((fixtures / "ws").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            message = json.loads(line)["msg"]
            if not message.get("_binary"):
                frame = read_frame(json.dumps(message))
                assert isinstance(frame, Message)
                assert (frame.type, frame.body) == (message["type"], message["data"])
                count += 1
    assert count > 300


def test_a_preview_without_metadata_is_a_picture_of_nobody() -> None:
    assert read_frame(struct.pack(">II", 1, 2) + b"png") == Preview(media_type="image/png", image=b"png")


def test_a_preview_with_metadata_says_whose_it_is() -> None:
    head = json.dumps({"node_id": "3", "prompt_id": "p", "image_type": "image/jpeg"}).encode()
    frame = read_frame(struct.pack(">II", 4, len(head)) + head + b"jpeg")
    assert frame == Preview(media_type="image/jpeg", image=b"jpeg", node="3", prompt_id="p")


def test_a_text_frame_names_its_node() -> None:
    assert read_frame(struct.pack(">II", 3, 2) + b"12" + "赤".encode()) == NodeText(node="12", text="赤")


def test_frames_of_custom_nodes_are_kept() -> None:
    assert read_frame(struct.pack(">I", 99) + b"x") == UnknownFrame(type=99, payload=b"x")


@pytest.mark.parametrize(
    "received", [b"", b"\0\0\0\4\0\0\0\xff{}", "[]", '{"type": 1}', struct.pack(">II", 4, 2) + b"[]"]
)
def test_broken_frames_are_refused(received: str | bytes) -> None:
    with pytest.raises(BadFrame):
        read_frame(received)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=40))
def test_no_frame_breaks_the_reader(received: str | bytes) -> None:
    with contextlib.suppress(MemorydError):
        read_frame(received)
