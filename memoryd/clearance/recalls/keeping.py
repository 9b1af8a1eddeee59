"""Keeps which weights touched which pictures, so that a million are counted at once and listed as they lie.

Whatever changes runs, outputs or owners notes what it changed, in its own transaction (touch_change, by triggers). Here it
is folded into `touch` and its sums, by one at a time: what is kept is exact whenever nothing is noted that is not folded,
and whoever counts folds first. Lines that a recalled model comes to touch are marked by the same act, and the sets of
models that stand behind what changed are noted to be worked out anew (`clearance.standing.renew`).
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from uuid import UUID

from memoryd.catalog import marks
from memoryd.clearance.recalls.facts import FLAG_RECALLED
from memoryd.clearance.recalls.queries import keeping as queries
from memoryd.clearance.recalls.queries import recalls
from memoryd.foundation.database import Database, Session, TenantScope

CHANGES_AT_ONCE = 20
"""Statements whose changes one step folds: of batches of a thousand files that is seconds, of single files nothing."""
ASSETS_AT_ONCE = 2_000
SEEN_LATER_S = 30.0
"""A transaction that changed something may commit so much later: a set worked out meanwhile has not seen it."""
STEPS_FIRST = 10
"""Steps that whoever counts takes first; where that does not suffice, the answer says that more is to come."""


def keep(session: Session, *, wait: bool = False) -> bool:
    """Fold one step of what changed; return whether something was folded. `session` has taken the tenant."""
    if not queries.lock_touches(session, wait=wait):
        return False
    taken = queries.take_changes(session, CHANGES_AT_ONCE)
    if taken is None:
        return False
    assets, generations, changed_at = taken
    every = fold(session, assets, generations)
    queries.mark_stale(session, every, changed_at, SEEN_LATER_S)
    return True


def fold(session: Session, assets: Sequence[UUID], generations: Sequence[UUID]) -> list[UUID]:
    """Bring what is kept of these assets and runs up to date, and return all assets concerned; the caller has the lock."""
    every = sorted({*assets, *queries.list_made(session, generations)})
    queries.number_models(session, every, generations)
    for at in range(0, len(generations), ASSETS_AT_ONCE):
        queries.fold_runs(session, generations[at : at + ASSETS_AT_ONCE])
    come: collections.defaultdict[int, set[UUID]] = collections.defaultdict(set)
    for at in range(0, len(every), ASSETS_AT_ONCE):
        for row in queries.fold_assets(session, every[at : at + ASSETS_AT_ONCE]):
            come[row.model_no].add(row.root_id)
    recalled = recalls.list_recalled_numbers(session, list(come)) if come else set()
    if recalled:
        marks.set_marks(session, set().union(*(come[no] for no in recalled)), add=[FLAG_RECALLED])
    return every


def tend(database: Database, tenant: TenantScope, *, wait: bool = False) -> int:
    """Fold what a tenant's changes are, each step in a unit of work of its own; return how many steps there were.

    With `wait`, what another folds at this moment is committed too when this returns.
    """
    steps = 0
    while True:
        with database.tenant_work(tenant) as session:
            if not keep(session, wait=wait):
                return steps
        steps += 1


def catch_up(session: Session) -> bool:
    """Fold what is waiting, STEPS_FIRST at most; return whether all is folded, as this transaction sees it."""
    for _ in range(STEPS_FIRST):
        if not keep(session, wait=True):
            return True
    return queries.count_changes(session) == 0


def count_behind(session: Session) -> int:
    """Return how many statements' changes are not folded yet."""
    return queries.count_changes(session)
