"""The worker's socket against a server that says a lot, says nothing, or reads nothing: the run never waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from memoryd.comfyui.frames import read_frame
from memoryd.dispatch.socket_wire import PICTURE_LIMIT, Cancel, Drain, Lost, Wake, read_for_server, unpack_picture
from memoryd.dispatch.wire import Claimed, JobKind
from memoryd.foundation.errors import Unavailable
from memoryd.worker import server_socket
from memoryd.worker.leases import Heartbeat, Lease, Rhythm
from memoryd.worker.server_link import KeyRefused, ServerLink
from memoryd.worker.server_socket import ServerSocket

PATIENCE_S = 20


class Heard:
    """Whoever is told, and holds leases."""

    def __init__(self) -> None:
        self.leases: list[Lease] = []
        self.words: list[object] = []

    def held(self) -> list[Lease]:
        return list(self.leases)

    def hear_wake(self) -> None:
        self.words.append("wake")

    def hear_drain(self) -> None:
        self.words.append("drain")

    def hear_cancel(self, job_id: uuid.UUID, fence: int) -> None:
        self.words.append(("cancel", job_id, fence))

    def hear_lost(self, job_id: uuid.UUID, fence: int) -> None:
        self.words.append(("lost", job_id, fence))


def lease() -> Lease:
    return Lease(
        Claimed(
            job_id=uuid.uuid4(),
            fence=7,
            token="t",
            attempt=1,
            kind=JobKind.RUN,
            prompt="{}",
            extra_data="{}",
            recompute=False,
            inputs=[],
            pins=[],
            lease_s=10,
            deadline_s=60,
        )
    )


@contextlib.contextmanager
def listening(talk: Callable[[ServerConnection], None]) -> Iterator[str]:
    """A server of sockets."""
    with serve(talk, "127.0.0.1", 0, compression=None, max_size=None, close_timeout=0.2) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def held(url: str, heard: Heard) -> Iterator[ServerSocket]:
    line = ServerSocket(lambda: connect(url, compression=None, close_timeout=1), heard)
    for one in heard.leases:
        one.news = line.news
    line.start()
    try:
        yield line
    finally:
        line.stop()


def until(true: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.01)


def test_what_the_server_says_is_heard() -> None:
    job_id = uuid.uuid4()

    def talk(line: ServerConnection) -> None:
        for word in (Wake(), Drain(), Cancel(job_id=job_id, fence=7), Lost(job_id=job_id, fence=6)):
            line.send(word.model_dump_json())
        line.send('{"type": "a word of a newer server"}')
        line.send(b"and bytes")
        line.send(Wake().model_dump_json())
        with contextlib.suppress(ConnectionClosed):
            line.recv()

    heard = Heard()
    with listening(talk) as url, held(url, heard):
        until(lambda: len(heard.words) == 5)
    assert heard.words == ["wake", "drain", ("cancel", job_id, 7), ("lost", job_id, 6), "wake"]


def test_progress_and_pictures_are_sent_until_the_lease_is_let_go() -> None:
    told: list[Any] = []

    def talk(line: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            told.extend(read_for_server(said) if isinstance(said, str) else unpack_picture(said) for said in line)

    heard, one = Heard(), lease()
    heard.leases.append(one)
    with listening(talk) as url, held(url, heard) as line:
        until(lambda: told)
        one.tell("running", node="3", progress=0.5)
        until(lambda: any(getattr(said, "progress", None) == 0.5 for said in told))
        one.show("image/jpeg", b"first")
        until(lambda: any(isinstance(said, tuple) for said in told))
        heard.leases.clear()
        line.news.set()
        until(lambda: getattr(told[-1], "type", "") == "ended")
    head, content = next(said for said in told if isinstance(said, tuple))
    assert (head.job_id, head.fence, head.token, head.node, content) == (one.claimed.job_id, 7, "t", "3", b"first")


def test_both_kinds_of_comfyuis_preview_frames_are_shown() -> None:
    plain = read_frame(b"\x00\x00\x00\x01\x00\x00\x00\x02" + b"png")
    facts = b'{"node_id": "9", "prompt_id": "p", "image_type": "image/webp"}'
    described = read_frame(b"\x00\x00\x00\x04" + len(facts).to_bytes(4, "big") + facts + b"webp")
    one = lease()
    shown = []
    for frame in (plain, described):
        one.show(frame.media_type, frame.image, getattr(frame, "node", None))  # type: ignore[union-attr]
        assert one.picture is not None
        message = server_socket._message(one.claimed, one.picture)
        assert message is not None
        head, content = unpack_picture(message)
        shown.append((head.media_type, head.node, content))
    assert shown == [("image/png", None, b"png"), ("image/webp", "9", b"webp")]


@pytest.mark.parametrize("picture", [("text/html", b"<script>"), ("image/png", b"x" * (PICTURE_LIMIT + 1))])
def test_what_is_no_picture_or_too_large_is_not_sent(picture: tuple[str, bytes]) -> None:
    one = lease()
    one.show(*picture)
    assert one.picture is not None
    assert server_socket._message(one.claimed, one.picture) is None


def test_a_server_that_reads_nothing_slows_no_run_and_gets_the_newest_afterwards() -> None:
    read, got = threading.Event(), list[bytes]()

    def talk(line: ServerConnection) -> None:
        read.wait(PATIENCE_S)
        with contextlib.suppress(ConnectionClosed):
            for said in line:
                if isinstance(said, bytes):
                    got.append(unpack_picture(said)[1])

    heard, one = Heard(), lease()
    heard.leases.append(one)
    with listening(talk) as url, held(url, heard):
        longest = 0.0
        for number in range(60):
            began = time.monotonic()
            one.tell("running", progress=number / 60)
            one.show("image/png", number.to_bytes(2, "big") * (PICTURE_LIMIT // 2))
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.02)
        read.set()
        until(lambda: got and got[-1][:2] == (59).to_bytes(2, "big"))
    assert longest < server_socket.SEND_LIMIT_S / 4
    assert len(got) < 60
    order = [int.from_bytes(content[:2], "big") for content in got]
    assert order == sorted(order)


def test_a_worker_ends_though_its_server_reads_nothing() -> None:
    ended = threading.Event()

    def talk(line: ServerConnection) -> None:
        ended.wait(PATIENCE_S)

    heard, one = Heard(), lease()
    heard.leases.append(one)
    with listening(talk) as url:
        with held(url, heard) as line:
            for number in range(200):
                one.show("image/png", bytes([number]) * PICTURE_LIMIT)
                if line._sending_since is not None and time.monotonic() - line._sending_since > 0.3:
                    break
                time.sleep(0.02)
        assert not line._thread.is_alive()
        ended.set()


def test_a_server_that_takes_nothing_for_long_is_left_and_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_socket, "SEND_LIMIT_S", 0.2)
    monkeypatch.setattr(server_socket, "LOOK_S", 0.05)
    monkeypatch.setattr(server_socket, "PAUSE_FIRST_S", 0.01)
    calls, ended = list[int](), threading.Event()

    def talk(line: ServerConnection) -> None:
        calls.append(1)
        ended.wait(PATIENCE_S)

    heard, one = Heard(), lease()
    heard.leases.append(one)
    with listening(talk) as url:
        with held(url, heard):
            limit = time.monotonic() + PATIENCE_S
            while len(calls) < 2 and time.monotonic() < limit:
                one.show("image/png", bytes(PICTURE_LIMIT))
                time.sleep(0.02)
        ended.set()
    assert len(calls) >= 2


def test_the_socket_is_opened_anew_with_pauses_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_socket, "PAUSE_FIRST_S", 0.01)
    tries: list[float] = []

    def refuse() -> Any:
        tries.append(time.monotonic())
        raise Unavailable("away")

    line = ServerSocket(refuse, Heard())
    line.start()
    until(lambda: len(tries) >= 5)
    line.stop()
    assert tries[4] - tries[3] > tries[1] - tries[0]


def test_a_server_without_a_socket_is_left_alone_for_minutes() -> None:
    tries: list[int] = []

    def refuse() -> Any:
        tries.append(1)
        raise KeyRefused("404")

    line = ServerSocket(refuse, Heard())
    line.start()
    until(lambda: tries)
    time.sleep(0.1)
    line.stop()
    assert len(tries) == 1


def test_the_lease_of_a_cancelled_run_hears_of_it_and_no_other(server: Any) -> None:
    heartbeat = Heartbeat(ServerLink(server.url, "worker-key"), uuid.uuid4(), Rhythm(wish_s=1))
    mine, other = lease(), lease()
    for one in (mine, other):
        heartbeat.hold(one)
    heartbeat.hear_cancel(mine.claimed.job_id, 6)
    assert not mine.cancelled.is_set()
    heartbeat.hear_cancel(mine.claimed.job_id, 7)
    heartbeat.hear_lost(other.claimed.job_id, 7)
    assert (mine.cancelled.is_set(), mine.lost.is_set()) == (True, False)
    assert (other.cancelled.is_set(), other.lost.is_set()) == (False, True)
    heartbeat.hear_drain()
    heartbeat.hear_wake()
    assert heartbeat.drain.is_set()
    assert heartbeat.woken.is_set()
