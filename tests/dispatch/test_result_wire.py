"""A result in one message, and what is none."""

from __future__ import annotations

import datetime
import struct
import uuid

import pytest

from memoryd.dispatch.result_wire import RESULT_LIMIT, BadResult, fits, pack_result, unpack_result
from memoryd.dispatch.wire import CompleteRequest, Outcome, Output


def output(index: int, size: int) -> Output:
    return Output(
        index=index,
        node="9",
        output="images",
        batch_index=index,
        filename="x.png",
        subfolder="",
        type="output",
        sha256="0" * 64,
        size=size,
        media_type="image/png",
    )


def report(*sizes: int) -> CompleteRequest:
    now = datetime.datetime.now(datetime.UTC)
    return CompleteRequest(
        job_id=uuid.uuid4(),
        fence=7,
        token="t",
        outcome=Outcome.OK,
        prompt_id=uuid.uuid4(),
        started_at=now,
        ended_at=now,
        cached_nodes=[],
        outputs=[output(index, size) for index, size in enumerate(sizes)],
        environment_sha256="0" * 64,
    )


def test_what_is_packed_is_unpacked() -> None:
    told = report(3, 0, 5)
    assert unpack_result(pack_result(told, [b"abc", b"", b"defgh"])) == (told, {0: b"abc", 1: b"", 2: b"defgh"})
    assert unpack_result(pack_result(report(), []))[1] == {}


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0\0\0\0",
        struct.pack(">I", 2**32 - 1) + b"{}",
        struct.pack(">I", 2) + b"{}",
        struct.pack(">I", 3) + b"\xff\xff\xff",
        pack_result(report(3), [b"ab"]),
        pack_result(report(3), [b"abcd"]),
        pack_result(report(2**62), [b"abcd"]),
        pack_result(report(-1), [b""]),
        b"x" * (RESULT_LIMIT + 1),
    ],
)
def test_what_is_no_result_is_refused(message: bytes) -> None:
    with pytest.raises(BadResult):
        unpack_result(message)


def test_a_large_result_goes_another_way() -> None:
    assert fits(report(RESULT_LIMIT // 2))
    assert not fits(report(RESULT_LIMIT // 2, 1))
