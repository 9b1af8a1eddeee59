"""Every table of every room, gathered: for drafting a migration, and for the tests that compare the two."""

from __future__ import annotations

import importlib
import pkgutil

from memoryd.foundation.declarative import FarmTable, TenantTable
from memoryd.foundation.migrations import Line

ROOMS_WITH_TABLES = (
    "access",
    "access.changes",
    "events",
    "dispatch",
    "storage",
    "workflows",
    "model_registry",
    "model_registry.keeping",
    "model_registry.licensing",
    "catalog",
    "recognition",
    "search",
    "ingest",
    "clearance",
    "clearance.policies",
    "clearance.recalls",
    "disclosure",
    "submission",
    "reproduction",
    "reproduction.canaries",
    "reproduction.environments",
)


def metadata_of(line: Line) -> object:
    """Return the SQLAlchemy metadata of one line, with every room's tables in it."""
    for room in ROOMS_WITH_TABLES:
        tables = importlib.import_module(f"memoryd.{room}.tables")
        for part in pkgutil.iter_modules(getattr(tables, "__path__", ())):
            importlib.import_module(f"{tables.__name__}.{part.name}")
    return (FarmTable if line == "farm" else TenantTable).metadata
