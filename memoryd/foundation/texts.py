"""Texts from files, made fit for the database."""

from __future__ import annotations

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""Postgres refuses NUL in text, and lone surrogates are no UTF-8: one such text would fail a batch of a thousand."""

REPLACEMENT = "\ufffd"


def storable(text: str) -> tuple[str, bool]:
    """Return the text with every NUL and lone surrogate replaced by U+FFFD, and whether any was (record a finding)."""
    if text.isascii() and "\x00" not in text:
        return text, False
    clean, replaced = _UNSTORABLE.subn(REPLACEMENT, text)
    return clean, replaced > 0
