"""Bytes in the store that nothing refers to: uploads that were refused, small pictures of older recipes.

Per tenant, and only what nobody stored or used for days. A blob that any row of the tenant names, wherever, stays.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.catalog.holding import begin_removing, holders_of
from memoryd.catalog.queries import collecting as queries
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import Conflict
from memoryd.storage import collecting as bytes_of
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import mark_blob
from memoryd.storage.facts import BlobState

LEAST_DAYS = 7
"""What was stored later may still be on its way into a record: a job that waits names its inputs when it is submitted."""
AT_ONCE = 500
"""Blobs of one unit of work; their digests take 35 KB of the trail."""
_DAY_S = 86_400.0


class TooYoung(Conflict):
    """Bytes that were stored lately stay."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was taken away, or would be: blobs and their bytes. `looked_at`: blobs that are old enough."""

    looked_at: int
    blobs: int
    size: int
    dry_run: bool


def collect(database: Database, store: BlobStore, caller: Caller, *, older_than_days: int, dry_run: bool) -> Collected:
    """Delete the tenant's stored bytes that nothing refers to and nobody stored or used for `older_than_days`.

    Killed at any moment, the same again goes on. Raises: TooYoung.
    """
    if older_than_days < LEAST_DAYS:
        raise TooYoung(f"{older_than_days} days", hint=f"--older-than {LEAST_DAYS}d or more (LEAST_DAYS)")
    age, tenant = older_than_days * _DAY_S, caller.tenant.slug
    if not dry_run:
        bytes_of.settle(store, tenant)
    old = bytes_of.list_old(store, tenant, age)
    looked_at = blobs = size = 0
    while some := list(itertools.islice(old, AT_ONCE)):
        looked_at += len(some)
        sizes = dict(some)
        with database.tenant_work(caller.tenant) as session:
            gone = _collect_some(session, store, caller, list(sizes), age, dry_run=dry_run)
            if gone and not dry_run:
                digests: list[Json] = [sha256.hex() for sha256 in gone]
                facts: dict[str, Json] = {"blobs": len(gone), "bytes": sum(map(sizes.__getitem__, gone))}
                audit.note(session, caller, "blob.collect", "store", facts | {"sha256": digests})
        blobs += len(gone)
        size += sum(map(sizes.__getitem__, gone))
    return Collected(looked_at=looked_at, blobs=blobs, size=size, dry_run=dry_run)


def _collect_some(
    session: Session, store: BlobStore, caller: Caller, digests: Sequence[bytes], age: float, *, dry_run: bool
) -> list[bytes]:
    begin_removing(session)
    # Locked first: whoever registers one of them waits for the end of this, and then stores it again.
    recorded, staying = queries.lock_collectable(session, digests, age)
    loose = [sha256 for sha256 in digests if sha256 not in staying]
    needed = queries.list_referred_to(session, loose) | holders_of(session, loose).keys()
    gone = [sha256 for sha256 in loose if sha256 not in needed]
    if dry_run:
        return gone
    taken = [sha256 for sha256 in gone if bytes_of.take_away(store, caller.tenant.slug, sha256, age)]
    for sha256 in recorded.intersection(taken):
        mark_blob(session, sha256, BlobState.REMOVED)
    return taken
