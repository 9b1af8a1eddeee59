"""The values that this room of the room hands out: orders of widgets, and a converted graph."""

from __future__ import annotations

import dataclasses
import enum

from memoryd.foundation.findings import Finding
from memoryd.workflows.facts import Graph


class Kind(enum.StrEnum):
    """What a widget holds; one letter, as in the shipped table."""

    INT = "i"
    FLOAT = "f"
    NUMBER = "n"
    TEXT = "s"
    PROSE = "d"
    """A text from which the frontend takes comments before it sends it."""
    BOOL = "b"
    COMBO = "c"
    ANY = "a"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Widget:
    """One widget of a class: the input it sets, and what it holds."""

    name: str
    kind: Kind = Kind.ANY


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WidgetOrder:
    """The widgets of a class in the order in which the editor writes their values.

    Without the values that are the editor's own (`control_after_generate`, the button of an upload). `seen`: files that
    taught it. A class has several orders where its versions differ.
    """

    class_type: str
    widgets: tuple[Widget, ...]
    seen: int = 1

    @property
    def shape(self) -> str:
        """The names and kinds in one text: what tells a class's orders apart."""
        return spelled(self.widgets)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """An editor's graph as a prompt. `guessed`: ids of the nodes whose inputs got usual names, since nobody knows theirs.

    `learned`: orders that the graph itself tells (newer frontends name every widget).
    """

    graph: Graph | None
    findings: tuple[Finding, ...] = ()
    learned: tuple[WidgetOrder, ...] = ()
    guessed: frozenset[str] = frozenset()


def spelled(widgets: tuple[Widget, ...]) -> str:
    """Return the one text of an order: `kind name` per line, which no name of an input contains."""
    return "\n".join(f"{widget.kind.value} {widget.name}" for widget in widgets)


def from_spelling(text: str) -> tuple[Widget, ...]:
    """Return the widgets of such a text; a line that is none is left out."""
    found = []
    for line in text.split("\n"):
        letter, space, name = line.partition(" ")
        if space and name and letter in _LETTERS:
            found.append(Widget(name=name, kind=Kind(letter)))
    return tuple(found)


_LETTERS = frozenset(kind.value for kind in Kind)
