"""Prefixes of file names that point at other widgets: `%KSampler.seed%` is what the node of that name has there.

Only the two words between percent signs are resolved; a date's pattern stays as it is, since nobody knows when it was.
Source: ComfyUI_frontend 1.47, applyTextReplacements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.editor.expanding import Placed

_POINTER = re.compile(r"%([^%.\n]{1,200})\.([^%.\n]{1,200})%")

_UNFIT = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
"""Characters that the frontend replaces by an underscore, since the value becomes part of a file's name."""

_PREFIX = "filename_prefix"

TEXT_LIMIT = 1_000
"""Characters of a prefix in which pointers are resolved."""


def resolve_prefixes(placed: Iterable[Placed], prompt: Mapping[str, Json]) -> None:
    """Resolve the pointers in the prompt's prefixes, in place. `placed`: the drawn nodes, to find them by their names."""
    pointing = []
    for node in prompt.values():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        prefix = inputs.get(_PREFIX) if isinstance(inputs, dict) else None
        if isinstance(inputs, dict) and isinstance(prefix, str) and len(prefix) <= TEXT_LIMIT and "%" in prefix:
            pointing.append(inputs)
    if not pointing:
        return
    by_name: dict[str, Json] = {}
    for drawn in placed:
        for known in (drawn.drawn.properties.get("Node name for S&R"), drawn.drawn.title):
            if isinstance(known, str):
                by_name.setdefault(known, _widgets(drawn, prompt))
    for inputs in pointing:
        inputs[_PREFIX] = _POINTER.sub(lambda match: _value(match, by_name), str(inputs[_PREFIX]))


def _widgets(node: Placed, prompt: Mapping[str, Json]) -> Json:
    sent = prompt.get(node.id)
    inputs = sent.get("inputs") if isinstance(sent, dict) else None
    if inputs is None and isinstance(node.drawn.values, list):
        # A helper of the editor (a primitive) is not sent; its one value goes by any name.
        return {"value": node.drawn.values[0]} if node.drawn.values else {}
    return inputs


def _value(match: re.Match[str], by_name: Mapping[str, Json]) -> str:
    widgets = by_name.get(match.group(1))
    if not isinstance(widgets, dict):
        return match.group(0)
    value = widgets.get(match.group(2))
    if value is None and set(widgets) == {"value"}:
        value = widgets["value"]
    if isinstance(value, (bool, list, dict)) or value is None:
        return match.group(0)
    return _UNFIT.sub("_", str(value)[:TEXT_LIMIT])
