"""Every statement about changes of what verdicts rest on. The session has taken the tenant."""

from __future__ import annotations

from sqlalchemy import text

from memoryd.access.changes.epoch import EPOCH
from memoryd.foundation.database import Session

KEPT = 50
"""Changes that are kept: an epoch is a sum over them, and is read with every job."""


_CHANGE = text(f"""
    with made as (insert into clearance_change (what) values (:what) returning id),
    old as (
        select c.id from clearance_change c, made where c.id < made.id - {KEPT} for update of c skip locked)
    delete from clearance_change c using old where c.id = old.id""")


def insert_change(session: Session, *, what: str) -> None:
    """Write that something has changed, and forget changes of long ago; waits for nobody."""
    session.execute(_CHANGE, {"what": what})


def lock_fence(session: Session) -> None:
    """Wait for the transactions that are writing jobs, and hold off others until commit.

    A statement looks at its tables only once it has their locks: whoever waited sees what was committed meanwhile.
    Source: Postgres, section 13.2.1 (read committed), and exec_bind_message, which takes the snapshot after the locks.
    """
    session.execute(text("lock table submission_fence in access exclusive mode"))


def read_epoch(session: Session) -> str:
    """The present epoch."""
    epoch: str = session.execute(text(f"select {EPOCH}")).scalar_one()
    return epoch
