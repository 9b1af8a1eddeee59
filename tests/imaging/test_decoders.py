"""Decoding processes: files of any kind, limits of time, and a process that dies takes one file with it."""

from __future__ import annotations

import io
import os
import pickle
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memoryd.imaging import deriving_process
from memoryd.imaging.decoders import Decoders
from memoryd.imaging.derived import Derived
from memoryd.imaging.deriving import derive_bytes
from memoryd.imaging.recipes import EVERY_PART, Part

MakePng = Callable[..., bytes]


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(1)
    yield made
    made.close()


def test_another_process_derives_the_same(decoders: Decoders, png: MakePng, noise: Any, tmp_path: Path) -> None:
    content = png(noise(3))
    here = derive_bytes(content, EVERY_PART)
    assert decoders.derive(io.BytesIO(content), "image/png", EVERY_PART) == here
    (tmp_path / "a.png").write_bytes(content)
    with (tmp_path / "a.png").open("rb") as file:
        assert decoders.derive(file, "image/png", EVERY_PART) == here


def test_time_is_limited_and_the_next_file_is_decoded(decoders: Decoders, png: MakePng, noise: Any) -> None:
    content = png(noise(3))
    # On a busy machine the answer may be there before it is first looked for.
    told = {
        tuple(
            finding.code
            for finding in decoders.derive(io.BytesIO(content), "image/png", EVERY_PART, seconds=0.0).findings
        )
        for _ in range(5)
    }
    assert told <= {(), ("decoding-too-long",), ("decoder-died",)}
    assert told != {()}
    assert decoders.derive(io.BytesIO(content), "image/png", EVERY_PART).pictures


def test_a_dead_decoder_is_replaced(decoders: Decoders, png: MakePng, noise: Any) -> None:
    content = png(noise(3))
    decoders.derive(io.BytesIO(content), "image/png", EVERY_PART)
    [decoder] = list(decoders._free.queue)
    assert decoder is not None
    os.kill(decoder._process.pid, signal.SIGKILL)
    decoder._process.wait()
    assert decoders.derive(io.BytesIO(content), "image/png", frozenset({Part.FINGERPRINT})).fingerprints


def test_memory_that_is_refused_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object) -> Derived:
        raise MemoryError

    monkeypatch.setattr(deriving_process, "derive", greedy)
    derived = deriving_process.derive_within_limits(io.BytesIO(b"x"), "image/png", "thumbnail@2")
    assert [finding.code for finding in derived.findings] == ["memory-limit"]


def test_an_answer_that_is_more_than_an_answer_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for hostile in (pickle.dumps(os.getcwd), pickle.dumps(print), b"nonsense"):
            theirs.sendall(deriving_process._HEAD.pack(len(hostile), False) + hostile)
            with pytest.raises(EOFError):
                deriving_process.receive_derived(ours)
