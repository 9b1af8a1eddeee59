"""Where reading's knowledge comes from: the workers' node specifications and the learned widget orders, kept for a while."""

from __future__ import annotations

import dataclasses
import threading
import time
from uuid import UUID
from weakref import WeakKeyDictionary

from memoryd.dispatch.node_specs import known_specs
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import TenantId
from memoryd.ingest.facts import Folder, Knowledge
from memoryd.workflows.editor import known_orders
from memoryd.workflows.editor.lessons import Lessons

FRESH_S = 300.0
"""How long knowledge counts as present: a worker that joined with new nodes helps to read after this at the latest."""

_held: WeakKeyDictionary[Database, dict[UUID, tuple[float, Knowledge]]] = WeakKeyDictionary()
_lock = threading.Lock()


def knowing(folder: Folder, database: Database, scope: TenantScope) -> Folder:
    """Return the folder with what is known of its tenant's nodes. Raises: DatabaseDown."""
    return dataclasses.replace(folder, knowledge=knowledge_of(database, scope))


def knowledge_of(database: Database, scope: TenantScope) -> Knowledge:
    """Return what is known of a tenant's nodes, at most FRESH_S old. Raises: DatabaseDown."""
    now = time.monotonic()
    with _lock:
        found = _held.get(database, {}).get(scope.id)
    if found is not None and now - found[0] < FRESH_S:
        return found[1]
    loaded = _load(database, scope)
    if found is not None and found[1] == loaded:
        # Nothing new: what reading processes hold stays as it is.
        loaded = found[1]
    with _lock:
        _held.setdefault(database, {})[scope.id] = (now, loaded)
    return loaded


def _load(database: Database, scope: TenantScope) -> Knowledge:
    with database.farm_work() as session:
        specs = known_specs(session, TenantId(scope.id))
    with database.tenant_work(scope) as session:
        orders = known_orders.load(session)
    return Knowledge(specs=specs, orders=orders, lessons=Lessons(orders))
