"""Where an input really takes its value from: through everything that exists in the editor only.

Reroutes, primitives, set and get nodes, subgraph boundaries, bypassed nodes. Iterative, at most HOPS_LIMIT steps.
Source for the bypass: ComfyUI_frontend 1.47 (same slot if it fits, else the first input of the same type, else of a
type that can be connected).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.editor.broadcasting import Broadcasts
from memoryd.workflows.editor.drawing import BYPASSED, MUTED, Drawn, Origin, Slot
from memoryd.workflows.editor.expanding import Expanded, Placed

HOPS_LIMIT = 1_000
"""Steps from an input to the node that it takes from."""

STEPS_LIMIT = 500_000
"""Steps of one workflow, all inputs together; the longest real ones take below 5,000."""

_REROUTES = frozenset({"Reroute", "Reroute (rgthree)"})
_SETTERS = frozenset({"SetNode", "easy setNode"})
_GETTERS = frozenset({"GetNode", "easy getNode"})

_EDITOR_ONLY = re.compile(
    r"""^(?: Note | MarkdownNote | Note\ Plus.* | .*\bNote\ \(mtb\) | Sticky\ ?Note.* | Text\ Note.* | workflowNote
      | Label | Label\ \(rgthree\) | Bookmark\ \(rgthree\) | Node\ Collector\ \(rgthree\)
      | (?:Fast|Random|Mute|Bypass|Repeat)\b.*\(rgthree\)
      | .*\bFast\ (?:Muter|Bypasser|Groups\ Muter|Groups\ Bypasser|Actions\ Button)\b.*
      | ProjectNote | NoteNode | StickyNote | LabelNode | easy\ bookmark )$""",
    re.VERBOSE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands where a link was drawn: a primitive's, or a subgraph's own widget."""

    value: Json


@dataclasses.dataclass(frozen=True, slots=True)
class Own:
    """Nothing comes by the link, but the widget keeps its own value (a subgraph's input that nobody set)."""


Found = Origin | Literal | Own | None


def is_real(placed: Placed) -> bool:
    """Tell whether the node is sent to be executed: no helper of the editor, not muted, not bypassed."""
    drawn = placed.drawn
    return (
        placed.runs
        and placed.gives is None
        and placed.owner is None
        and drawn.mode not in (MUTED, BYPASSED)
        and not is_editor_only(drawn.type)
    )


def is_editor_only(class_type: str) -> bool:
    """Tell whether a class lives in the editor only."""
    return (
        class_type in _REROUTES
        or class_type in _SETTERS
        or class_type in _GETTERS
        or class_type == "PrimitiveNode"
        or _EDITOR_ONLY.match(class_type) is not None
    )


class Wiring:
    """The ways through one expanded workflow."""

    def __init__(self, expanded: Expanded) -> None:
        """Names that set nodes give are per canvas; get nodes also see those of the canvases around theirs."""
        self._nodes = expanded.nodes
        self._set: dict[tuple[str, str], Placed] = {}
        for placed in expanded.nodes.values():
            name = _constant(placed.drawn) if placed.drawn.type in _SETTERS else None
            if name is not None:
                self._set.setdefault((placed.scope, name), placed)
        self._broadcasts = Broadcasts(expanded)
        self._known: dict[Origin, Found] = {}
        self._steps = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether links were left out, since STEPS_LIMIT was met."""
        return self._steps >= STEPS_LIMIT

    def behind(self, placed: Placed, index: int) -> Found:
        """Return what the input takes: a real node's output, a literal, its own widget's value, or nothing."""
        slot = placed.inputs[index]
        origin = slot.origin
        if origin is None:
            origin = self._broadcasts.to(placed, index)
        return None if origin is None else self.follow(origin)

    def follow(self, origin: Origin) -> Found:
        """Return where a link really begins."""
        if origin not in self._known:
            self._known[origin] = self._followed(origin)
        return self._known[origin]

    def _followed(self, origin: Origin) -> Found:
        at: Found = origin
        for _ in range(HOPS_LIMIT):
            if not isinstance(at, tuple):
                return at
            placed = self._nodes.get(at[0])
            if placed is None or self.is_exhausted:
                return None
            if is_real(placed):
                return at
            self._steps += 1
            at = self._step(placed, at[1])
        return None

    def _step(self, placed: Placed, slot: int) -> Found:
        drawn = placed.drawn
        if placed.owner is not None:
            return self._handed_in(self._nodes[placed.owner], placed.takes, slot)
        if drawn.mode == MUTED:
            return None
        if drawn.mode == BYPASSED:
            return self._bypass(placed, slot)
        if placed.gives is not None:
            return placed.gives[slot] if slot < len(placed.gives) else None
        if drawn.type in _REROUTES or drawn.type in _SETTERS:
            return self._origin_of(placed, 0)
        if drawn.type == "PrimitiveNode":
            values = drawn.values
            return Literal(values[0]) if isinstance(values, list) and values else Own()
        if drawn.type in _GETTERS:
            setter = self._setter(placed.scope, _constant(drawn))
            return self._origin_of(setter, 0) if setter is not None else None
        return None

    def _origin_of(self, placed: Placed, index: int) -> Origin | None:
        if index >= len(placed.inputs):
            return None
        return placed.inputs[index].origin or self._broadcasts.to(placed, index)

    def _handed_in(self, outer: Placed, takes: tuple[str, ...], slot: int) -> Found:
        """What a subgraph's input gets: its link outside, or the value of its widget there."""
        name = takes[slot] if slot < len(takes) else None
        index = next((at for at, outside in enumerate(outer.inputs) if outside.name == name), None)
        if index is None and slot < len(outer.inputs) and not any(taken == outer.inputs[slot].name for taken in takes):
            index = slot
        origin = self._origin_of(outer, index) if index is not None else None
        if origin is not None:
            return origin
        if name is not None and name in outer.set_outside:
            return Literal(outer.set_outside[name])
        return Own()

    def _bypass(self, placed: Placed, slot: int) -> Origin | None:
        outputs, inputs = placed.drawn.outputs, placed.inputs
        kind = outputs[slot].type if slot < len(outputs) else "*"
        if slot < len(inputs) and _fits(inputs[slot].type, kind):
            return self._origin_of(placed, slot)
        exact = next((at for at, taken in enumerate(inputs) if taken.type == kind), None)
        if exact is None:
            exact = next((at for at, taken in enumerate(inputs) if _fits(taken.type, kind)), None)
        return self._origin_of(placed, exact) if exact is not None else None

    def _setter(self, scope: str, name: str | None) -> Placed | None:
        while name is not None:
            found = self._set.get((scope, name))
            if found is not None or not scope:
                return found
            outer = scope[:-1].rfind(":")
            scope = scope[: outer + 1]
        return None


def _constant(drawn: Drawn) -> str | None:
    """The name by which a set node and its get nodes belong together."""
    values = drawn.values
    first: Json = None
    if isinstance(values, Mapping):
        first = next(iter(values.values()), None)
    elif values:
        first = values[0]
    return first if isinstance(first, str) else None


def _fits(given: str, wanted: str) -> bool:
    """Tell whether litegraph connects the two types."""
    if given == wanted or given in ("*", "") or wanted in ("*", ""):
        return True
    return not set(given.lower().split(",")).isdisjoint(wanted.lower().split(","))


def sockets(placed: Placed) -> list[tuple[int, Slot]]:
    """Return the node's inputs that have a name, with their indexes."""
    return [(index, slot) for index, slot in enumerate(placed.inputs) if slot.name]
