"""Files that speak, for the tests of dialects."""

from __future__ import annotations

import json

from memoryd.plugin_api.dialects import Dialect
from memoryd.plugin_api.facts import Carrier, FileTexts, Polarity, Recipe


def png(name: str = "a.png", **texts: str) -> FileTexts:
    """Return a PNG with these texts."""
    return FileTexts(
        carriers=tuple(
            Carrier(place="png:tEXt", key=key.replace("__", "-").replace("_S_", " "), raw=text.encode())
            for key, text in texts.items()
        ),
        name=name,
        media_type="image/png",
    )


def comment(text: str) -> FileTexts:
    """Return a JPEG with this EXIF comment, in big-endian UTF-16 as most write it."""
    raw = b"UNICODE\x00" + text.encode("utf-16-be")
    return FileTexts(
        carriers=(Carrier(place="jpeg:exif", key="UserComment", raw=raw),), name="a.jpg", media_type="image/jpeg"
    )


def as_json(**parts: object) -> str:
    """Return JSON."""
    return json.dumps(parts)


def understood(dialect: Dialect, file: FileTexts) -> Recipe:
    """Return the recipe that a dialect must find."""
    recipe = dialect.understand(file)
    assert recipe is not None
    return recipe


def positive(recipe: Recipe) -> list[str]:
    """Return the prompts."""
    return [said.text for said in recipe.texts if said.polarity is Polarity.POSITIVE]


def negative(recipe: Recipe) -> list[str]:
    """Return the negative prompts."""
    return [said.text for said in recipe.texts if said.polarity is Polarity.NEGATIVE]


def names(recipe: Recipe, role: str) -> list[str]:
    """Return the names of the models of a role."""
    return [model.name for model in recipe.models if model.role == role]
