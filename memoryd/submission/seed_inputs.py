"""Which input of a graph is its seed: where another number makes another picture. No database."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.parameters import read_parameters

SEED_NAMES = ("seed", "noise_seed")
"""Source: ComfyUI 0.29: KSampler, KSamplerAdvanced, SamplerCustom, RandomNoise."""
LINK_NAMES = (*SEED_NAMES, "noise", "value", "int", "number", "INT")
"""Through which a sampler gets its seed from another node, and what that one calls it."""
LINKS_LIMIT = 10
"""Nodes between a sampler and its seed."""
SEED_RANGE = 2**53
"""Fresh seeds stay below: editors that keep numbers as doubles change greater ones."""


def find_seed_input(document: Mapping[str, Any]) -> str | None:
    """Return the input that is the graph's seed, as `node.input`; None where the graph has none of its own.

    The last sampler's before the saved picture, else the first there is.
    """
    graph, _ = parse_graph(json.dumps(document).encode("utf-8", "surrogatepass"))
    samplers = read_parameters(graph).samplers if graph is not None else ()
    for node in [use.node for use in reversed(samplers)]:
        found = _behind(document, node, (*SEED_NAMES, "noise"), LINKS_LIMIT)
        if found is not None:
            return found
    for node in document:
        found = _own(document, node, SEED_NAMES)
        if found is not None:
            return found
    return None


def fresh_seeds(count: int) -> tuple[int, ...]:
    """Return different seeds, drawn at random."""
    drawn: set[int] = set()
    while len(drawn) < count:
        drawn.add(secrets.randbelow(SEED_RANGE))
    return tuple(drawn)


def _behind(document: Mapping[str, Any], node: str, names: Sequence[str], links: int) -> str | None:
    own = _own(document, node, names)
    if own is not None or links == 0:
        return own
    inputs = _inputs(document, node)
    for name in names:
        link = inputs.get(name)
        if isinstance(link, list) and link and isinstance(link[0], str):
            return _behind(document, link[0], LINK_NAMES, links - 1)
    return None


def _own(document: Mapping[str, Any], node: str, names: Sequence[str]) -> str | None:
    inputs = _inputs(document, node)
    for name in names:
        value = inputs.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return f"{node}.{name}"
    return None


def _inputs(document: Mapping[str, Any], node: str) -> Mapping[str, Any]:
    found = document.get(node)
    inputs = found.get("inputs") if isinstance(found, dict) else None
    return inputs if isinstance(inputs, dict) else {}
