"""Carriers as text: which encoding a slot really holds, whatever its specification says."""

from __future__ import annotations

from memoryd.plugin_api.facts import Carrier


def text_of(carrier: Carrier) -> str:
    """Return a carrier's value as text: UTF-8 where it is that, Latin-1 otherwise; NULs at the end are no part of it."""
    try:
        text = carrier.raw.decode("utf-8")
    except UnicodeDecodeError:
        text = carrier.raw.decode("latin-1")
    return text.rstrip("\x00")
