"""What the columns can hold: a hostile number or name in one file must not fail the batch it came in."""

from __future__ import annotations

import math

from memoryd.foundation.texts import storable

SEED_LIMIT = 2**64 - 1
"""Greatest seed. Source: ComfyUI refuses 2**64 and accepts 2**64 - 1."""

SEED_BYTES = 8
INT4_LIMIT = 2**31 - 1
"""Greatest value of a Postgres integer."""

INT8_LIMIT = 2**63 - 1
FACTS_LIMIT = 1_000
"""Samplers, prompts, models or inputs of one output that are kept as rows; the document keeps all."""

NAME_LIMIT = 1_000
"""Characters of a name as written in a graph that are kept as a fact; the document keeps all."""

TEXT_LIMIT = 200_000
"""Characters of a prompt that are kept as a fact; the document keeps all."""


def int4(number: int | None) -> int | None:
    """Return the number where a 4-byte column holds it, else None: unknown, never another number."""
    return number if number is not None and -INT4_LIMIT <= number <= INT4_LIMIT else None


def float8(number: float | None) -> float | None:
    """Return the number as a finite float, else None."""
    if number is None:
        return None
    try:
        value = float(number)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def seed_bytes(seed: int | None) -> bytes | None:
    """Return a seed as 8 bytes, big-endian; None where it is unknown or no seed (outside 0 to SEED_LIMIT)."""
    return seed.to_bytes(SEED_BYTES, "big") if seed is not None and 0 <= seed <= SEED_LIMIT else None


def seed_from(stored: bytes | None) -> int | None:
    """Return the seed that `seed_bytes` stored."""
    return None if stored is None else int.from_bytes(stored, "big")


def name(text: str) -> str:
    """Return a name, storable, cut at NAME_LIMIT."""
    if len(text) <= NAME_LIMIT and text.isascii() and "\x00" not in text:
        return text
    return storable(text[:NAME_LIMIT])[0]


def optional_name(text: str | None) -> str | None:
    """Return a name as `name` does, or None."""
    return None if text is None else name(text)


def long_text(text: str) -> str:
    """Return a text, storable, cut at TEXT_LIMIT."""
    return storable(text[:TEXT_LIMIT])[0]


def shown(path: bytes) -> str:
    """Return a path as text for people; what is no UTF-8 is shown as U+FFFD."""
    return storable(path.decode("utf-8", "replace"))[0]
