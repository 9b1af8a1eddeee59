"""Bytes that nothing refers to go after a while; all others stay, and nobody else's are looked at."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from memoryd.access.facts import Role
from memoryd.access.sessions import local_caller
from memoryd.catalog import collecting, roots
from memoryd.catalog.queries import collecting as queries
from memoryd.catalog.recording import record_assets
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.storage import collecting as bytes_of
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import find_blob, hold, register
from memoryd.storage.facts import BlobState
from memoryd_cli import removal
from memoryd_cli.client import Client
from tests.catalog.conftest import Knock
from tests.catalog.records import record

DAY_S = 86_400.0


@dataclasses.dataclass(frozen=True)
class Store:
    """A store of two tenants."""

    database: Database
    store: BlobStore
    tenant: TenantScope

    def put(self, content: bytes, *, days: float = 40.0, recorded: bool = False, slug: str = "default") -> bytes:
        """Store bytes as if it had been some days ago; return their hash."""
        stored = self.store.put_bytes(slug, content)
        if recorded:
            with self.database.tenant_work(self.tenant) as session:
                register(session, [stored])
                session.execute(
                    text("update blob set touched_at = clock_timestamp() - make_interval(days => :days)"),
                    {"days": int(days)},
                )
        self.age(stored.sha256, days, slug)
        return stored.sha256

    def age(self, sha256: bytes, days: float, slug: str = "default") -> None:
        """Let a file be some days old."""
        past = time.time() - days * DAY_S
        os.utime(self.store.path(slug, sha256), (past, past))

    def collect(self, *, dry_run: bool = False, older_than_days: int = 30) -> collecting.Collected:
        """Collect as the local person."""
        caller = local_caller(self.database, "default")
        return collecting.collect(self.database, self.store, caller, older_than_days=older_than_days, dry_run=dry_run)

    def has(self, sha256: bytes, slug: str = "default") -> bool:
        """Tell whether bytes are there."""
        return self.store.exists(slug, sha256)


@pytest.fixture
def kept(database: Database, tenant: TenantScope, tmp_path: Path) -> Store:
    """An empty store."""
    return Store(database, BlobStore(tmp_path / "blobs"), tenant)


def test_what_nothing_refers_to_goes_and_what_anything_names_stays(kept: Store) -> None:
    refused = kept.put(b"an upload that was refused")
    unnamed = kept.put(b"a small picture of an older recipe", recorded=True)
    picture = kept.put(b"a picture", recorded=True)
    told = kept.put(b"a file that a plan names")
    held = kept.put(b"evidence", recorded=True)
    young = kept.put(b"just uploaded", days=3)
    with kept.database.tenant_work(kept.tenant) as session:
        hold(session, [held])
        record_assets(session, [dataclasses.replace(record("a"), sha256=picture)])
        roots.add_root(session, host="desk", path=b"/out", aliases={"other": f"Z:/{told.hex()}"})
    planned = kept.collect(dry_run=True)
    assert kept.has(refused)
    done = kept.collect()
    assert dataclasses.replace(planned, dry_run=False) == done
    assert not kept.has(refused)
    assert not kept.has(unnamed)
    assert kept.has(picture)
    assert kept.has(held)
    assert kept.has(young)
    assert kept.has(told)
    with kept.database.tenant_work(kept.tenant) as session:
        gone = find_blob(session, unnamed)
        assert gone is not None
        assert gone.state is BlobState.REMOVED
        facts = session.execute(text("select facts from audit_pending where action = 'blob.collect'")).scalar_one()
        assert refused.hex() in str(facts)
    assert kept.collect().blobs == 0


def test_nobody_else_s_bytes_are_looked_at(kept: Store, other_tenant: TenantScope) -> None:
    theirs = kept.put(b"theirs, and no row says so", slug=other_tenant.slug)
    same_here = kept.put(b"in both", slug="default")
    same_there = kept.put(b"in both", slug=other_tenant.slug)
    with kept.database.tenant_work(other_tenant) as session:
        # What another tenant refers to keeps nothing here: their bytes are their own.
        record_assets(session, [dataclasses.replace(record("b"), sha256=same_there)])
    assert kept.collect().blobs == 1
    assert not kept.has(same_here)
    assert kept.has(same_there, other_tenant.slug)
    assert kept.has(theirs, other_tenant.slug)


def test_what_is_stored_again_meanwhile_stays(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"an upload that comes again"
    sha256 = kept.put(content)
    look = queries.list_referred_to

    def slow(session: Session, digests: Sequence[bytes]) -> set[bytes]:
        kept.store.put_bytes("default", content)
        return look(session, digests)

    monkeypatch.setattr(queries, "list_referred_to", slow)
    assert kept.collect().blobs == 0
    assert kept.store.read_verified("default", sha256) == content


def test_what_was_left_aside_by_a_death_comes_back_first(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = kept.put(b"a picture", recorded=True)

    def died(self: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(Path, "unlink", died)
        with pytest.raises(KeyboardInterrupt):
            kept.collect()
    assert not kept.has(sha256)
    with kept.database.tenant_work(kept.tenant) as session:
        record_assets(session, [dataclasses.replace(record("a"), sha256=sha256)])
    assert kept.collect().blobs == 0
    assert kept.has(sha256)
    assert bytes_of.settle(kept.store, "default") == 0


def test_what_is_young_is_not_collected_at_all(kept: Store) -> None:
    with pytest.raises(collecting.TooYoung):
        kept.collect(older_than_days=collecting.LEAST_DAYS - 1)


def test_administrators_collect_and_nobody_else(
    stranger: TestClient, key_of: Knock, tenant: TenantScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"older_than_days": 30, "dry_run": True}
    assert stranger.post("/v1/blobs/collect", json=body).status_code == 401
    producer = key_of(tenant, Role.PRODUCER, "fox")
    assert stranger.post("/v1/blobs/collect", json=body, headers=producer).status_code == 403
    chief = key_of(tenant, Role.ADMIN, None)
    assert stranger.post("/v1/blobs/collect", json=body | {"older_than_days": 1}, headers=chief).status_code == 409
    answer = stranger.post("/v1/blobs/collect", json=body, headers=chief)
    assert answer.json() == {"looked_at": 0, "blobs": 0, "size": 0, "dry_run": True}
    key = chief["Authorization"].removeprefix("Bearer ")
    client = Client(str(stranger.base_url), key, transport=stranger._transport)
    monkeypatch.setattr(removal, "server", lambda: client)
    app = typer.Typer()
    removal.register(app)
    said = CliRunner().invoke(app, ["trash", "collect", "--older-than", "30d", "--dry-run"])
    assert "0 of 0 old blobs would be deleted" in said.output, said.exception
