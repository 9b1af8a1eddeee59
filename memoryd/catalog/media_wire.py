"""What all shapes of HTTP are made of, and the shapes of what contents are like and of frames that are one item."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _hex(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) else value


Hex = Annotated[str, BeforeValidator(_hex)]
BigInteger = Annotated[str, BeforeValidator(_text)]


class Shape(BaseModel):
    """What all shapes share: made from the room's values by attribute, unknown members refused."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


class ColourProfileShape(Shape):
    """The colour profile that a picture carries."""

    name: str
    sha256: Hex


class TraitsShape(Shape):
    """What content is like: seconds, frames and samples a second, colour profile, an EXR's layers."""

    duration: float | None
    frame_rate: float | None
    sample_rate: int | None
    channels: int | None
    profile: ColourProfileShape | None
    layers: list[str]


class SequenceShape(Shape):
    """Numbered frames that are one item. `missing` numbers between first and last have no frame."""

    id: UUID
    name: str
    frames: int
    first: int
    last: int
    missing: int
    first_id: UUID
