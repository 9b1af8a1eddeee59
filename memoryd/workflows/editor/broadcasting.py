"""Links that nobody drew: "Anything Everywhere" nodes give what they take to every open input that it fits.

Newer versions write the implied links into the file (`extra.ue_links`); for older ones the rule is followed: same type,
open input, and where the node says so, names that match its patterns. Source: cg-use-everywhere 4 to 7.
"""

from __future__ import annotations

import dataclasses
import re

from memoryd.workflows.editor.drawing import BYPASSED, MUTED, Drawn, Origin
from memoryd.workflows.editor.expanding import Expanded, Placed

_PLAIN = frozenset({"Anything Everywhere", "Anything Everywhere3", "Anything Everywhere?"})
_SENDERS = _PLAIN | {"Seed Everywhere", "Prompts Everywhere"}

PATTERN_LIMIT = 200
"""Characters of a pattern that a node may carry; only plain words and alternatives of them are matched."""

WORDS_LIMIT = 20
"""Alternatives of one pattern that are looked for."""

_POSITIVE, _NEGATIVE = re.compile(r"(?:_|\b)pos|^prompt", re.IGNORECASE), re.compile(r"(?:_|\b)neg", re.IGNORECASE)
_SEED = re.compile(r"seed|随机种", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class _Sender:
    """One thing that is given to all."""

    origin: Origin
    type: str
    title: str = ""
    input: str = ""
    names: re.Pattern[str] | None = None


class Broadcasts:
    """The implied links of one expanded workflow."""

    def __init__(self, expanded: Expanded) -> None:
        """The senders are gathered once per canvas."""
        self._drawings = expanded.drawings
        self._tries = 0
        self._senders: dict[tuple[str, str], list[_Sender]] = {}
        for placed in expanded.nodes.values():
            if placed.drawn.type in _SENDERS and placed.drawn.mode not in (MUTED, BYPASSED):
                for sender in _senders(placed, expanded):
                    self._senders.setdefault((placed.scope, sender.type), []).append(sender)

    def to(self, placed: Placed, index: int) -> Origin | None:
        """Return where the implied link of an open input begins, if it has one."""
        drawing = self._drawings.get(placed.scope)
        if drawing is None:
            return None
        if drawing.tells_broadcasts:
            origin = drawing.broadcasts.get((placed.drawn.id, index))
            return None if origin is None else (placed.scope + origin[0], origin[1])
        slot = placed.inputs[index]
        if placed.drawn.type in _SENDERS or (slot.widget is not None and drawing.is_new):
            return None
        for sender in self._senders.get((placed.scope, slot.type), ())[:_TRIED_LIMIT]:
            self._tries += 1
            if self._tries > TRIES_LIMIT:
                return None
            if _reaches(sender, placed.drawn, slot.name):
                return sender.origin
        return None


TRIES_LIMIT = 50_000
"""Comparisons of one workflow; the largest real one makes 2,000."""

_TRIED_LIMIT = 10
"""Senders of one type that one input is compared with."""


def _senders(placed: Placed, expanded: Expanded) -> list[_Sender]:
    drawn = placed.drawn
    if drawn.type == "Seed Everywhere":
        return [_Sender((placed.id, 0), "INT", names=_SEED)]
    title, name = _patterns(drawn)
    found = []
    for index, slot in enumerate(placed.inputs):
        if slot.origin is None:
            continue
        names = (_POSITIVE if index == 0 else _NEGATIVE) if drawn.type == "Prompts Everywhere" else None
        found.append(_Sender(slot.origin, _type_of(slot.origin, slot.type, expanded), title, name, names))
    return found


def _type_of(origin: Origin, otherwise: str, expanded: Expanded) -> str:
    source = expanded.nodes.get(origin[0])
    if source is not None and origin[1] < len(source.drawn.outputs):
        return source.drawn.outputs[origin[1]].type
    return otherwise


def _patterns(drawn: Drawn) -> tuple[str, str]:
    """The patterns on titles and on inputs of the node with a question mark."""
    values = drawn.values
    if drawn.type != "Anything Everywhere?" or not isinstance(values, list):
        return "", ""
    words = [value if isinstance(value, str) else "" for value in [*values[:2], "", ""]]
    return words[0], words[1]


def _reaches(sender: _Sender, drawn: Drawn, name: str) -> bool:
    if sender.names is not None and not sender.names.search(name):
        return False
    return _matches(sender.title, drawn.title or drawn.type) and _matches(sender.input, name)


def _matches(pattern: str, text: str) -> bool:
    """Tell whether one of the pattern's words stands in the text. Patterns of strangers are never compiled."""
    bare = pattern[:PATTERN_LIMIT].replace(".*", "").strip()
    if not bare or bare == ".":
        return True
    return any(word.strip("^$()") in text for word in bare.split("|")[:WORDS_LIMIT])
