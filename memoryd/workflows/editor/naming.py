"""Which input each widget value of a drawn node sets: the best fitting of all orders that are known for its class.

Trust, where several fit equally well: the node specifications, an order learned here, the shipped table, the names that
the node itself tells. Without any: usual names by the values' types (guessing).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.canonical_json import Json
from memoryd.workflows.editor.aligning import MISFIT_COST, VALUES_LIMIT, Aligned, align, align_versions
from memoryd.workflows.editor.drawing import Slot
from memoryd.workflows.editor.expanding import CONTROL_WORDS, Placed
from memoryd.workflows.editor.facts import Kind, Widget, WidgetOrder
from memoryd.workflows.editor.guessing import guess
from memoryd.workflows.editor.shipped_orders import shipped_orders

_KINDS = {"INT": Kind.INT, "FLOAT": Kind.FLOAT, "STRING": Kind.TEXT, "BOOLEAN": Kind.BOOL, "COMBO": Kind.COMBO}

_EDITORS_OWN = frozenset({"videopreview", "control_after_generate", "upload", "choose file to upload"})
"""Members of a dict of widget values that no node takes."""

GOOD_ENOUGH = 0.34
"""The share of misfitting values up to which an order is believed: files of other versions differ in a few."""

NAMED_VALUES_LIMIT, CELLS_LIMIT = 200_000, 300_000
"""Values, and cells of alignments, of one workflow, all nodes together; the largest real one has 20,000 values."""

VERSIONS_LIMIT = 8
"""Orders of one class that are tried as other versions of it."""

_LORA_ROW = frozenset({"on", "lora"})


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """A node's widget values by input. `is_guessed`: by usual names; `tells`: the node itself told the order.

    `prose`: inputs from whose texts the frontend takes comments.
    """

    values: tuple[tuple[str, Json], ...]
    is_guessed: bool = False
    tells: tuple[Widget, ...] = ()
    prose: frozenset[str] = frozenset()


Orders = Mapping[str, "WidgetOrder | Iterable[WidgetOrder]"]


@dataclasses.dataclass(slots=True)
class Effort:
    """What naming may still cost in one workflow."""

    values: int = NAMED_VALUES_LIMIT
    cells: int = CELLS_LIMIT

    @property
    def is_exhausted(self) -> bool:
        """Whether values were left out, since NAMED_VALUES_LIMIT was met."""
        return self.values < 0


def name_values(placed: Placed, specs: NodeSpecs | None, orders: Orders, effort: Effort) -> Named:
    """Return the node's widget values by the names of its inputs. `orders`: learned ones by class."""
    drawn = placed.drawn
    effort.values -= min(len(drawn.values), VALUES_LIMIT)
    if effort.is_exhausted:
        return Named(())
    if isinstance(drawn.values, Mapping):
        kept = [(name, value) for name, value in drawn.values.items() if name not in _EDITORS_OWN]
        return Named(tuple(kept[:VALUES_LIMIT]))
    values = drawn.values[:VALUES_LIMIT]
    told = tuple(
        Widget(name=slot.widget, kind=_KINDS.get(slot.type, Kind.ANY))
        for slot in drawn.inputs
        if slot.widget is not None
    )
    rows, values = _rows([_content(value) for value in values])
    if not values:
        return Named(tuple(rows))
    sockets = frozenset(slot.name for slot in drawn.inputs if slot.widget is None)
    best = _best(_candidates(drawn.type, drawn.inputs, told, sockets, specs, orders), values, effort)
    if best is None or best.misfits > max(GOOD_ENOUGH * len(values), 0):
        if _tells_all(told, values):
            return Named((*align(told, values).values, *rows), tells=told, prose=_prose(drawn.type))
        return Named((*guess(drawn, values), *rows), is_guessed=True)
    tells = told if _tells_all(told, values) and not rows else ()
    return Named((*best.values, *rows), tells=tells, prose=_prose(drawn.type))


def _candidates(
    class_type: str,
    inputs: tuple[Slot, ...],
    told: tuple[Widget, ...],
    sockets: frozenset[str],
    specs: NodeSpecs | None,
    orders: Orders,
) -> Iterator[tuple[Widget, ...]]:
    if specs is not None and class_type in specs:
        yield from _specified(class_type, sockets, specs)
    known = orders.get(class_type, ())
    learned = (known,) if isinstance(known, WidgetOrder) else tuple(known)
    for order in sorted(learned, key=lambda order: -order.seen):
        yield order.widgets
    yield from shipped_orders().get(class_type, ())
    if told:
        yield told


def _specified(class_type: str, sockets: frozenset[str], specs: NodeSpecs) -> Iterator[tuple[Widget, ...]]:
    """The order that the specifications give. A number that the drawing shows as a plain socket is no widget."""
    widgets = tuple(
        Widget(name=spec.name, kind=_KINDS[spec.type])
        for spec in specs.inputs(class_type).values()
        if spec.type in _KINDS and "." not in spec.name
    )
    yield tuple(widget for widget in widgets if widget.name not in sockets)
    if any(widget.name in sockets for widget in widgets):
        yield widgets


def _prose(class_type: str) -> frozenset[str]:
    orders = shipped_orders().get(class_type, ())
    return frozenset(widget.name for order in orders for widget in order if widget.kind is Kind.PROSE)


def _best(candidates: Iterable[tuple[Widget, ...]], values: list[Json], effort: Effort) -> Aligned | None:
    best: Aligned | None = None
    tried = []
    for widgets in candidates:
        aligned = align(widgets, values)
        if best is None or aligned.cost < best.cost:
            best = aligned
        if best.cost == 0:
            return best
        tried.append(widgets)
    for widgets in tried[:VERSIONS_LIMIT] if best is not None and best.cost >= MISFIT_COST else ():
        effort.cells -= len(widgets) * len(values)
        if effort.cells < 0:
            break
        aligned = align_versions(widgets, values)
        if best is None or aligned.cost < best.cost:
            best = aligned
    return best


def _tells_all(told: tuple[Widget, ...], values: list[Json]) -> bool:
    """Tell whether the node's own inputs name every value: newer frontends list all widgets, older ones some."""
    if not told:
        return False
    own = sum(1 for value in values if isinstance(value, str) and value in CONTROL_WORDS)
    return len(values) - own <= len(told) and align(told, values).cost < MISFIT_COST


_HEADER = re.compile(r"HeaderWidget$")


def _content(value: Json) -> Json:
    """A combo that shows pictures keeps its choice as `{"content": …, "image": …}` (Custom Scripts)."""
    if (
        isinstance(value, dict)
        and isinstance(value.get("content"), str)
        and value.keys() <= {"content", "image", "title"}
    ):
        return value["content"]
    return value


def _rows(values: list[Json]) -> tuple[list[tuple[str, Json]], list[Json]]:
    """Split off rows that carry their own meaning: a LoRA with its switch is `lora_1`, `lora_2`, … (Power Lora Loader), and
    lists of rows that are switched one by one have the names that LoRA Manager gives them.
    """
    rows: list[tuple[str, Json]] = []
    rest: list[Json] = []
    count = 0
    for value in values:
        if isinstance(value, list) and any(isinstance(row, dict) and "active" in row for row in value):
            named = any(isinstance(row, dict) and "name" in row for row in value)
            rows.append(("loras" if named else "toggle_trigger_words", value))
            continue
        if isinstance(value, dict):
            kind = value.get("type")
            if value.keys() >= _LORA_ROW:
                count += 1
                rows.append((f"lora_{count}", value))
                continue
            if not value or "textWidgetName" in value or (isinstance(kind, str) and _HEADER.search(kind)):
                continue
        rest.append(value)
    if count:
        rest = [value for value in rest if value not in (None, "")]
    return rows, rest
