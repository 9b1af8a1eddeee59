"""Documents and graphs as rows ready to be copied, made where the file is read: the recorder only picks those not yet kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from memoryd.foundation.copy_lines import NULL, copy_line, copy_lines, copy_text
from memoryd.plugin_api.facts import DocumentKind
from memoryd.workflows.facts import Level, NodeValue, PreparedDocument, PreparedGraph
from memoryd.workflows.preparing import packed
from memoryd.workflows.spelling import Remembered

DOCUMENT_COLUMNS = ("sha256", "kind", "packed", "raw_size")
GRAPH_COLUMNS = ("exact", "recipe", "canonical", "node_count")
IDENTITY_COLUMNS = ("exact", "level", "recipe", "digest")
VALUE_COLUMNS = ("workflow", "ordinal", "class_type", "input", "number", "text")

KEPT_LEVELS = (Level.WORKFLOW, Level.STRUCTURE)
"""The exact digest is the graph's own key."""

REMEMBERED_WORKFLOWS = 256


class ReadyDocument(NamedTuple):
    """A document's name (32 bytes) and its row."""

    sha256: bytes
    line: bytes


class ReadyGraph(NamedTuple):
    """A graph's name, its workflow's, and their rows. Digests are 32 bytes; `values` are rows of the workflow."""

    exact: bytes
    workflow: bytes
    recipe: str
    graph: bytes
    identities: bytes
    values: bytes


_values: Remembered[bytes, bytes] = Remembered(REMEMBERED_WORKFLOWS)


def ready_text(kind: DocumentKind, raw: bytes) -> ReadyDocument:
    """Return a verbatim text as a row: what `ready_document` gives of what `prepare_document` does."""
    sha256 = hashlib.sha256(raw)
    line = f"\\\\x{sha256.hexdigest()}\t{kind.value}\t\\\\x{packed(raw).hex()}\t{len(raw)}\n"
    return ReadyDocument(sha256.digest(), line.encode("ascii"))


def ready_document(document: PreparedDocument) -> ReadyDocument:
    """Return a document as a row; it must be packed."""
    row = (document.sha256, document.kind.value, document.packed, len(document.raw))
    return ReadyDocument(document.sha256, copy_line(row).encode())


def _value_lines(workflow: bytes, values: Sequence[NodeValue]) -> bytes:
    """Rows of VALUE_COLUMNS, as `copy_lines` spells them: half of all that a new workflow has to write."""
    key = f"\\\\x{workflow.hex()}"
    return "".join(
        [
            f"{key}\t{ordinal}\t{copy_text(class_type)}\t{copy_text(name)}"
            f"\t{NULL if number is None else repr(number)}\t{NULL if text is None else copy_text(text)}\n"
            for ordinal, (class_type, name, number, text) in enumerate(values)
        ]
    ).encode()


def ready_graph(graph: PreparedGraph) -> ReadyGraph:
    """Return a graph as rows; it must be packed."""
    found = graph.identities
    identities = [(found.exact, level.value, found.recipe, getattr(found, level.value)) for level in KEPT_LEVELS]
    values = _values.get(found.workflow)
    if values is None:
        values = _value_lines(found.workflow, graph.values)
        _values.keep(found.workflow, values)
    return ReadyGraph(
        found.exact,
        found.workflow,
        found.recipe,
        copy_line((found.exact, found.recipe, graph.packed, found.node_count)).encode(),
        copy_lines(identities),
        values,
    )
