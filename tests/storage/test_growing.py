"""Blobs that arrive in parts: nothing that came is lost, and nothing wrong becomes a blob."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from memoryd.storage import growing
from memoryd.storage.blob_store import BadBlobName, BlobStore, BytesChanged
from memoryd.storage.growing import DiskFull, Growing, OffsetDiffers, StillArriving

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).digest()


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def arriving(store: BlobStore, sha256: bytes = SHA256, tenant: str = "default") -> Growing:
    return Growing(store=store, tenant=tenant, sha256=sha256)


def send(blob: Growing, content: bytes, offset: int = 0) -> None:
    with blob.appending(offset) as file:
        file.write(content)


def test_what_came_in_parts_is_a_blob_once_it_is_checked_and_adopted(store: BlobStore) -> None:
    blob = arriving(store)
    blob.begin(len(CONTENT))
    send(blob, CONTENT[:1000])
    assert (blob.size(), blob.is_whole()) == (1000, False)
    send(arriving(store), CONTENT[1000:], 1000)
    blob.check()
    assert blob.is_whole()
    assert not store.exists("default", SHA256)
    assert blob.adopt().size == len(CONTENT)
    assert blob.adopt().size == len(CONTENT), "again, after a crash before its record was committed"
    blob.settle()
    assert store.read_verified("default", SHA256) == CONTENT
    assert list(blob.part.parent.iterdir()) == []


def test_who_goes_on_elsewhere_is_told_where_it_ends(store: BlobStore) -> None:
    blob = arriving(store)
    send(blob, CONTENT[:10])
    with pytest.raises(OffsetDiffers) as caught:
        send(blob, CONTENT[20:], 20)
    assert caught.value.facts["offset"] == 10
    assert blob.size() == 10


def test_two_do_not_write_at_once(store: BlobStore) -> None:
    blob = arriving(store)
    with blob.appending(0) as file:
        file.write(b"x")
        with pytest.raises(StillArriving):
            send(arriving(store), b"y")
        with pytest.raises(StillArriving):
            arriving(store).check()


def test_what_was_written_before_an_error_stays(store: BlobStore) -> None:
    blob = arriving(store)

    def breaks_off() -> None:
        with blob.appending(0) as file:
            file.write(CONTENT[:500])
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        breaks_off()
    assert blob.size() == 500


def test_other_bytes_than_announced_are_removed(store: BlobStore) -> None:
    blob = arriving(store)
    send(blob, CONTENT[:-1] + b"x")
    with pytest.raises(BytesChanged):
        blob.check()
    assert blob.size() == 0
    with pytest.raises(BytesChanged):
        blob.adopt()
    assert not store.exists("default", SHA256)


def test_a_damaged_blob_gives_way_to_what_was_checked(store: BlobStore) -> None:
    place = store.path("default", SHA256)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"cut off")
    blob = arriving(store)
    send(blob, CONTENT)
    blob.check()
    blob.adopt()
    assert store.read_verified("default", SHA256) == CONTENT


def test_what_is_given_up_for_a_week_goes_and_what_is_younger_stays(store: BlobStore) -> None:
    old, young = arriving(store), arriving(store, hashlib.sha256(b"other").digest())
    send(old, b"old")
    send(young, b"young")
    long_ago = time.time() - growing.FORGOTTEN_S - 60
    os.utime(old.part, (long_ago, long_ago))
    young.begin(10)
    assert (old.size(), young.size()) == (0, 5)


def test_a_full_disk_is_said_before_anything_is_sent(store: BlobStore) -> None:
    with pytest.raises(DiskFull):
        arriving(store).begin(2**60)


def test_tenants_do_not_meet(store: BlobStore) -> None:
    send(arriving(store), CONTENT)
    assert arriving(store, tenant="other").size() == 0
    with pytest.raises(BadBlobName):
        arriving(store, tenant="../default").begin(1)
