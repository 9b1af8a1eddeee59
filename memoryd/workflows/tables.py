"""What this room stores: verbatim documents, graphs and their identities, workflows, and searchable node values.

Everything is named by digests of its content (32 bytes), so that two recorders who meet the same text write one row.
"""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, Sha256, TenantTable


class Document(TenantTable):
    """A text of a file, verbatim: reproduction to the byte needs the ids, order and titles that a graph has lost."""

    __tablename__ = "document"
    sha256: Mapped[Sha256] = mapped_column(primary_key=True)
    kind: Mapped[str]
    packed: Mapped[bytes] = mapped_column(LargeBinary)
    """zlib of the raw bytes."""
    raw_size: Mapped[int]


class StoredGraph(TenantTable):
    """A graph, named by its exact digest under the recipe it was first seen with."""

    __tablename__ = "graph"
    exact: Mapped[Sha256] = mapped_column(primary_key=True)
    recipe: Mapped[str]
    canonical: Mapped[bytes] = mapped_column(LargeBinary)
    """zlib of the canonical JSON."""
    node_count: Mapped[int]
    first_seen: Mapped[RecordedNow]


class GraphIdentity(TenantTable):
    """A graph's digest at one level under one recipe: a later recipe stands beside the first, never instead."""

    __tablename__ = "graph_identity"
    exact: Mapped[Sha256] = mapped_column(ForeignKey("graph.exact"), primary_key=True)
    level: Mapped[str] = mapped_column(primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[Sha256]


Index("graph_identity_digest_idx", GraphIdentity.digest, GraphIdentity.level, GraphIdentity.recipe)


class Workflow(TenantTable):
    """What people mean by "the same workflow": all graphs of one digest at the workflow level."""

    __tablename__ = "workflow"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[Sha256]
    recipe: Mapped[str]
    name: Mapped[str]
    first_seen: Mapped[RecordedNow]


Index("workflow_digest_recipe_key", Workflow.digest, Workflow.recipe, unique=True)


class StoredNodeValue(TenantTable):
    """One literal input of a workflow's node. What differs between its runs (seeds, texts, names) is not here.

    Kept per workflow, not per graph: ten thousand pictures of one workflow share these rows. A graph's own come through
    graph_identity (level `workflow`).
    """

    __tablename__ = "node_value"
    workflow: Mapped[Sha256] = mapped_column(primary_key=True)
    """The digest at the workflow level."""
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    class_type: Mapped[str]
    input: Mapped[str]
    number: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    text: Mapped[str | None]


Index(
    "node_value_number_idx",
    StoredNodeValue.class_type,
    StoredNodeValue.input,
    StoredNodeValue.number,
    postgresql_where=StoredNodeValue.number.is_not(None),
)
Index(
    "node_value_text_idx",
    StoredNodeValue.class_type,
    StoredNodeValue.input,
    StoredNodeValue.text,
    postgresql_where=StoredNodeValue.text.is_not(None),
)


class LearnedOrder(TenantTable):
    """A class's order of widgets, as files proved it that carry the editor's graph and the prompt.

    Versions of a class have orders of their own, told apart by `shape` (SHA-256 of `widgets`).
    """

    __tablename__ = "widget_order"
    class_type: Mapped[str] = mapped_column(primary_key=True)
    shape: Mapped[Sha256] = mapped_column(primary_key=True)
    widgets: Mapped[str]
    """`kind name` per line, in order."""
    seen: Mapped[int]
    """How often it was taught; processes teach what they have not met, so this counts occasions, not files."""
    first_seen: Mapped[RecordedNow]
