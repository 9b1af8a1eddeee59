"""SHA-256 of large files, and its memory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from memoryd.weights import hashing
from memoryd.weights.hashing import DigestMemory, FileChanged, hash_file

LONG_AGO_NS = 1_700_000_000_000_000_000


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(os.urandom(10_000))
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return path


def no_reading(_: int) -> None:
    raise AssertionError("the file was read")


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


def test_an_unchanged_file_is_read_once_even_by_the_next_process(weights: Path, tmp_path: Path) -> None:
    first = DigestMemory(tmp_path / "digests").hash_file(weights)
    assert DigestMemory(tmp_path / "digests").hash_file(weights, on_bytes=no_reading) == first


def test_a_changed_file_is_read_again(weights: Path, tmp_path: Path) -> None:
    memory = DigestMemory(tmp_path / "digests")
    first = memory.hash_file(weights)
    weights.write_bytes(os.urandom(10_000))
    assert memory.hash_file(weights).sha256 != first.sha256


def test_a_file_changed_a_moment_ago_is_not_remembered(weights: Path, tmp_path: Path) -> None:
    os.utime(weights)
    memory = DigestMemory(tmp_path / "digests")
    memory.hash_file(weights)
    with pytest.raises(AssertionError, match="was read"):
        memory.hash_file(weights, on_bytes=no_reading)


def test_a_damaged_memory_is_forgotten_and_not_believed(weights: Path, tmp_path: Path) -> None:
    DigestMemory(tmp_path / "digests").hash_file(weights)
    kept = (tmp_path / "digests").read_bytes()
    good = kept.replace(b"\n", b"")
    damaged = (kept[:40], good.replace(good.split(b'"')[3], b"z" * 64), b"\xff\n[]\n7\n{}")
    for content in damaged:
        (tmp_path / "digests").write_bytes(content)
        with pytest.raises(AssertionError, match="was read"):
            DigestMemory(tmp_path / "digests").hash_file(weights, on_bytes=no_reading)
