"""Bytes by their hash: whole or not there, and what they are called (INV-1)."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memoryd.foundation.byte_store import ByteStore
from memoryd.storage import copying
from memoryd.storage.blob_store import (
    BadBlobName,
    BlobDamaged,
    BlobMissing,
    BlobStore,
    BlobTooLarge,
    BytesChanged,
)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def everything_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_store_is_the_door_that_lower_rooms_name(store: BlobStore) -> None:
    door: ByteStore = store
    assert not door.exists("default", sha256(b"x"))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=4096))
def test_what_goes_in_comes_out(store: BlobStore, content: bytes) -> None:
    stored = store.put_bytes("default", content)
    assert (stored.sha256, stored.size) == (sha256(content), len(content))
    assert stored.key == f"default/{stored.sha256.hex()[:2]}/{stored.sha256.hex()}"
    assert store.read_verified("default", stored.sha256) == content
    with store.open_verified("default", stored.sha256) as file:
        assert file.read() == content


def test_a_file_is_copied_and_later_writes_into_it_change_nothing(store: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "picture.png"
    source.write_bytes(b"original" * 100_000)
    stored = store.put_file("default", source)
    with source.open("r+b") as file:
        file.write(b"REWRITTEN")
    assert store.read_verified("default", stored.sha256) == b"original" * 100_000
    assert source.stat().st_ino != store.path("default", stored.sha256).stat().st_ino


def test_a_blob_is_read_only_and_nothing_unfinished_remains(store: BlobStore) -> None:
    stored = store.put_bytes("default", b"bytes")
    assert everything_below(store.home) == [store.home / stored.key]
    assert (store.home / stored.key).stat().st_mode & 0o777 == 0o440


def test_bytes_other_than_announced_are_refused_and_leave_nothing(store: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "picture.png"
    source.write_bytes(b"new")
    with pytest.raises(BytesChanged):
        store.put_file("default", source, sha256=sha256(b"old"))
    assert everything_below(store.home) == []


def test_more_than_the_limit_is_refused_and_leaves_nothing(store: BlobStore) -> None:
    with pytest.raises(BlobTooLarge):
        store.put_stream("default", io.BytesIO(b"12345"), limit=4)
    assert store.put_stream("default", io.BytesIO(b"1234"), limit=4).size == 4
    assert len(everything_below(store.home)) == 1
    with pytest.raises(BlobTooLarge):
        store.read_verified("default", sha256(b"1234"), limit=3)


def test_a_writer_that_fails_leaves_nothing(store: BlobStore) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "the network share went away")

    with pytest.raises(OSError, match="went away"):
        store.put_stream("default", Broken())
    assert everything_below(store.home) == []


def test_a_flipped_bit_is_found_on_read(store: BlobStore) -> None:
    stored = store.put_bytes("default", b"sixteen bytes ok")
    path = store.home / stored.key
    path.chmod(0o600)
    path.write_bytes(b"sixteen bytes OK")
    for read in (store.open_verified, store.read_verified):
        with pytest.raises(BlobDamaged) as damaged:
            read("default", stored.sha256)
        assert damaged.value.hint


def test_a_truncated_blob_is_written_anew(store: BlobStore) -> None:
    stored = store.put_bytes("default", b"a whole blob")
    path = store.home / stored.key
    path.chmod(0o600)
    path.write_bytes(b"a who")
    store.put_bytes("default", b"a whole blob")
    assert store.read_verified("default", stored.sha256) == b"a whole blob"


def test_a_missing_blob_says_so(store: BlobStore) -> None:
    with pytest.raises(BlobMissing) as missing:
        store.open("default", sha256(b"never stored"))
    assert "backup" in str(missing.value.hint)


@pytest.mark.parametrize("tenant", ["", "..", ".staging", "a/b", "UPPER", "a" * 64])
def test_a_tenant_name_cannot_lead_out_of_the_store(store: BlobStore, tenant: str) -> None:
    for attempt in (
        lambda: store.path(tenant, sha256(b"")),
        lambda: store.put_bytes(tenant, b""),
        lambda: store.staging(tenant, uuid4(), 1),
    ):
        with pytest.raises(BadBlobName):
            attempt()
    assert not store.home.exists()


def test_a_hash_of_another_length_names_nothing(store: BlobStore) -> None:
    with pytest.raises(BadBlobName):
        store.exists("default", b"short")


def test_two_tenants_do_not_share_a_blob(store: BlobStore) -> None:
    stored = store.put_bytes("default", b"ours")
    assert not store.exists("other", stored.sha256)


def test_writers_of_the_same_bytes_all_succeed(store: BlobStore) -> None:
    content = os.urandom(300_000)
    outcomes: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(store.put_bytes("default", content).sha256)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [sha256(content)] * 8
    assert everything_below(store.home) == [store.path("default", sha256(content))]


@pytest.mark.parametrize("refused", [("reflink",), ("reflink", "in the kernel")])
def test_where_the_file_system_cannot_share_extents_bytes_are_copied(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: tuple[str, ...]
) -> None:
    def cannot(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(fcntl, "ioctl", cannot)
    if "in the kernel" in refused:
        monkeypatch.setattr(os, "copy_file_range", cannot)
    monkeypatch.setattr(copying, "COPY_CHUNK", 1000)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(10_001))
    stored = store.put_file("default", source)
    assert store.read_verified("default", stored.sha256) == source.read_bytes()


def test_a_full_disk_is_not_taken_for_a_missing_ability(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(fcntl, "ioctl", full)
    (tmp_path / "source").write_bytes(b"bytes")
    with pytest.raises(OSError, match="no space"):
        store.put_file("default", tmp_path / "source")
    assert everything_below(store.home) == []


def test_each_lease_of_a_job_stages_apart_and_all_are_cleared_together(store: BlobStore) -> None:
    job = uuid4()
    first, second = store.staging("default", job, 1), store.staging("default", job, 2)
    (first / "late.png").write_bytes(b"late")
    (second / "good.png").write_bytes(b"good")
    assert first != second
    assert store.staging("default", job, 2) == second
    store.clear_staging("default", job)
    store.clear_staging("default", job)
    assert everything_below(store.home) == []


def test_leftovers_of_a_dead_writer_are_swept_and_a_living_ones_are_not(store: BlobStore) -> None:
    store.put_bytes("default", b"bytes")
    for name, age_s in (("dead", 100_000), ("alive", 10)):
        path = store.home / "default" / ".unfinished" / name
        path.write_bytes(b"half")
        at = path.stat().st_mtime - age_s
        os.utime(path, (at, at))
    assert store.sweep_unfinished() == 1
    assert [path.name for path in everything_below(store.home / "default" / ".unfinished")] == ["alive"]


def test_a_removed_blob_is_gone(store: BlobStore) -> None:
    stored = store.put_bytes("default", b"bytes")
    assert store.remove("default", stored.sha256)
    assert not store.remove("default", stored.sha256)
    assert not store.exists("default", stored.sha256)
