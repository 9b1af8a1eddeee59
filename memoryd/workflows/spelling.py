"""A node spelled once, as identities and stored graphs need it, and remembered: most nodes come again in the next file.

What is remembered is looked up by the node itself, which is never changed; `graph_reading` hands out one node for equal
texts. So two pictures of one evening share all but the few nodes that hold a seed or a prompt.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from typing import Generic, TypeVar

from memoryd.foundation.canonical_json import Json, canonical_bytes
from memoryd.workflows.facts import Link, Node
from memoryd.workflows.recipe_v1 import NAME_CACHE_SIZE, Instance, instance_parameter

REMEMBERED_NODES = 2_048
"""Nodes of which each generation of a memory holds the spelling: about 2 KB each."""

REMEMBERED_SHAPES = 8_192

_INTEGRAL_LIMIT = 2**53

Key = TypeVar("Key")
Value = TypeVar("Value")
quoted = json.encoder.encode_basestring_ascii


class Remembered(Generic[Key, Value]):
    """A memory of bounded size: what was not asked for during a whole generation is forgotten. Not for two threads' counts,
    but safe under them: at worst a thing is made twice.
    """

    __slots__ = ("_limit", "_new", "_old")

    def __init__(self, limit: int) -> None:
        """At most twice `limit` things are held."""
        self._limit = limit
        self._new: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """Return what is remembered under a key."""
        found = self._new.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.keep(key, found)
        return found

    def keep(self, key: Key, value: Value) -> Value:
        """Remember a value, and return it."""
        if len(self._new) >= self._limit:
            self._old, self._new = self._new, {}
        self._new[key] = value
        return value


def spell(value: Json) -> str:
    """Return a literal as foundation.canonical_json spells it. Raises: NotCanonical, JsonTooDeep."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value):
        whole = value.is_integer() and abs(value) < _INTEGRAL_LIMIT
        return str(int(value)) if whole else float.__repr__(value)
    return canonical_bytes(value).decode("ascii")


@functools.lru_cache(NAME_CACHE_SIZE)
def inputs_of(class_type: str, names: tuple[str, ...]) -> tuple[tuple[str, str, Instance | None], ...]:
    """Return the inputs in the order of their names: name, the name as spelled, what the input says of one run."""
    return tuple([(name, quoted(name), instance_parameter(class_type, name)) for name in sorted(names)])


@functools.lru_cache(NAME_CACHE_SIZE)
def _digest(class_type: str, literals: str, link_part: str) -> bytes:
    return _digest_now(class_type, literals, link_part)


def _digest_now(class_type: str, literals: str, link_part: str) -> bytes:
    return hashlib.sha256(f"[{class_type},[{literals}],[{link_part}]]".encode("ascii")).digest()


def is_instance(value: Json, instance: Instance | None, mark: Instance | None) -> bool:
    """Tell whether a literal belongs to one run. `mark`: what a consumer says that its node's own values are."""
    if instance is not None:
        # Also lists and objects of texts; a number under a text's name is a setting, and a switch always is.
        return not isinstance(value, bool) and (instance is Instance.SEED or not isinstance(value, (int, float)))
    if mark is Instance.TEXT:
        return isinstance(value, str)
    return mark is Instance.SEED and isinstance(value, (int, float)) and not isinstance(value, bool)


class Spelled:
    """A node, spelled: literals in the order of names, links likewise. `links` are (name, link, what it says of one run).

    `head` is the beginning of the node's canonical form, up to its links. Nodes of one `shape` have one class, and take the
    same from the same nodes; `number` is the shape's own.
    """

    __slots__ = ("_link_part", "class_type", "exact", "head", "links", "literals", "node", "number", "workflow")

    def __init__(self, node: Node) -> None:
        """Raises: NotCanonical, JsonTooDeep."""
        inputs = node.inputs
        literals: list[tuple[str, str, Json, Instance | None]] = []
        links: list[tuple[str, Link, Instance | None]] = []
        pairs, told, linked = [], [], []
        shape: list[object] = [node.class_type]
        of_run = False
        for name, quoted_name, instance in inputs_of(node.class_type, tuple(inputs)):
            value = inputs[name]
            kind = value.__class__
            if isinstance(value, Link):
                links.append((name, value, instance))
                linked.append(f"[{quoted_name},{value.slot}]")
                shape += (name, value.node, value.slot)
                continue
            text = quoted(value) if type(value) is str else str(value) if kind is int else spell(value)
            literals.append((quoted_name, text, value, instance))
            pairs.append(f"{quoted_name}:{text}")
            told.append(f"[{quoted_name},{text}]")
            of_run = of_run or instance is not None
        self.node, self.literals, self.links = node, literals, links
        self.class_type = quoted(node.class_type)
        self._link_part = ",".join(linked)
        self.head = f"[{self.class_type},{{{','.join(pairs)}}},"
        self.exact = (_digest_now if told else _digest)(self.class_type, ",".join(told), self._link_part)
        self.number = _number(tuple(shape))
        # Where no input says anything of one run, nothing is left out at the level of workflows.
        self.workflow: dict[Instance | None, bytes] = {} if of_run else {None: self.exact}

    def refilled(self, node: Node, places: Sequence[tuple[int, str]]) -> Spelled:
        """Return the spelling of a node that differs in literals only, each of the type that it was. Raises: NotCanonical.

        `places` are those literals, as `place_of` names them, and their inputs.
        """
        other = Spelled.__new__(Spelled)
        other.node, other.class_type, other.links, other.number = node, self.class_type, self.links, self.number
        other._link_part = self._link_part
        other.literals = literals = self.literals.copy()
        alone = True
        for index, name in places:
            value = node.inputs[name]
            assert not isinstance(value, Link)
            quoted_name, _, _, instance = literals[index]
            text = quoted(value) if type(value) is str else spell(value)
            literals[index] = (quoted_name, text, value, instance)
            alone = alone and is_instance(value, instance, None)
        other.head = f"[{self.class_type},{{{','.join([f'{name}:{text}' for name, text, _, _ in literals])}}},"
        pairs = ",".join([f"[{name},{text}]" for name, text, _, _ in literals])
        other.exact = _digest_now(self.class_type, pairs, self._link_part)
        # Where all that differs belongs to one run, nothing differs at the level of workflows, whoever looks.
        other.workflow = self.workflow if alone else {}
        return other

    def place_of(self, name: str) -> int:
        """Return which of the literals is that of an input."""
        wanted = quoted(name)
        return next(index for index, literal in enumerate(self.literals) if literal[0] == wanted)

    def cut_at(self, places: Sequence[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what `exact` is the digest of, and `head`, each cut where these literals stand (in order)."""
        told, head = [f"[{self.class_type},["], [f"[{self.class_type},{{"]
        for index, (name, text, _, _) in enumerate(self.literals):
            comma = "," if index else ""
            told[-1] += f"{comma}[{name},"
            head[-1] += f"{comma}{name}:"
            if index in places:
                told.append("]")
                head.append("")
            else:
                told[-1] += f"{text}]"
                head[-1] += text
        told[-1] += f"],[{self._link_part}]]"
        head[-1] += "},"
        return tuple(told), tuple(head)

    def at_workflow(self, mark: Instance | None) -> bytes:
        """Return the digest without what belongs to one run (32 bytes)."""
        digest = self.workflow.get(mark)
        if digest is None:
            alone = [is_instance(value, instance, mark) for _, _, value, instance in self.literals]
            if not any(alone):
                digest = self.exact
            else:
                kept = [
                    f"[{name}]" if of_run else f"[{name},{text}]"
                    for of_run, (name, text, _, _) in zip(alone, self.literals, strict=True)
                ]
                digest = _digest(self.class_type, ",".join(kept), self._link_part)
            self.workflow[mark] = digest
        return digest

    def at_structure(self) -> bytes:
        """Return the digest of class and links (32 bytes)."""
        return _digest(self.class_type, "", self._link_part)


_numbers: Remembered[tuple[object, ...], int] = Remembered(REMEMBERED_SHAPES)
_next_number = itertools.count()


def _number(shape: tuple[object, ...]) -> int:
    number = _numbers.get(shape)
    # Never the same number for two shapes: one that was forgotten is given a new one.
    return _numbers.keep(shape, next(_next_number)) if number is None else number


_spelled: Remembered[int, Spelled] = Remembered(REMEMBERED_NODES)


def spelled(node: Node) -> Spelled:
    """Return a node's spelling. Raises: NotCanonical, JsonTooDeep."""
    known = _spelled.get(id(node))
    # What is remembered holds its node, so that a number found here can only be another node's after it was forgotten.
    if known is not None and known.node is node:
        return known
    return _spelled.keep(id(node), Spelled(node))
