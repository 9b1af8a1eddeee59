"""Rows about stored bytes."""

from __future__ import annotations

import hashlib

from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.storage import blobs
from memoryd.storage.facts import BlobState, StoredBlob


def stored(content: bytes, tenant: str = "default") -> StoredBlob:
    digest = hashlib.sha256(content)
    name = digest.hexdigest()
    return StoredBlob(sha256=digest.digest(), size=len(content), key=f"{tenant}/{name[:2]}/{name}")


def test_a_registered_blob_is_found_and_registering_again_touches_it(session: Session) -> None:
    blob = stored(b"bytes")
    blobs.register(session, [blob, blob])
    before = blobs.find_blob(session, blob.sha256)
    assert before is not None
    assert (before.size, before.key, before.state, before.held) == (5, blob.key, BlobState.PRESENT, False)
    blobs.register(session, [blob])
    after = blobs.find_blob(session, blob.sha256)
    assert after is not None
    assert after.touched_at > before.touched_at


def test_registering_nothing_and_finding_nothing_is_allowed(session: Session) -> None:
    blobs.register(session, [])
    assert blobs.find_blob(session, hashlib.sha256(b"unknown").digest()) is None
    assert blobs.find_blobs(session, []) == {}


def test_a_blob_found_damaged_is_present_again_once_it_was_stored_again(session: Session) -> None:
    blob = stored(b"bytes")
    assert not blobs.mark_blob(session, blob.sha256, BlobState.DAMAGED)
    blobs.register(session, [blob])
    assert blobs.mark_blob(session, blob.sha256, BlobState.DAMAGED)
    assert blobs.find_blobs(session, [blob.sha256])[blob.sha256].state is BlobState.DAMAGED
    blobs.register(session, [blob])
    assert blobs.find_blobs(session, [blob.sha256])[blob.sha256].state is BlobState.PRESENT


def test_a_hold_stays_when_a_blob_is_stored_again(session: Session) -> None:
    blob = stored(b"evidence")
    blobs.register(session, [blob])
    assert blobs.hold(session, [blob.sha256]) == 1
    blobs.register(session, [blob])
    row = blobs.find_blob(session, blob.sha256)
    assert row is not None
    assert row.held
    assert blobs.hold(session, [blob.sha256], held=False) == 1


def test_another_tenant_finds_nothing(database: Database, tenant: TenantScope, other_tenant: TenantScope) -> None:
    blob = stored(b"ours")
    with database.tenant_work(tenant) as session:
        blobs.register(session, [blob])
    with database.tenant_work(other_tenant) as session:
        assert blobs.find_blob(session, blob.sha256) is None
