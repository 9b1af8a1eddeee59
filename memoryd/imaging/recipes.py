"""What is derived from an asset's content, and by which version of each recipe."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from memoryd.foundation.errors import NotAcceptable


class Part(enum.StrEnum):
    """One thing that is derived from content, and can be derived again by itself."""

    THUMBNAIL = "thumbnail"
    """Small still pictures: 256 and 1024 pixels."""
    PIXEL_DIGEST = "pixel_digest"
    FINGERPRINT = "fingerprint"
    POSTER = "poster"
    """Of what moves: the middle frame, and a short preview."""
    TRAITS = "traits"
    """Size, frames, duration, frame rate, colour profile, layers."""


VERSIONS: Mapping[Part, int] = MappingProxyType(
    {Part.THUMBNAIL: 2, Part.PIXEL_DIGEST: 1, Part.FINGERPRINT: 1, Part.POSTER: 1, Part.TRAITS: 1}
)
"""The present version of each recipe. A greater one is made beside the old, which goes when the new is there."""

EVERY_PART = frozenset(Part)

_JOINED_BY = "+"


class UnknownRecipe(NotAcceptable):
    """There is no such recipe."""


def spelled(part: Part) -> str:
    """Return a recipe as people write it: `thumbnail@2`."""
    return f"{part.value}@{VERSIONS[part]}"


def spelled_all(parts: Iterable[Part]) -> str:
    """Return a set of recipes as a chore carries it: `fingerprint@1+thumbnail@2`."""
    return _JOINED_BY.join(sorted(spelled(part) for part in parts))


def read_recipe(text: str) -> Part:
    """Return the part that `thumbnail` or `thumbnail@2` names.

    Raises: UnknownRecipe, also for a version that is not the present one: nothing else can be made any more.
    """
    name, at, version = text.strip().partition("@")
    part = next((part for part in Part if part.value == name.replace("-", "_")), None)
    if part is None or (at and version != str(VERSIONS[part])):
        raise UnknownRecipe(text, hint=f"the present ones are {', '.join(sorted(map(spelled, Part)))}")
    return part


def read_recipes(text: str) -> frozenset[Part]:
    """Return the parts of a set as `spelled_all` writes it; a chore of an older memoryd asks for the present versions."""
    found = {part for part in Part for one in text.split(_JOINED_BY) if one.partition("@")[0] == part.value}
    return frozenset(found)
