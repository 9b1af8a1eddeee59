"""What new assets bring as follow-up work: one chore for a batch, that derives everything from one decode of each.

`HANDLERS` maps a chore's kind to what does it; the application's one table takes it from here.
"""

from __future__ import annotations

from memoryd.catalog.enrichment import ENRICHED_KINDS
from memoryd.imaging.recipes import EVERY_PART, spelled_all
from memoryd.ingest.enriching.work import ENRICH, HANDLERS, ContentsMissing, Means

FOR_KINDS = frozenset(ENRICHED_KINDS)
"""What the recipes are for."""

CHORES: tuple[tuple[str, str], ...] = ((ENRICH, spelled_all(EVERY_PART)),)
"""(kind, recipe) of every chore that new assets bring."""

CLEAR = ("clear", "assets")
"""(kind, recipe) of the chore that works out the licence verdicts of new assets, of whatever kind; done by a room above."""

__all__ = ["CHORES", "CLEAR", "FOR_KINDS", "HANDLERS", "ContentsMissing", "Means"]
