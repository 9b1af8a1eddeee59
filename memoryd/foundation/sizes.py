"""Amounts of bytes as people write them: `500G`, `6.5 GB`, `200M`."""

from __future__ import annotations

import re

from memoryd.foundation.errors import NotAcceptable

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SPELLED = re.compile(r"^(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]?)(I?)B?$")


class BadSize(NotAcceptable):
    """This is no amount of bytes."""


def parse_size(spelled: str) -> int:
    """Return the bytes that a text such as `500G` names: powers of 1000, with an i (`500GiB`) of 1024. Raises: BadSize."""
    matched = _SPELLED.match(spelled.strip().upper())
    if matched is None or (matched[3] and not matched[2]):
        raise BadSize(f"{spelled[:40]!r}", hint="a number and K, M, G or T, such as 200G")
    unit = _UNITS[matched[2]]
    size = round(float(matched[1]) * (unit if not matched[3] else 1024 ** list(_UNITS).index(matched[2])))
    if size <= 0:
        raise BadSize(f"{spelled[:40]!r} is nothing", hint="a number and K, M, G or T, such as 200G")
    return size


def show_gigabytes(done: int, total: int) -> str:
    """Return how far something is, in one unit: `3.2 of 6.6 GB`, `12 of 40 MB`."""
    if total >= 10**9:
        return f"{done / 10**9:.1f} of {total / 10**9:.1f} GB"
    return f"{done / 10**6:.0f} of {max(total, 10**6) / 10**6:.0f} MB"
