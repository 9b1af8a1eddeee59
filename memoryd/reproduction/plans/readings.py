"""What a workflow needs and may bring, read once for all its pictures: they differ in seeds, texts and input files alone."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import MemorydError
from memoryd.reproduction.facts import Cause
from memoryd.reproduction.forewarning import forewarn
from memoryd.submission.graph_needs import read_prompt
from memoryd.workflows.graph_reading import parse_graph

KEPT_LIMIT = 20_000
"""Readings that a process remembers: some hundred bytes each."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A workflow under one environment. `models` are (folder, name); `missing`: why it cannot be read, and nothing else."""

    classes: frozenset[str] = frozenset()
    models: tuple[tuple[str, str], ...] = ()
    notices: tuple[Cause, ...] = ()
    missing: tuple[Cause, ...] = ()


_kept: OrderedDict[tuple[bytes, bytes], Reading] = OrderedDict()
_lock = threading.Lock()


def remembered(workflow: bytes, environment: bytes | None) -> Reading | None:
    """Return the reading of a workflow (its digest) under an environment (its hash), if it was read before.

    Both name their content, so that a reading is right for ever.
    """
    with _lock:
        return _kept.get((workflow, environment or b""))


def keep(workflow: bytes, environment: bytes | None, reading: Reading) -> None:
    """Remember a reading."""
    with _lock:
        _kept[workflow, environment or b""] = reading
        while len(_kept) > KEPT_LIMIT:
            _kept.popitem(last=False)


def read(raw: bytes, environment: Mapping[str, Json] | None) -> Reading:
    """Return what a prompt document needs and may bring."""
    graph, findings = parse_graph(raw)
    if graph is None:
        return Reading(missing=(unreadable([finding.detail for finding in findings]),))
    try:
        needs = read_prompt(raw.decode("utf-8", "surrogatepass")).needs
        classes, models = needs.classes, needs.models
    except MemorydError:
        classes, models = frozenset(node.class_type for node in graph.nodes.values()), ()
    return Reading(classes=classes, models=models, notices=forewarn(graph, environment))


def unreadable(details: Sequence[str]) -> Cause:
    """Return what to say of a graph that cannot be read."""
    return Cause(code="graph-unreadable", detail="; ".join(details) or "the graph cannot be read")
