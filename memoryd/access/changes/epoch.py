"""The present epoch, as a statement of any room says it: another text than before where something has changed."""

from __future__ import annotations

EPOCH = """
    (select coalesce(max(c.id), 0) || ':' || coalesce(sum(c.id), 0) || ':' || (select count(*) from submission_fence)
       from clearance_change c)"""
"""The sum too: of two transactions the later number may commit first. Whoever reads it waits while submissions are held
off."""
