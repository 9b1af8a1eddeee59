"""Finds the data folders that ship with memoryd (migrations, JSON schemas)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_IN_WHEEL = Path(__file__).parent / "_shipped"
_IN_CHECKOUT = Path(__file__).parent.parent


def shipped(folder: Literal["migrations", "schemas"]) -> Path:
    """Return the folder's path: the wheel's copy when installed, the checkout's own when editable."""
    root = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT
    return root / folder
