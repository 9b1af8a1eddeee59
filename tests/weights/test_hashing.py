"""SHA-256 of large files, and the names that other tools know models by."""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from pathlib import Path

import pytest
from blake3 import blake3

from memoryd.weights import hashing
from memoryd.weights.hashing import FileChanged, hash_file

LONG_AGO_NS = 1_700_000_000_000_000_000


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(os.urandom(10_000))
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return path


def test_a_digest_comes_with_the_state_of_the_file(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "CHUNK", 4096)
    told: list[int] = []
    found = hash_file(weights, on_bytes=told.append)
    assert found.sha256 == hashlib.sha256(weights.read_bytes()).digest()
    assert (found.size, found.mtime_ns) == (10_000, LONG_AGO_NS)
    assert told == [4096, 4096, 1808]


def test_a_file_that_grows_while_it_is_read_is_not_believed(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "CHUNK", 4096)

    def grow(_: int) -> None:
        with weights.open("ab") as file:
            file.write(b"more")

    with pytest.raises(FileChanged):
        hash_file(weights, on_bytes=grow)


@pytest.mark.parametrize("size", [0, 9, 10_000, 5_000_000])
def test_the_names_other_tools_know_a_model_by_are_taken_from_the_same_reading(tmp_path: Path, size: int) -> None:
    header = b'{"__metadata__": {}}'
    behind = os.urandom(size)
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + behind)
    found = hash_file(path, aliases=True)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).digest()
    assert dict(found.aliases) == {
        "autov2": found.sha256.hex()[:10],
        "autov3": hashlib.sha256(behind).hexdigest()[:12],
        "blake3": blake3(path.read_bytes()).hexdigest(),
    }


def test_what_has_no_header_has_no_autov3(weights: Path) -> None:
    assert set(hash_file(weights, aliases=True).aliases) == {"autov2", "blake3"}


def test_a_reading_that_is_broken_off_leaves_no_thread_behind(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(hashing.SMALL + 1))

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_file(path, aliases=True, on_bytes=stop)
    assert not [thread for thread in threading.enumerate() if thread.name == "alias-hashing"]
