"""Every statement on documents, graphs, workflows and node values. Writes take whole columns and skip what is there.

Callers give rows by the order of their key: two recorders may bring the same rows at once, and neither then waits for the
other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select, text, update

from memoryd.foundation.arrays import array_text
from memoryd.foundation.database import Session
from memoryd.foundation.ids import WorkflowId
from memoryd.workflows.facts import Level
from memoryd.workflows.tables import Document, GraphIdentity, LearnedOrder, StoredGraph, Workflow

Columns = Mapping[str, Sequence[object]]
"""A column's values by its name, all of one length."""

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
_KNOWN_DOCUMENTS = text("select sha256 from document where sha256 = any(cast(:asked as bytea[]))")
_KNOWN_GRAPHS = text("select exact from graph where exact = any(cast(:asked as bytea[]))")
_KEEP_ORDERS = text(
    """
    insert into widget_order (class_type, shape, widgets, seen)
    select * from unnest(cast(:class_type as text[]), cast(:shape as bytea[]), cast(:widgets as text[]), cast(:seen as int[]))
    on conflict (class_type, shape) do update set seen = least(widget_order.seen + excluded.seen, 1000000000)
    """
)


def _arrays(rows: Columns) -> dict[str, object]:
    return {name: array_text(values) for name, values in rows.items()}


def insert_documents(session: Session, rows: Columns) -> None:
    """Insert documents: sha256, kind, packed, size."""
    session.execute(_INSERT_DOCUMENTS, _arrays(rows))


def insert_graphs(session: Session, rows: Columns) -> None:
    """Insert graphs: exact, recipe, canonical, nodes."""
    session.execute(_INSERT_GRAPHS, _arrays(rows))


def insert_identities(session: Session, rows: Columns) -> None:
    """Insert identities of graphs: exact, level, recipe, digest."""
    session.execute(_INSERT_IDENTITIES, _arrays(rows))


def insert_workflows(session: Session, rows: Columns) -> list[bytes]:
    """Insert workflows (id, digest, recipe, name) and return the digests of those that were not known, sorted."""
    return sorted(bytes(digest) for digest in session.scalars(_INSERT_WORKFLOWS, _arrays(rows)))


def insert_values(session: Session, rows: Columns) -> None:
    """Insert values of workflows: workflow, ordinal, class_type, input, number, text."""
    session.execute(_INSERT_VALUES, _arrays(rows))


def find_documents(session: Session, sha256s: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the packed bytes of the documents that are kept, by their SHA-256."""
    rows = session.execute(select(Document.sha256, Document.packed).where(Document.sha256.in_(list(sha256s))))
    return {bytes(sha256): bytes(content) for sha256, content in rows}


def list_documents(session: Session, sha256s: Iterable[bytes]) -> set[bytes]:
    """Return those of these documents that are kept."""
    return set(map(bytes, session.scalars(_KNOWN_DOCUMENTS, {"asked": array_text(list(sha256s))})))


def list_known_graphs(session: Session, exacts: Iterable[bytes]) -> set[bytes]:
    """Return those of these graphs that are known."""
    return set(map(bytes, session.scalars(_KNOWN_GRAPHS, {"asked": array_text(list(exacts))})))


def find_canonical(session: Session, exact: bytes) -> bytes | None:
    """Return a graph's packed canonical form."""
    return session.scalar(select(StoredGraph.canonical).where(StoredGraph.exact == exact))


def find_workflows(session: Session, exacts: Iterable[bytes], recipe: str) -> list[tuple[bytes, UUID, bytes, str]]:
    """Return (exact, workflow's id, digest, name) of the graphs that are known."""
    statement = (
        select(GraphIdentity.exact, Workflow.id, Workflow.digest, Workflow.name)
        .join(Workflow, (Workflow.digest == GraphIdentity.digest) & (Workflow.recipe == GraphIdentity.recipe))
        .where(GraphIdentity.exact.in_(list(exacts)))
        .where(GraphIdentity.level == Level.WORKFLOW.value)
        .where(GraphIdentity.recipe == recipe)
    )
    return [(bytes(exact), id_, bytes(digest), name) for exact, id_, digest, name in session.execute(statement)]


def update_name(session: Session, workflow_id: WorkflowId, name: str) -> bool:
    """Set a workflow's name; tell whether there is such a workflow."""
    statement = update(Workflow).where(Workflow.id == workflow_id).values(name=name).returning(Workflow.id)
    return session.scalar(statement) is not None


def list_graphs(session: Session, level: Level, digest: bytes, recipe: str) -> list[bytes]:
    """Return the exact digests of the graphs that have a digest at a level, sorted."""
    statement = (
        select(GraphIdentity.exact)
        .where(GraphIdentity.digest == digest, GraphIdentity.level == level.value, GraphIdentity.recipe == recipe)
        .order_by(GraphIdentity.exact)
    )
    return [bytes(exact) for exact in session.scalars(statement)]


def upsert_orders(session: Session, rows: Columns) -> None:
    """Insert learned orders (class_type, shape, widgets, seen), or count them again where they are known."""
    session.execute(_KEEP_ORDERS, rows)


def list_orders(session: Session, limit: int) -> list[tuple[str, str, int]]:
    """Return (class, widgets, seen) of the learned orders that were taught most often, at most `limit`."""
    statement = (
        select(LearnedOrder.class_type, LearnedOrder.widgets, LearnedOrder.seen)
        .order_by(LearnedOrder.seen.desc(), LearnedOrder.class_type, LearnedOrder.shape)
        .limit(limit)
    )
    return [(class_type, widgets, seen) for class_type, widgets, seen in session.execute(statement)]
