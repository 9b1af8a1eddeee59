"""A node's list of widget values laid beside an order of widgets: which value belongs to which name, and how well it fits.

The list holds values of the editor's own that no order names: what to do with a seed after the run (a word, in the
oldest files a boolean), the button of an upload. They are told by their spelling, not by their place. Where a file is of
another version of its class, the cheapest alignment leaves out the values or the names that the other version has not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.editor.expanding import CONTROL_WORDS
from memoryd.workflows.editor.facts import Kind, Widget
from memoryd.workflows.editor.usual_values import is_model_file, is_sampler, is_scheduler, looks_like_seed

VALUES_LIMIT = 2_000
"""Widget values of one node that are read."""

CELLS_LIMIT = 10_000
"""Values times widgets up to which the cheapest alignment is looked for; real nodes stay below 3,000."""

MISFIT_COST, LEFT_OVER_COST, MISSING_COST, GAP_COST, LOSS_COST = 3.0, 1.0, 0.5, 1.2, 3.0

_SEEDS = ("seed", "noise_seed")
_NUMBERS = (Kind.INT, Kind.FLOAT, Kind.NUMBER)


@dataclasses.dataclass(frozen=True, slots=True)
class Aligned:
    """Values by name, and what it cost: 0 is a perfect fit."""

    values: tuple[tuple[str, Json], ...]
    cost: float
    misfits: int


def align(widgets: Sequence[Widget], values: Sequence[Json]) -> Aligned:
    """Return the values under the widgets' names, in order. Values that are left over, missing or of another kind cost."""
    found: list[tuple[str, Json]] = []
    at = misfits = missing = 0
    values = values[:VALUES_LIMIT]
    for index, widget in enumerate(widgets):
        if at >= len(values):
            missing = len(widgets) - index
            break
        value = values[at]
        if not fits(widget, value):
            misfits += 1
        found.append((widget.name, value))
        at += 1
        if at < len(values) and _is_editors_own(widget, values, at, widgets[index + 1 :]):
            at += 1
    left = sum(1 for value in values[at:] if not _says_nothing(value))
    return Aligned(tuple(found), MISFIT_COST * misfits + LEFT_OVER_COST * left + MISSING_COST * missing, misfits)


def align_versions(widgets: Sequence[Widget], values: Sequence[Json]) -> Aligned:
    """Return the cheapest alignment that leaves out values or names in between, for another version of the class.

    Beyond CELLS_LIMIT the plain one. Only what fits is paired, so there are no misfits; a name left out has no value.
    """
    plain = align(widgets, values)
    rows, columns = len(values), len(widgets)
    if plain.cost == 0 or rows * columns > CELLS_LIMIT:
        return plain
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for column in range(columns - 1, -1, -1):
        best[rows][column] = best[rows][column + 1] + MISSING_COST
    for row in range(rows - 1, -1, -1):
        skipped = _cost_of_losing(values[row])
        best[row][columns] = best[row + 1][columns] + (0.0 if _says_nothing(values[row]) else skipped)
        for column in range(columns - 1, -1, -1):
            cost = min(best[row + 1][column] + skipped, best[row][column + 1] + GAP_COST)
            if fits(widgets[column], values[row]):
                cost = min(cost, best[row + 1][column + 1])
            best[row][column] = cost
    found: list[tuple[str, Json]] = []
    row = column = 0
    while row < rows and column < columns:
        # Pairs first: of two alignments that cost the same, the earlier value belongs to the earlier name.
        if fits(widgets[column], values[row]) and best[row][column] == best[row + 1][column + 1]:
            found.append((widgets[column].name, values[row]))
            row, column = row + 1, column + 1
        elif best[row][column] == best[row][column + 1] + GAP_COST:
            column += 1
        else:
            row += 1
    return Aligned(tuple(found), best[0][0], 0) if best[0][0] < plain.cost else plain


def _cost_of_losing(value: Json) -> float:
    if isinstance(value, str):
        if value in CONTROL_WORDS:
            return 0.0
        return LOSS_COST if is_model_file(value) or is_sampler(value) or is_scheduler(value) else GAP_COST
    if value is None:
        return 0.0
    return LOSS_COST if isinstance(value, (int, float)) and looks_like_seed(value) else GAP_COST


def fits(widget: Widget, value: Json) -> bool:
    """Tell whether a widget can hold the value. No value fits everything."""
    kind = widget.kind
    if value is None or kind is Kind.ANY:
        return True
    if isinstance(value, bool):
        return kind is Kind.BOOL
    if isinstance(value, str):
        return kind in (Kind.TEXT, Kind.PROSE, Kind.COMBO) and _is_usual(widget.name, value)
    if isinstance(value, (int, float)):
        if kind in (Kind.INT, Kind.FLOAT, Kind.NUMBER):
            whole = isinstance(value, int) or value.is_integer()
            return (whole or kind is not Kind.INT) and (not looks_like_seed(value) or "seed" in widget.name.lower())
        return kind is Kind.COMBO and widget.name not in ("sampler_name", "scheduler")
    return False


def _is_usual(name: str, value: str) -> bool:
    """Tell whether the text may be what the name says, where names are as usual as these."""
    if name == "sampler_name":
        return is_sampler(value) or not (is_scheduler(value) or is_model_file(value) or value in CONTROL_WORDS)
    if name == "scheduler":
        return is_scheduler(value) or not (is_sampler(value) or is_model_file(value))
    if name in ("ckpt_name", "lora_name", "vae_name", "unet_name", "control_net_name"):
        return not (is_sampler(value) or is_scheduler(value))
    return True


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
    return (
        value is None or value in ("", "image", "video", "audio") or (isinstance(value, str) and value in CONTROL_WORDS)
    )
