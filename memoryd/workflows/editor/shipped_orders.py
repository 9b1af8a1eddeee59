"""The shipped table of widget orders: ComfyUI's own classes and those of common packs.

Names of classes and of their inputs are facts of the programs that are asked: made from a ComfyUI's node specifications,
from what packs declare, and from files that carry both the editor's graph and the prompt. Form of `widget_orders.json`:
class -> list of orders, each one text of `kind name` lines (editor.facts).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from importlib import resources

from memoryd.workflows.editor.facts import Widget, from_spelling


class _Orders(Mapping[str, "tuple[tuple[Widget, ...], ...]"]):
    """Orders by class, read from their spelling when they are first asked for."""

    def __init__(self, spelled: dict[str, list[str]]) -> None:
        self._spelled = spelled
        self._read: dict[str, tuple[tuple[Widget, ...], ...]] = {}

    def __getitem__(self, class_type: str) -> tuple[tuple[Widget, ...], ...]:
        known = self._read.get(class_type)
        if known is None:
            known = self._read[class_type] = tuple(from_spelling(text) for text in self._spelled[class_type])
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(self._spelled)

    def __len__(self) -> int:
        return len(self._spelled)

    def __contains__(self, class_type: object) -> bool:
        return class_type in self._spelled


@functools.cache
def shipped_orders() -> Mapping[str, tuple[tuple[Widget, ...], ...]]:
    """Return the shipped orders by class; the table is read once in a process."""
    text = resources.files("memoryd.workflows.editor").joinpath("widget_orders.json").read_text("utf-8")
    return _Orders(json.loads(text))
