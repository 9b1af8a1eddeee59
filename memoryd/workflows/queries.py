"""Every statement on documents, graphs, workflows and node values. Writes are for batches, idempotent and ordered.

Two recorders may bring the same rows at once: rows go in by the order of their key, so that neither waits for the other
in a circle.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select, text, update

from memoryd.foundation.canonical_json import Json, read_json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import WorkflowId, new_id
from memoryd.foundation.texts import storable
from memoryd.workflows.facts import (
    RECIPE,
    Graph,
    Level,
    Link,
    Node,
    PreparedDocument,
    PreparedGraph,
    StoredWorkflow,
    Value,
)
from memoryd.workflows.preparing import packed
from memoryd.workflows.tables import Document, GraphIdentity, StoredGraph, Workflow

_KEPT_LEVELS = (Level.WORKFLOW, Level.STRUCTURE)
"""The exact digest is the graph's own key."""

WORKFLOW_NAME_LIMIT = 200
"""Characters of a workflow's name."""


class DocumentNotFound(NotFound):
    """This document is not kept."""


class GraphNotFound(NotFound):
    """This graph is not known."""


class WorkflowNotFound(NotFound):
    """This workflow is not known."""


_INSERT_DOCUMENTS = text(
    """
    insert into document (sha256, kind, packed, raw_size)
    select * from unnest(cast(:sha256 as bytea[]), cast(:kind as text[]), cast(:packed as bytea[]), cast(:size as int[]))
    on conflict do nothing
    """
)
_INSERT_GRAPHS = text(
    """
    insert into graph (exact, recipe, canonical, node_count)
    select * from unnest(cast(:exact as bytea[]), cast(:recipe as text[]), cast(:canonical as bytea[]), cast(:nodes as int[]))
    on conflict do nothing
    """
)
_INSERT_IDENTITIES = text(
    """
    insert into graph_identity (exact, level, recipe, digest)
    select * from unnest(cast(:exact as bytea[]), cast(:level as text[]), cast(:recipe as text[]), cast(:digest as bytea[]))
    on conflict do nothing
    """
)
_INSERT_WORKFLOWS = text(
    """
    insert into workflow (id, digest, recipe, name)
    select * from unnest(cast(:id as uuid[]), cast(:digest as bytea[]), cast(:recipe as text[]), cast(:name as text[]))
    on conflict (digest, recipe) do nothing
    returning digest
    """
)
_INSERT_VALUES = text(
    """
    insert into node_value (workflow, ordinal, class_type, input, number, text)
    select * from unnest(cast(:workflow as bytea[]), cast(:ordinal as int[]), cast(:class_type as text[]),
        cast(:input as text[]), cast(:number as float8[]), cast(:text as text[]))
    on conflict do nothing
    """
)


def keep_documents(session: Session, documents: Iterable[PreparedDocument]) -> None:
    """Keep verbatim texts, each once however often it comes."""
    unique = {document.sha256: document for document in documents}
    rows = [unique[sha256] for sha256 in sorted(unique)]
    if rows:
        values = {
            "sha256": [row.sha256 for row in rows],
            "kind": [row.kind.value for row in rows],
            "packed": [row.packed or packed(row.raw) for row in rows],
            "size": [len(row.raw) for row in rows],
        }
        session.execute(_INSERT_DOCUMENTS, values)


def keep_graphs(session: Session, graphs: Iterable[PreparedGraph]) -> None:
    """Keep graphs with their identities, their workflows and those's searchable values, each once."""
    unique = {graph.identities.exact: graph for graph in graphs}
    rows = [unique[exact] for exact in sorted(unique)]
    if not rows:
        return
    values: dict[str, list[object]] = {
        "exact": [row.identities.exact for row in rows],
        "recipe": [row.identities.recipe for row in rows],
        "canonical": [row.packed or packed(row.identities.canonical) for row in rows],
        "nodes": [row.identities.node_count for row in rows],
    }
    session.execute(_INSERT_GRAPHS, values)
    levels = [(row, level) for row in rows for level in _KEPT_LEVELS]
    values = {
        "exact": [row.identities.exact for row, _ in levels],
        "level": [level.value for _, level in levels],
        "recipe": [row.identities.recipe for row, _ in levels],
        "digest": [getattr(row.identities, level.value) for row, level in levels],
    }
    session.execute(_INSERT_IDENTITIES, values)
    _keep_workflows(session, {row.identities.workflow: row for row in rows})


def _keep_workflows(session: Session, by_digest: Mapping[bytes, PreparedGraph]) -> None:
    digests = sorted(by_digest)
    workflows = {
        "id": [new_id() for _ in digests],
        "digest": digests,
        "recipe": [by_digest[digest].identities.recipe for digest in digests],
        "name": [f"workflow {digest.hex()[:8]}" for digest in digests],
    }
    # Whoever writes a workflow's row writes its values in the same transaction: known workflows have theirs.
    fresh = sorted(session.scalars(_INSERT_WORKFLOWS, workflows))
    rows = [
        (bytes(digest), ordinal, value)
        for digest in fresh
        for ordinal, value in enumerate(by_digest[bytes(digest)].values)
    ]
    if rows:
        values = {
            "workflow": [digest for digest, _, _ in rows],
            "ordinal": [ordinal for _, ordinal, _ in rows],
            "class_type": [value.class_type for _, _, value in rows],
            "input": [value.input for _, _, value in rows],
            "number": [value.number for _, _, value in rows],
            "text": [value.text for _, _, value in rows],
        }
        session.execute(_INSERT_VALUES, values)


def load_document(session: Session, sha256: bytes) -> bytes:
    """Return a text exactly as it was in its file. Raises: DocumentNotFound."""
    found = session.scalar(select(Document.packed).where(Document.sha256 == sha256))
    if found is None:
        raise DocumentNotFound(f"no document {sha256.hex()[:12]}")
    return zlib.decompress(found)


def load_documents(session: Session, sha256s: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the texts that are kept of those asked for, by their SHA-256."""
    rows = session.execute(select(Document.sha256, Document.packed).where(Document.sha256.in_(list(sha256s))))
    return {bytes(sha256): zlib.decompress(content) for sha256, content in rows}


def load_canonical(session: Session, exact: bytes) -> bytes:
    """Return a graph's canonical JSON. Raises: GraphNotFound."""
    found = session.scalar(select(StoredGraph.canonical).where(StoredGraph.exact == exact))
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


def find_workflows(session: Session, exacts: Iterable[bytes], recipe: str = RECIPE) -> dict[bytes, StoredWorkflow]:
    """Return the workflow of each graph, by the graph's exact digest; unknown graphs are left out."""
    statement = (
        select(GraphIdentity.exact, Workflow.id, Workflow.digest, Workflow.name)
        .join(Workflow, (Workflow.digest == GraphIdentity.digest) & (Workflow.recipe == GraphIdentity.recipe))
        .where(GraphIdentity.exact.in_(list(exacts)))
        .where(GraphIdentity.level == Level.WORKFLOW.value)
        .where(GraphIdentity.recipe == recipe)
    )
    return {
        bytes(exact): StoredWorkflow(id=WorkflowId(id_), digest=bytes(digest), name=name)
        for exact, id_, digest, name in session.execute(statement)
    }


def workflow_names(session: Session, exacts: Iterable[bytes], recipe: str = RECIPE) -> dict[bytes, str]:
    """Return the name of each graph's workflow, by the graph's exact digest; unknown graphs are left out."""
    return {exact: workflow.name for exact, workflow in find_workflows(session, exacts, recipe).items()}


def name_workflow(session: Session, workflow_id: WorkflowId, name: str) -> None:
    """Give a workflow a name, at most WORKFLOW_NAME_LIMIT characters of it. Raises: WorkflowNotFound."""
    clean = storable(name)[0].strip()[:WORKFLOW_NAME_LIMIT]
    statement = update(Workflow).where(Workflow.id == workflow_id).values(name=clean).returning(Workflow.id)
    if session.scalar(statement) is None:
        raise WorkflowNotFound(f"no workflow {workflow_id}")


def graphs_like(session: Session, level: Level, digest: bytes, recipe: str = RECIPE) -> Sequence[bytes]:
    """Return the exact digests of all graphs that share a digest at a level (workflow or structure), sorted."""
    statement = (
        select(GraphIdentity.exact)
        .where(GraphIdentity.digest == digest, GraphIdentity.level == level.value, GraphIdentity.recipe == recipe)
        .order_by(GraphIdentity.exact)
    )
    return [bytes(exact) for exact in session.scalars(statement)]
