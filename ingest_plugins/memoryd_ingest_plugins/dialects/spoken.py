"""Where in a file a tool's words stand: its carriers by place and key, as text."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from memoryd.plugin_api.facts import Carrier, FileTexts
from memoryd.plugin_api.texts import text_of
from memoryd_ingest_plugins.dialects.values import TEXT_LIMIT, Json, json_of

FREE_KEYS = frozenset(("usercomment", "comment", "imagedescription", "description", "xpcomment"))
"""Slots for anybody's words: what stands there must show by itself whose it is."""


_KEPT_LIMIT = 65_536
"""Bytes of a carrier whose text is kept at hand: every dialect asks for the same ones."""


@functools.lru_cache(maxsize=32)
def _kept(carrier: Carrier) -> str:
    return text_of(carrier)


def words_of(carrier: Carrier) -> str:
    """Return a carrier's value as text."""
    return _kept(carrier) if len(carrier.raw) <= _KEPT_LIMIT else text_of(carrier)


def is_free(carrier: Carrier) -> bool:
    """Tell whether the carrier's slot is for anybody's words."""
    place = carrier.place
    return carrier.key.lower() in FREE_KEYS or place.endswith((":com", ":iptc", ":stealth")) or place[:8] == "sidecar:"


def texts_under(file: FileTexts, *keys: str) -> Iterator[tuple[int, str]]:
    """Yield index and text of the carriers under one of these keys (lower case), in file order."""
    for index, carrier in enumerate(file.carriers):
        if carrier.key.lower() in keys and len(carrier.raw) <= TEXT_LIMIT:
            yield index, words_of(carrier)


def free_texts(file: FileTexts) -> Iterator[tuple[int, str]]:
    """Yield index and text of the carriers in slots for anybody's words, in file order."""
    for index, carrier in enumerate(file.carriers):
        if is_free(carrier) and len(carrier.raw) <= TEXT_LIMIT:
            yield index, words_of(carrier)


def objects_under(file: FileTexts, *keys: str) -> Iterator[tuple[int, dict[str, Json]]]:
    """Yield index and value of the carriers under these keys, or in a free slot, that hold a JSON object."""
    for index, carrier in enumerate(file.carriers):
        if (carrier.key.lower() in keys or is_free(carrier)) and len(carrier.raw) <= TEXT_LIMIT:
            value = json_of(words_of(carrier))
            if isinstance(value, dict):
                yield index, value


def first_text(file: FileTexts, *keys: str) -> tuple[int, str] | None:
    """Return index and text of the first carrier under one of these keys (lower case), or None."""
    return next(texts_under(file, *keys), None)
