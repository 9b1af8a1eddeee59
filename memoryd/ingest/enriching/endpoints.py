"""Asking for what is derived from assets: thumbnails, digests, fingerprints, posters, traits."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from memoryd.access.guards import Ingester
from memoryd.imaging.recipes import read_recipe
from memoryd.ingest.enriching import orders
from memoryd.ingest.enriching.wire import EnrichmentRequest, EnrichmentShape

router = APIRouter(tags=["ingest"])


@router.post("/enrichments", status_code=202)
def start_enrichment(request: EnrichmentRequest, work: Ingester) -> EnrichmentShape:
    """Derive what assets lack, or some recipes again; ask `/enrichments/{id}` how far it is."""
    order_id = orders.place(
        work.session,
        work.caller.tenant,
        work.caller,
        redo=[read_recipe(text) for text in request.redo],
        assets=request.assets,
        query=request.query,
    )
    return EnrichmentShape.of(orders.show(work.session, work.caller.tenant, order_id))


@router.get("/enrichments/{order_id}")
def show_enrichment(order_id: UUID, work: Ingester) -> EnrichmentShape:
    """How far an enrichment is."""
    return EnrichmentShape.of(orders.show(work.session, work.caller.tenant, order_id))
