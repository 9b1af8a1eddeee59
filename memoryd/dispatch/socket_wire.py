"""What goes over a worker's WebSocket, `GET /v1/work/socket`: shapes only. The worker imports this module too.

The socket only makes things quicker: everything in it is also said by long polls and heartbeats. Texts are JSON objects
with a `type`; binary messages go from worker to server alone and each is one picture of a run in progress: the length of
a head (4 bytes, big-endian), the head as JSON (`PictureHead`), then the picture's bytes. Whoever sends faster than the
other side reads skips what has become old: only the newest of each kind counts.
"""

from __future__ import annotations

import struct
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter, ValidationError

from memoryd.dispatch.wire import Fence, Name, Shape
from memoryd.foundation.errors import NotAcceptable

PICTURE_LIMIT = 2 * 1024 * 1024
"""Bytes of one picture. ComfyUI's previews are at most 512 pixels wide, about 50 kB as JPEG and 500 kB as PNG."""

HEAD_LIMIT = 16 * 1024
"""Bytes of a picture's head, and of any text message."""

MESSAGE_LIMIT = 4 + HEAD_LIMIT + PICTURE_LIMIT
"""Bytes of one message."""

PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp")
"""What a picture may be: a browser shows these, and runs nothing in them."""

REPLACED_CODE = 4409
"""A newer socket of the same worker took this one's place. Source: RFC 6455, section 7.4.2, codes for private use."""


class BadMessage(NotAcceptable):
    """This is no message of a worker's socket."""


class Wake(Shape):
    """Server to worker: there may be work; ask for it if you are not asking already."""

    type: Literal["wake"] = "wake"


class Cancel(Shape):
    """Server to worker: somebody cancelled this run; stop, and complete as cancelled."""

    type: Literal["cancel"] = "cancel"
    job_id: UUID
    fence: Fence


class Lost(Shape):
    """Server to worker: what you sent names no lease of yours; stop, and drop what there is."""

    type: Literal["lost"] = "lost"
    job_id: UUID
    fence: Fence


class Drain(Shape):
    """Server to worker: finish what runs and take nothing new."""

    type: Literal["drain"] = "drain"


class Progress(Shape):
    """Worker to server: how far a run is. Members as in a heartbeat's `Beat`."""

    type: Literal["progress"] = "progress"
    job_id: UUID
    fence: Fence
    token: Annotated[str, Field(max_length=200)]
    progress: float | None = Field(default=None, ge=0, le=1)
    phase: Annotated[str, Field(max_length=1_000)]
    node: Name | None = None


class Ended(Shape):
    """Worker to server: there is nothing more to show of this run."""

    type: Literal["ended"] = "ended"
    job_id: UUID
    fence: Fence
    token: Annotated[str, Field(max_length=200)]


class PictureHead(Shape):
    """What a picture shows: the run, and the node that is drawing, where ComfyUI says which."""

    job_id: UUID
    fence: Fence
    token: Annotated[str, Field(max_length=200)]
    media_type: Literal["image/jpeg", "image/png", "image/webp"]
    node: Name | None = None


_to_worker: TypeAdapter[Wake | Cancel | Lost | Drain] = TypeAdapter(
    Annotated[Wake | Cancel | Lost | Drain, Field(discriminator="type")]
)
_to_server: TypeAdapter[Progress | Ended] = TypeAdapter(Annotated[Progress | Ended, Field(discriminator="type")])


def read_for_worker(text: str) -> Wake | Cancel | Lost | Drain | None:
    """Return what the server says; None for a word that only a newer server knows."""
    try:
        return _to_worker.validate_json(text)
    except ValidationError:
        return None


def read_for_server(text: str) -> Progress | Ended:
    """Return what a worker says. Raises: BadMessage."""
    if len(text) > HEAD_LIMIT:
        raise BadMessage(f"a text of {len(text)} characters", hint=f"at most {HEAD_LIMIT}")
    try:
        return _to_server.validate_json(text)
    except ValidationError as error:
        raise BadMessage(f"a text: {error.errors()[0]['msg']}", hint="see socket_wire") from None


def pack_picture(head: PictureHead, picture: bytes) -> bytes:
    """Return the binary message of a picture."""
    packed = head.model_dump_json().encode()
    return struct.pack(">I", len(packed)) + packed + picture


def unpack_picture(message: bytes) -> tuple[PictureHead, bytes]:
    """Return a picture and what it shows. Raises: BadMessage."""
    if not 4 < len(message) <= MESSAGE_LIMIT:
        raise BadMessage(f"a binary message of {len(message)} bytes", hint=f"at most {MESSAGE_LIMIT}")
    (length,) = struct.unpack_from(">I", message)
    if length > min(HEAD_LIMIT, len(message) - 4):
        raise BadMessage(f"a head of {length} bytes in a message of {len(message)}", hint=f"at most {HEAD_LIMIT}")
    try:
        head = PictureHead.model_validate_json(message[4 : 4 + length])
    except ValidationError as error:
        raise BadMessage(f"a head: {error.errors()[0]['msg']}", hint="see socket_wire") from None
    return head, message[4 + length :]
