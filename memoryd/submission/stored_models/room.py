"""Room in the model store: what was used longest ago leaves, but nothing that a job waits for or an approved picture holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from memoryd.access.facts import Caller, Sees
from memoryd.catalog.holding import Holders, begin_removing, model_holders_of
from memoryd.dispatch.states import ENDED
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import Conflict, TooLarge
from memoryd.model_registry.keeping import copies, pushing
from memoryd.model_registry.keeping.facts import Announced
from memoryd.storage.blob_store import BlobStore
from memoryd.submission.stored_models import queries

AT_ONCE = 50
"""Copies that are looked at together; a store holds hundreds."""


class StoreFull(TooLarge):
    """The model store has no room for these weights."""


class CopyNeeded(Conflict):
    """These weights are still needed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Who needs copies: approved pictures that hold them, by hash, and those that jobs which have not ended pin."""

    holders: dict[bytes, Holders]
    pinned: set[bytes]

    def why(self, sha256: bytes) -> str | None:
        """Return why these weights stay, None where nobody needs them."""
        if sha256 in self.holders:
            return self.holders[sha256].told
        return "jobs that have not ended ask for it" if sha256 in self.pinned else None


def needs_of(session: Session, scope: TenantScope, sha256s: Sequence[bytes], sees: Sees) -> Needs:
    """Return who needs these weights. `session` is a unit of work of the tenant, and is one again afterwards."""
    holders = model_holders_of(session, sha256s, sees)
    take_farm(session)
    unended = queries.list_unended(session, tenant_id=scope.id, ended=[state.value for state in ENDED])
    take_tenant(session, scope)
    wanted = [sha256.hex() for sha256 in sha256s]
    pinned = queries.list_pinned(session, job_ids=unended, sha256s=wanted) if unended else set()
    return Needs(holders=holders, pinned={bytes.fromhex(one) for one in pinned})


def make_room(session: Session, caller: Caller, wanted: Announced, limit: int | None) -> int:
    """Drop copies until announced weights fit into `limit` bytes; return how many went. Raises: StoreFull, with none gone.

    For the transaction that records them: their bytes are taken away after its commit (`pushing.take_away`).
    """
    if limit is None:
        return 0
    copies.lock_store(session)
    _, total = copies.sum_sizes(session)
    over = total + wanted.size - limit
    if over <= 0 or wanted.sha256 in copies.find_copies(session, [wanted.sha256]):
        return 0
    begin_removing(session)
    gone: list[bytes] = []
    looked = 0
    while over > 0:
        oldest = copies.list_oldest(session, skip=looked, limit=AT_ONCE)
        if not oldest:
            raise StoreFull(
                f"{wanted.size} bytes, {over} too many: the rest of {limit} is needed by jobs or held by approved pictures",
                hint="`memoryd models stored` says by what; or raise MEMORYD_MODEL_STORE_LIMIT",
                size=wanted.size,
                limit=limit,
            )
        looked += len(oldest)
        needs = needs_of(session, caller.tenant, [sha256 for sha256, _ in oldest], None)
        for sha256, size in oldest:
            if over > 0 and needs.why(sha256) is None:
                gone.append(sha256)
                over -= size
    pushing.drop(session, caller, gone, why=f"used longest ago, for {wanted.folder}/{wanted.name}")
    return len(gone)


def discard(database: Database, store: BlobStore, caller: Caller, sha256: bytes) -> int:
    """Take weights out of the store and return their bytes. Raises: NotStored, CopyNeeded."""
    with database.tenant_work(caller.tenant) as session:
        copies.lock_store(session)
        copies.find_copy(session, sha256)
        begin_removing(session)
        why = needs_of(session, caller.tenant, [sha256], caller.sees).why(sha256)
        if why is not None:
            raise CopyNeeded(
                f"{sha256.hex()}: {why}",
                hint="let the jobs end, or let go of it with `memoryd holds release SHA256 --reason …`",
            )
        gone = pushing.drop(session, caller, [sha256], why="discarded by a person")
    with database.tenant_work(caller.tenant) as session:
        pushing.take_away(session, store, caller.tenant.slug)
    return sum(size for _, size in gone)
