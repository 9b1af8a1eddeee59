"""Ids as people give them to commands."""

from __future__ import annotations

from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import parse_id


class NoWholeId(NotAcceptable):
    """This is no id."""


def whole_id(text: str, *, shown_by: str) -> str:
    """Return an id that is whole; `shown_by` is the command that prints such ids. Raises: NoWholeId."""
    if parse_id(text) is None:
        raise NoWholeId(repr(text), hint=f"ids are printed whole by `{shown_by}`")
    return text
