"""Reads what comes over ComfyUI's WebSocket: JSON messages and binary frames."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping
from typing import TypeAlias

from memoryd.foundation.canonical_json import Json, read_json
from memoryd.foundation.errors import NotAcceptable

PREVIEW_IMAGE = 1
NODE_TEXT = 3
PREVIEW_WITH_METADATA = 4

_IMAGE_TYPES = {1: "image/jpeg", 2: "image/png"}


class BadFrame(NotAcceptable):
    """This is no frame of ComfyUI's WebSocket."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A JSON message: `type` is ComfyUI's word, `prompt_id` the run it speaks of (None: of none, or unsaid)."""

    type: str
    body: Mapping[str, Json]

    @property
    def prompt_id(self) -> str | None:
        """The run this message is about."""
        value = self.body.get("prompt_id")
        return value if isinstance(value, str) else None

    @property
    def node(self) -> str | None:
        """The node this message is about."""
        value = self.body.get("node")
        return None if value is None else str(value)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A picture on its way. Node and run are None where the sender does not say (type 1)."""

    media_type: str
    image: bytes
    node: str | None = None
    prompt_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeText:
    """A line that a node shows."""

    node: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UnknownFrame:
    """A binary frame of a type we do not know: kept, since custom nodes send their own."""

    type: int
    payload: bytes


Frame: TypeAlias = "Message | Preview | NodeText | UnknownFrame"


def read_frame(received: str | bytes) -> Frame:
    """Return what one WebSocket message says. Raises: BadFrame."""
    if isinstance(received, str):
        value = read_json(received)
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            raise BadFrame("a text message without a type")
        body = value.get("data")
        return Message(type=str(value["type"]), body=body if isinstance(body, dict) else {})
    try:
        return _read_binary(received)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise BadFrame(f"a binary message of {len(received)} bytes: {error}") from None


def _read_binary(received: bytes) -> Frame:
    (kind,) = struct.unpack_from(">I", received)
    if kind == PREVIEW_IMAGE:
        (image_format,) = struct.unpack_from(">I", received, 4)
        return Preview(media_type=_IMAGE_TYPES.get(image_format, "application/octet-stream"), image=received[8:])
    if kind == NODE_TEXT:
        node, text = _split(received)
        return NodeText(node=node.decode(), text=text.decode())
    if kind == PREVIEW_WITH_METADATA:
        head, image = _split(received)
        facts = read_json(head)
        if not isinstance(facts, dict):
            raise BadFrame("a preview whose metadata is no object")
        node_id, prompt_id = facts.get("node_id"), facts.get("prompt_id")
        return Preview(
            media_type=str(facts.get("image_type", "image/jpeg")),
            image=image,
            node=node_id if isinstance(node_id, str) else None,
            prompt_id=prompt_id if isinstance(prompt_id, str) else None,
        )
    return UnknownFrame(type=kind, payload=received[4:])


def _split(received: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", received, 4)
    if 8 + length > len(received):
        raise BadFrame(f"a part of {length} bytes in a message of {len(received)}")
    return received[8 : 8 + length], received[8 + length :]
