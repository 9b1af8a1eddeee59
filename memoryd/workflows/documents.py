"""The door for rooms above: verbatim texts kept once and given back byte for byte, and graphs with their identities."""

from memoryd.workflows.queries import (
    find_workflows,
    keep_documents,
    keep_graphs,
    load_document,
    load_documents,
    load_graph,
    workflow_names,
)

__all__ = [
    "find_workflows",
    "keep_documents",
    "keep_graphs",
    "load_document",
    "load_documents",
    "load_graph",
    "workflow_names",
]
