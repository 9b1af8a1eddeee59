from __future__ import annotations

import dataclasses
import hashlib
import os
import socket
from pathlib import Path

import pytest

from memoryd.catalog import roots
from memoryd.catalog.content import ContentMissing, open_content
from memoryd.catalog.facts import AssetRecord, LocationRecord
from memoryd.catalog.recording import record_assets
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import AssetId
from memoryd.storage.blob_store import BlobStore
from tests.catalog.records import record

CONTENT = b"a picture, nearly" * 100


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "out"
    place.mkdir()
    return place


@pytest.fixture
def asset(session: Session, folder: Path) -> AssetId:
    root = roots.add_root(session, host=socket.gethostname(), path=os.fsencode(folder))
    (folder / "pic.png").write_bytes(CONTENT)
    where = LocationRecord(watch_root_id=root, path=b"pic.png", size=len(CONTENT), mtime_ns=1)
    pic: AssetRecord = dataclasses.replace(
        record("pic"), sha256=hashlib.sha256(CONTENT).digest(), size=len(CONTENT), locations=(where,)
    )
    return record_assets(session, [pic])[0].asset_id


def test_bytes_come_from_where_they_lie(
    session: Session, tenant: TenantScope, store: BlobStore, asset: AssetId
) -> None:
    with open_content(session, store, tenant, asset) as content:
        assert content.read() == CONTENT


def test_bytes_come_from_the_store_when_the_folder_is_gone(
    session: Session, tenant: TenantScope, store: BlobStore, asset: AssetId, folder: Path
) -> None:
    store.put_bytes(tenant.slug, CONTENT)
    (folder / "pic.png").unlink()
    with open_content(session, store, tenant, asset) as content:
        assert content.read() == CONTENT


@pytest.mark.parametrize("other", [CONTENT[:-1] + b"!", CONTENT + b"!", b""])
def test_other_bytes_under_the_same_name_are_never_given(
    session: Session, tenant: TenantScope, store: BlobStore, asset: AssetId, folder: Path, other: bytes
) -> None:
    (folder / "pic.png").write_bytes(other)
    with pytest.raises(ContentMissing) as missing:
        open_content(session, store, tenant, asset)
    assert "pic.png" in str(missing.value.hint)


def test_a_pipe_in_place_of_the_picture_does_not_hold_us_up(
    session: Session, tenant: TenantScope, store: BlobStore, asset: AssetId, folder: Path
) -> None:
    (folder / "pic.png").unlink()
    os.mkfifo(folder / "pic.png")
    with pytest.raises(ContentMissing):
        open_content(session, store, tenant, asset)
