"""An asset's executed graph, to be compared with another's."""

from __future__ import annotations

from memoryd.access.facts import Sees
from memoryd.catalog.showing import show_asset
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import AssetId
from memoryd.plugin_api.facts import DocumentKind
from memoryd.workflows.documents import load_document
from memoryd.workflows.facts import Graph
from memoryd.workflows.graph_reading import parse_graph


class NoGraphKnown(NotFound):
    """No executed graph is known for this asset."""


def graph_of(session: Session, asset_id: AssetId, sees: Sees) -> Graph:
    """Return the graph of an asset's best known run, with the node ids and titles that people know.

    Raises: NoGraphKnown; AssetNotFound, also for what the caller may not see.
    """
    for document in show_asset(session, asset_id, sees).documents:
        if document.kind == DocumentKind.PROMPT:
            graph, _ = parse_graph(load_document(session, document.sha256))
            if graph is not None:
                return graph
    raise NoGraphKnown(f"asset {asset_id}", hint="its file carries no graph, and no job made it")
