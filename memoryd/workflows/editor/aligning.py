"""A node's list of widget values laid beside an order of widgets: which value belongs to which name, and how well it fits.

The list holds values of the editor's own that no order names: what to do with a seed after the run (a word, in the
oldest files a boolean), the button of an upload. They are told by their spelling, not by their place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.editor.expanding import CONTROL_WORDS
from memoryd.workflows.editor.facts import Kind, Widget

VALUES_LIMIT = 2_000
"""Widget values of one node that are read."""

MISFIT_COST, LEFT_OVER_COST, MISSING_COST = 3.0, 1.0, 0.5

_SEEDS = ("seed", "noise_seed")
_NUMBERS = (Kind.INT, Kind.FLOAT, Kind.NUMBER)


@dataclasses.dataclass(frozen=True, slots=True)
class Aligned:
    """Values by name, and what it cost: 0 is a perfect fit."""

    values: tuple[tuple[str, Json], ...]
    cost: float
    misfits: int


def align(widgets: Sequence[Widget], values: Sequence[Json]) -> Aligned:
    """Return the values under the widgets' names. Values that are left over, missing or of another kind cost."""
    found: list[tuple[str, Json]] = []
    at = misfits = missing = 0
    values = values[:VALUES_LIMIT]
    for index, widget in enumerate(widgets):
        if at >= len(values):
            missing = len(widgets) - index
            break
        value = values[at]
        if not fits(widget.kind, value):
            misfits += 1
        found.append((widget.name, value))
        at += 1
        if at < len(values) and _is_editors_own(widget, values, at, widgets[index + 1 :]):
            at += 1
    left = sum(1 for value in values[at:] if not _says_nothing(value))
    return Aligned(tuple(found), MISFIT_COST * misfits + LEFT_OVER_COST * left + MISSING_COST * missing, misfits)


def fits(kind: Kind, value: Json) -> bool:
    """Tell whether a widget of that kind can hold the value. No value fits everything."""
    if value is None or kind is Kind.ANY:
        return True
    if isinstance(value, bool):
        return kind in (Kind.BOOL, Kind.COMBO)
    if kind is Kind.INT:
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if kind in (Kind.FLOAT, Kind.NUMBER):
        return isinstance(value, (int, float))
    if kind is Kind.TEXT:
        return isinstance(value, str)
    return kind is Kind.COMBO and isinstance(value, (str, int, float))


def _is_editors_own(widget: Widget, values: Sequence[Json], at: int, after: Sequence[Widget]) -> bool:
    """Tell whether the value after a number says what the editor does with that number after a run."""
    value = values[at]
    if widget.kind not in (*_NUMBERS, Kind.ANY):
        return False
    if isinstance(value, str) and value in CONTROL_WORDS:
        # A combo of the node's own may offer the same words: then the list is as long as the widgets.
        return widget.name in _SEEDS or not after or after[0].kind is not Kind.COMBO or len(values) - at > len(after)
    if isinstance(value, bool) and widget.name in _SEEDS:
        return not after or after[0].kind not in (Kind.BOOL, Kind.ANY) or len(values) - at > len(after)
    return False


def _says_nothing(value: Json) -> bool:
    return value is None or value in ("", "image", "video", "audio") or (isinstance(value, str) and value in CONTROL_WORDS)
