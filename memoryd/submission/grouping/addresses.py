"""Naming an input of a graph: `6.text` by its node's id, `Positive prompt.text` by its node's title."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.texts import storable

LISTED_LIMIT = 10
"""Names that a refusal lists."""


class InputNotFound(NotAcceptable):
    """The graph has no such input."""


class TitleAmbiguous(NotAcceptable):
    """Several nodes have this title."""


class InputIsLinked(NotAcceptable):
    """This input takes what another node makes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An input of a node. `text` is how it was named."""

    node: str
    input: str
    text: str


def find_input(document: Mapping[str, Any], text: str) -> Address:
    """Return the input that a name means in a graph (API format).

    Ids come before titles, and the shorter before the longer: inputs have dots of their own (`format.bit_depth`).
    Raises: InputNotFound, TitleAmbiguous, InputIsLinked.
    """
    for node, name in _splits(text):
        if name in _inputs(document.get(node)):
            return _address(document, node, name, text)
    for title, name in _splits(text):
        nodes = [id_ for id_, node in document.items() if _title(node) == title and name in _inputs(node)]
        if len(nodes) > 1:
            raise TitleAmbiguous(
                _shown(f"{title!r}"), hint=f"name one of them by its id: {', '.join(f'{one}.{name}' for one in nodes)}"
            )
        if nodes:
            return _address(document, nodes[0], name, text)
    raise InputNotFound(_shown(repr(text)), hint=_shown(_alternatives(document, text)))


def _splits(text: str) -> Iterator[tuple[str, str]]:
    parts = text.split(".")
    for place in range(1, len(parts)):
        yield ".".join(parts[:place]), ".".join(parts[place:])


def _address(document: Mapping[str, Any], node: str, name: str, text: str) -> Address:
    if isinstance(_inputs(document[node])[name], list):
        above = _inputs(document[node])[name]
        raise InputIsLinked(
            _shown(repr(text)), hint=_shown(f"name an input of node {above[0] if above else '?'}, where it comes from")
        )
    return Address(node=node, input=name, text=text)


def _alternatives(document: Mapping[str, Any], text: str) -> str:
    node = text.partition(".")[0]
    if node in document:
        names = [name for name, value in _inputs(document[node]).items() if not isinstance(value, list)]
        return f"node {node} has {', '.join(names[:LISTED_LIMIT]) or 'no inputs of its own'}"
    known = [
        f"{id_} ({_title(one) or one.get('class_type')})" for id_, one in document.items() if isinstance(one, dict)
    ]
    return f"the graph has {', '.join(known[:LISTED_LIMIT])}"


def _inputs(node: Any) -> Mapping[str, Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _title(node: Any) -> str | None:
    meta = node.get("_meta") if isinstance(node, dict) else None
    title = meta.get("title") if isinstance(meta, dict) else None
    return title if isinstance(title, str) else None


def _shown(text: str) -> str:
    return storable(text)[0][:1_000]
