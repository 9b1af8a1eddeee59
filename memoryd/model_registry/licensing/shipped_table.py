"""The table of licences that ships: read once. That the schema accepts every document is tested, not asked at each start."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from memoryd.foundation.canonical_json import read_json
from memoryd.model_registry.licensing.names import base_name, known_names
from memoryd.model_registry.licensing.terms import Confidence

FOLDER = Path(__file__).parent / "table"
KNOWN_FILES = Path(__file__).parent / "known_files.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model of which the publisher's licence is known, as files name it as their base."""

    title: str
    licence: str
    confidence: Confidence
    families: frozenset[str] = frozenset()
    """Those that begin with it; none where that is not known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A file whose bytes were published with their SHA-256 and a licence."""

    name: str
    licence: str
    confidence: Confidence
    source: str
    """Where hash and licence can be read."""


@functools.cache
def documents() -> Mapping[str, Mapping[str, Any]]:
    """Return every shipped licence's document by id."""
    read: list[Any] = [read_json(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))]
    return MappingProxyType({str(document["id"]): MappingProxyType(document) for document in read})


@functools.cache
def names() -> Mapping[str, str]:
    """Return the id of the licence for every plain name of a shipped one."""
    return MappingProxyType(known_names(documents().values()))


@functools.cache
def known_models() -> Mapping[str, KnownModel]:
    """Return models by every plain name that files give them as a base."""
    found = {}
    for licence, document in documents().items():
        for model in document.get("models", ()):
            known = _known(licence, model)
            found.update({base_name(name): known for name in (model["title"], *model.get("base_names", ()))})
    return MappingProxyType(found)


@functools.cache
def families() -> Mapping[str, tuple[KnownModel, ...]]:
    """Return the models with which a family begins; more than one where the family does not say which."""
    found: dict[str, list[KnownModel]] = {}
    for licence, document in documents().items():
        for model in document.get("models", ()):
            for family in model.get("families", ()):
                found.setdefault(family, []).append(_known(licence, model))
    return MappingProxyType({family: tuple(models) for family, models in found.items()})


@functools.cache
def known_files() -> Mapping[bytes, tuple[KnownFile, ...]]:
    """Return files whose hash was published, by SHA-256."""
    read: Any = read_json(KNOWN_FILES.read_bytes())
    return MappingProxyType(
        {
            bytes.fromhex(one["sha256"]): tuple(
                KnownFile(
                    name=one["name"],
                    licence=licence,
                    confidence=Confidence(one["confidence"]),
                    source=one["source"],
                )
                for licence in one["licences"]
            )
            for one in read["files"]
        }
    )


def _known(licence: str, model: Mapping[str, Any]) -> KnownModel:
    return KnownModel(
        title=model["title"],
        licence=licence,
        confidence=Confidence(model["confidence"]),
        families=frozenset(model.get("families", ())),
    )
