"""Switches: nodes that let one of several inputs through. Which one is known where the selector is, else none is chosen."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.facts import Link, Value
from memoryd.workflows.recipe_v1 import NAME_CACHE_SIZE, class_words

_SWITCH_WORDS = frozenset(
    (
        "switch", "switcher", "mux", "selector", "branch", "if", "else", "ifelse", "conditional", "multiplexer", "condition",
        "boolean", "bool", "logic", "toggle", "ternary", "choose", "choice", "either",
    )
)  # fmt: skip
_NO_SWITCH_WORDS = frozenset(("sampler", "loader", "scheduler", "aspect", "resolution", "size", "primitive"))
_SELECTORS = (
    "select", "index", "input", "selected", "switch", "selection", "selected_index", "choice", "which", "source", "selector",
    "select_index", "num", "number",
)  # fmt: skip
_CONDITIONS = ("switch", "boolean", "condition", "cond", "bool", "boolean_number", "expression", "any", "if", "value")
_NUMBERED = re.compile(r"^(.*?)[_ ]?0*(\d+)$")
_WORDS = re.compile(r"[a-z]+")
_TRUE = frozenset(("true", "tt", "yes"))
_FALSE = frozenset(("false", "ff", "no"))
_DIGITS = re.compile(r"\d+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A node's branches by the value that chooses each. `selector` None: the first branch that is connected counts."""

    selector: str | None
    branches: Mapping[object, str]

    def chosen(self, inputs: Mapping[str, Value], position: Json) -> str | None:
        """Return the input that is let through, None where that is not known. `position` is the selector's literal."""
        if self.selector is None:
            return next((name for name in self.branches.values() if isinstance(inputs.get(name), Link)), None)
        if isinstance(position, str):
            found = next((name for name in self.branches.values() if name.lower() == position.lower()), None)
            if found is not None:
                return found
            if True in self.branches and position.lower() in ("true", "false"):
                return self.branches[position.lower() == "true"]
            digits = _DIGITS.findall(position)
            return self.branches.get(int(digits[0])) if len(digits) == 1 and len(digits[0]) < 6 else None
        if isinstance(position, (bool, int, float)):
            return self.branches.get(bool(position) if True in self.branches and 2 not in self.branches else position)
        return None


@functools.lru_cache(NAME_CACHE_SIZE)
def may_switch(class_type: str) -> bool:
    """Tell whether the class is called as switches are."""
    words = class_words(class_type)
    return not words.isdisjoint(_SWITCH_WORDS) and words.isdisjoint(_NO_SWITCH_WORDS)


@functools.lru_cache(NAME_CACHE_SIZE)
def switch_of(class_type: str, names: tuple[str, ...]) -> Switch | None:
    """Return how a node of this class with these inputs switches, or None where it does not, or not by any known way."""
    if not may_switch(class_type):
        return None
    sides: dict[bool, str] = {}
    for name in names:
        words = set(_WORDS.findall(name.lower()))
        if words & _TRUE:
            sides.setdefault(True, name)
        elif words & _FALSE:
            sides.setdefault(False, name)
    if len(sides) == 2:
        others = [name for name in names if name not in sides.values()]
        selector = next((name for name in others if name.lower() in _CONDITIONS), None)
        if selector is None and len(others) == 1:
            selector = others[0]
        return (
            Switch(selector=selector, branches={True: sides[True], False: sides[False]})
            if selector is not None
            else None
        )
    return _lettered(names) or _numbered(class_type, names)


def _lettered(names: tuple[str, ...]) -> Switch | None:
    """WAS' way: `text_a` where `boolean` is true, else `text_b`."""
    selector = next((name for name in names if name.lower() in ("boolean", "boolean_number", "bool")), None)
    first = next((name for name in names if name.lower().endswith("_a")), None)
    second = None if first is None else next((n for n in names if n.lower() == f"{first[:-2].lower()}_b"), None)
    if selector is None or first is None or second is None:
        return None
    return Switch(selector=selector, branches={True: first, False: second})


def _numbered(class_type: str, names: tuple[str, ...]) -> Switch | None:
    """Branches told by their numbers: Impact's `input1`, CR's `text2`, rgthree's `any_01` (the first that is there)."""
    groups: dict[str, dict[object, str]] = {}
    for name in names:
        found = _NUMBERED.match(name)
        if found is not None and len(found[2]) < 6:
            groups.setdefault(found[1], {})[int(found[2])] = name
    if not groups:
        return None
    prefix = max(groups, key=lambda key: len(groups[key]))
    selector = next(
        (name for name in names if name.lower() in _SELECTORS and name not in groups[prefix].values()), None
    )
    if selector is None and not (prefix.lower() == "any" or "any switch" in class_type.lower()):
        return None
    return Switch(
        selector=selector, branches=dict(sorted(groups[prefix].items(), key=lambda item: str(item[0]).zfill(6)))
    )
