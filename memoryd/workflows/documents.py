"""Keeping documents and graphs, and getting them back: for batches, idempotent, by the order of their keys."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

from memoryd.foundation.canonical_json import Json, read_json
from memoryd.foundation.copying import copy_ready
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import new_id
from memoryd.workflows import queries
from memoryd.workflows.facts import Graph, Link, Node, PreparedDocument, PreparedGraph, Value
from memoryd.workflows.preparing import packed
from memoryd.workflows.ready_rows import (
    DOCUMENT_COLUMNS,
    GRAPH_COLUMNS,
    IDENTITY_COLUMNS,
    KEPT_LEVELS,
    VALUE_COLUMNS,
    ReadyDocument,
    ReadyGraph,
)


class DocumentNotFound(NotFound):
    """This document is not kept."""


class GraphNotFound(NotFound):
    """This graph is not known."""


def keep_documents(session: Session, documents: Iterable[PreparedDocument]) -> None:
    """Keep verbatim texts, each once however often it comes."""
    unique = {document.sha256: document for document in documents}
    rows = [unique[sha256] for sha256 in sorted(unique)]
    if rows:
        values: queries.Columns = {
            "sha256": [row.sha256 for row in rows],
            "kind": [row.kind.value for row in rows],
            "packed": [row.packed or packed(row.raw) for row in rows],
            "size": [len(row.raw) for row in rows],
        }
        queries.insert_documents(session, values)


def keep_graphs(session: Session, graphs: Iterable[PreparedGraph]) -> None:
    """Keep graphs with their identities, their workflows and the workflows' searchable values, each once."""
    unique = {graph.identities.exact: graph for graph in graphs}
    rows = [unique[exact] for exact in sorted(unique)]
    if not rows:
        return
    values: queries.Columns = {
        "exact": [row.identities.exact for row in rows],
        "recipe": [row.identities.recipe for row in rows],
        "canonical": [row.packed or packed(row.identities.canonical) for row in rows],
        "nodes": [row.identities.node_count for row in rows],
    }
    queries.insert_graphs(session, values)
    levels = [(row, level) for row in rows for level in KEPT_LEVELS]
    values = {
        "exact": [row.identities.exact for row, _ in levels],
        "level": [level.value for _, level in levels],
        "recipe": [row.identities.recipe for row, _ in levels],
        "digest": [getattr(row.identities, level.value) for row, level in levels],
    }
    queries.insert_identities(session, values)
    _keep_workflows(session, {row.identities.workflow: row for row in rows})


def keep_ready(session: Session, documents: Iterable[ReadyDocument], graphs: Iterable[ReadyGraph]) -> None:
    """Keep documents and graphs that were made rows where they were read, each once.

    Raises: RowExists where another transaction was faster with one of them: then this one is to be given up.
    """
    texts = {document.sha256: document for document in documents}
    known = queries.list_documents(session, texts) if texts else set()
    fresh = [texts[sha256] for sha256 in sorted(texts.keys() - known)]
    copy_ready(session, "document", DOCUMENT_COLUMNS, [document.line for document in fresh])
    by_exact = {graph.exact: graph for graph in graphs}
    if not by_exact:
        return
    unknown = [by_exact[exact] for exact in sorted(by_exact.keys() - queries.list_known_graphs(session, by_exact))]
    copy_ready(session, "graph", GRAPH_COLUMNS, [graph.graph for graph in unknown])
    copy_ready(session, "graph_identity", IDENTITY_COLUMNS, [graph.identities for graph in unknown])
    by_workflow = {graph.workflow: graph for graph in unknown}
    new = _insert_workflows(session, {digest: graph.recipe for digest, graph in by_workflow.items()})
    copy_ready(session, "node_value", VALUE_COLUMNS, [by_workflow[digest].values for digest in new])


def _insert_workflows(session: Session, recipes: Mapping[bytes, str]) -> list[bytes]:
    digests = sorted(recipes)
    workflows: queries.Columns = {
        "id": [new_id() for _ in digests],
        "digest": digests,
        "recipe": [recipes[digest] for digest in digests],
        "name": [f"workflow {digest.hex()[:8]}" for digest in digests],
    }
    # Whoever writes a workflow's row writes its values in the same transaction: known workflows have theirs.
    return queries.insert_workflows(session, workflows) if digests else []


def _keep_workflows(session: Session, by_digest: Mapping[bytes, PreparedGraph]) -> None:
    fresh = _insert_workflows(session, {digest: graph.identities.recipe for digest, graph in by_digest.items()})
    rows = [
        (bytes(digest), ordinal, value)
        for digest in fresh
        for ordinal, value in enumerate(by_digest[bytes(digest)].values)
    ]
    if rows:
        values: queries.Columns = {
            "workflow": [digest for digest, _, _ in rows],
            "ordinal": [ordinal for _, ordinal, _ in rows],
            "class_type": [value.class_type for _, _, value in rows],
            "input": [value.input for _, _, value in rows],
            "number": [value.number for _, _, value in rows],
            "text": [value.text for _, _, value in rows],
        }
        queries.insert_values(session, values)


def load_document(session: Session, sha256: bytes) -> bytes:
    """Return a text exactly as it was in its file. Raises: DocumentNotFound."""
    found = load_documents(session, [sha256])
    if sha256 not in found:
        raise DocumentNotFound(f"no document {sha256.hex()[:12]}")
    return found[sha256]


def load_documents(session: Session, sha256s: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the texts that are kept of those asked for, by their SHA-256."""
    return {sha256: zlib.decompress(content) for sha256, content in queries.find_documents(session, sha256s).items()}


def load_canonical(session: Session, exact: bytes) -> bytes:
    """Return a graph's canonical JSON. Raises: GraphNotFound."""
    found = queries.find_canonical(session, exact)
    if found is None:
        raise GraphNotFound(f"no graph {exact.hex()[:12]}")
    return zlib.decompress(found)


def load_graph(session: Session, exact: bytes) -> Graph:
    """Return a graph as it was executed. Its ids are canonical numbers: those of the file are in its document.

    Raises: GraphNotFound.
    """
    return graph_of_canonical(load_canonical(session, exact))


def graph_of_canonical(canonical: bytes) -> Graph:
    """Return the graph that a canonical form spells; its identities are those of the graph it was made of."""
    document = read_json(canonical)
    assert isinstance(document, dict)
    spelled = document["nodes"]
    assert isinstance(spelled, list)
    nodes: dict[str, Node] = {}
    for number, node in enumerate(spelled):
        assert isinstance(node, list)
        class_type, literals, links = node
        assert isinstance(class_type, str)
        assert isinstance(literals, dict)
        assert isinstance(links, dict)
        inputs: dict[str, Value] = {**literals, **{name: _link(link) for name, link in links.items()}}
        nodes[str(number)] = Node(id=str(number), class_type=class_type, inputs=inputs)
    return Graph(nodes=nodes)


def _link(spelled: Json) -> Link:
    assert isinstance(spelled, list)
    node, slot = spelled
    assert isinstance(slot, int)
    return Link(node=str(node), slot=slot)
