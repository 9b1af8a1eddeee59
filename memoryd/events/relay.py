"""The relay gives events their order; it and the audit trail's sealer are kept going by one loop.

Identity order is not commit order: a reader that keeps the last identity misses what commits late. So one relay per
tenant numbers what has committed, and readers follow its numbers, which have no gaps.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from pathlib import Path

from memoryd.access.directory import list_tenants
from memoryd.access.sealer import CHECKPOINT_EVERY_S, SEAL_EVERY_S, checkpoint_once, seal_once
from memoryd.events import queries
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.logging import log_for

RELAY_BATCH = 2_000
KEEP_EVENTS = datetime.timedelta(days=14)
"""Who was away for longer reads the catalogue anew; the audit trail keeps everything."""

PRUNE_EVERY_S = 3_600.0
DIRECTORY_EVERY_S = 2.0
"""How soon a new tenant is sealed and relayed."""

_LOG = log_for(__name__)


def relay_once(database: Database, tenant: TenantScope) -> int:
    """Number what has committed, RELAY_BATCH at most; return how many. 0 also where another process relays."""
    with database.tenant_work(tenant) as session:
        # Held to the commit, so that the next relay sees this one's last number.
        if not queries.try_relay_lock(session, tenant.schema):
            return 0
        waiting = queries.list_outbox(session, RELAY_BATCH)
        if not waiting:
            return 0
        last = queries.find_bounds(session)[1]
        queries.insert_events(
            session,
            [
                {
                    "seq": seq,
                    "at": row.at,
                    "kind": row.kind,
                    "subject": row.subject,
                    "project_id": row.project_id,
                    "body": row.body,
                }
                for seq, row in enumerate(waiting, start=last + 1)
            ],
        )
        queries.delete_outbox(session, [row.id for row in waiting])
        queries.wake_readers(session, tenant.schema)
        return len(waiting)


def prune_events(database: Database, tenant: TenantScope, *, keep: datetime.timedelta = KEEP_EVENTS) -> int:
    """Delete events older than `keep`; return how many."""
    with database.tenant_work(tenant) as session:
        return queries.delete_old_events(session, datetime.datetime.now(datetime.UTC) - keep)


def keep_sealing(
    database: Database, keys: Path, stop: threading.Event, *, carry: Callable[[Database], object] | None = None
) -> None:
    """Seal and relay for every tenant, every SEAL_EVERY_S, until `stop` is set; then once more, with a checkpoint.

    Each round begins with `carry`, which brings to the tenants' outboxes what happened outside their transactions.
    A fault of one tenant is logged and holds up no other; a database that is away is waited for.
    """
    tenants: list[TenantScope] = []
    asked = signed = pruned = float("-inf")
    while True:
        last = stop.is_set()
        began = time.monotonic()
        try:
            if last or began - asked >= DIRECTORY_EVERY_S:
                with database.farm_work() as session:
                    tenants, asked = list_tenants(session), began
            if carry is not None:
                carry(database)
            sign = last or began - signed >= CHECKPOINT_EVERY_S
            prune = began - pruned >= PRUNE_EVERY_S
            for tenant in tenants:
                _attend(database, tenant, keys, sign=sign, prune=prune)
            signed = began if sign else signed
            pruned = began if prune else pruned
        except Unavailable as error:
            _LOG.warning("sealing waits: %s", error.detail)
        if last:
            return
        stop.wait(max(0.0, SEAL_EVERY_S - (time.monotonic() - began)))


def _attend(database: Database, tenant: TenantScope, keys: Path, *, sign: bool, prune: bool) -> None:
    try:
        while relay_once(database, tenant) == RELAY_BATCH:
            pass
        while seal_once(database, tenant, keys):
            pass
        if sign:
            checkpoint_once(database, tenant, keys)
        if prune:
            prune_events(database, tenant)
    except Unavailable:
        raise
    except MemorydError as error:
        _LOG.error("tenant %s: %s: %s", tenant.slug, error.title, error.detail)
    except Exception:
        # Whatever it is, the other tenants' trails must be sealed; this one's stays pending, which doctor reports.
        _LOG.exception("tenant %s: sealing failed", tenant.slug)
