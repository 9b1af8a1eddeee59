"""Documents and graphs made ready to be stored, without a database: what costs time is done where the file is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from isal import isal_zlib

from memoryd.comfyui.specs import NodeSpecs
from memoryd.plugin_api.facts import DocumentKind
from memoryd.workflows.facts import RECIPE, Graph, NodeValue, PreparedDocument, PreparedGraph
from memoryd.workflows.identity import identify
from memoryd.workflows.node_values import node_values
from memoryd.workflows.spelling import Remembered, Spelled

_LEVEL = 1
"""Of the four levels of igzip the one that packs as well as zlib's own first level, three times as fast (measured)."""

REMEMBERED_WORKFLOWS = 512
"""Workflows whose searchable values are remembered: about 5 KB each."""

_values: Remembered[bytes, tuple[NodeValue, ...]] = Remembered(REMEMBERED_WORKFLOWS)


def packed(raw: bytes) -> bytes:
    """Return the bytes as they are stored: zlib's format, made by a faster compressor than zlib's."""
    return isal_zlib.compress(raw, _LEVEL)


def prepare_document(kind: DocumentKind, key: str, raw: bytes) -> PreparedDocument:
    """Return a verbatim text ready to be stored."""
    return PreparedDocument(sha256=hashlib.sha256(raw).digest(), kind=kind, key=key, raw=raw, packed=packed(raw))


def prepare_graph(
    graph: Graph, specs: NodeSpecs | None = None, nodes: Sequence[Spelled] | None = None
) -> PreparedGraph:
    """Return a graph ready to be stored: identities, searchable values. `nodes` as for identify. Raises as identify."""
    identities = identify(graph, specs, nodes)
    known = _values.get(identities.workflow) if identities.recipe == RECIPE else None
    if known is None:
        known = node_values(graph)
        if identities.recipe == RECIPE:
            # All graphs of one workflow have the same values.
            _values.keep(identities.workflow, known)
    return PreparedGraph(identities=identities, values=known, packed=packed(identities.canonical))
