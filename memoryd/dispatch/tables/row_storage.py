"""How the rows of a table are stored, by how often they change. Source: the measurements named in this folder."""

from __future__ import annotations

HALF_FULL = {"postgresql_with": {"fillfactor": 50}}
"""Updated all the time: the new version finds room in its page (HOT)."""

MOSTLY_FULL = {"postgresql_with": {"fillfactor": 80}}

CHURNING = {
    "postgresql_with": {
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_threshold": 1000,
        "autovacuum_vacuum_cost_delay": 0,
    }
}
"""Inserted and deleted all the time: vacuumed early and at full speed."""
