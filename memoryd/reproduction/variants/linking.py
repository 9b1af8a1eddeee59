"""The chore that follows each job of a variation: what it made leads back to the picture that it came from."""

from __future__ import annotations

from memoryd.catalog.lineage import add_edges
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.logging import log_for
from memoryd.reproduction.variants import queries
from memoryd.reproduction.variants.facts import VariationId

VIA_VARIED = "varied"
"""The child is a run of the parent's recipe with other values."""

_log = log_for(__name__)


def link(database: Database, tenant: TenantScope, variation: VariationId) -> int:
    """Record the lineage of what a variation has made by now; return how many pictures are new to it. Safe to repeat.

    Left out: what came out as the picture itself, and what that picture was made from (INV-6).
    """
    with database.tenant_work(tenant) as session:
        row = queries.find_variation(session, variation)
        if row is None:
            return 0
        made = queries.list_unlinked(session, variation, row.root_id, VIA_VARIED, alone=row.job_id is not None)
        edges = {(child, row.root_id) for child in made}
        refused = add_edges(session, edges, VIA_VARIED)
    if refused:
        _log.info("%d pictures of variation %s are among what its original was made from", len(refused), variation)
    return len(edges) - len(refused)
