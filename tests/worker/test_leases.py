"""Signs of life while the agent itself is busy: hashing, uploading, and Python code that lets nobody else run."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from typing import Any

from memoryd.dispatch.wire import HeartbeatAnswer, HeartbeatRequest
from memoryd.worker.leases import BEATS_PER_LEASE, Heartbeat, Lease, Rhythm
from memoryd.worker.server_link import ServerLink

LEASE_S = 10.0
"""The shortest visibility: realtime."""
BUSY_S = 2.0


class CountedLink(ServerLink):
    """A server that hears, and notes when."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.heard: list[float] = []

    def heartbeat(self, request: HeartbeatRequest) -> HeartbeatAnswer:
        self.heard.append(time.monotonic())
        # Spelled and read as over the wire: that work needs Python's lock as well.
        HeartbeatRequest.model_validate_json(request.model_dump_json())
        return HeartbeatAnswer(leases=[])


def _busy(until: float, kind: int) -> None:
    block = bytes(8 * 1024 * 1024)
    nodes = {str(number): {"class_type": "Node", "inputs": {"text": "x" * 50}} for number in range(20_000)}
    while time.monotonic() < until:
        match kind:
            case 0:
                hashlib.sha256(block).digest()  # lets go of the lock
            case 1:
                json.loads(json.dumps(nodes))  # holds it for a whole catalogue of nodes
            case _:
                sum(number * number for number in range(200_000))


def test_work_that_holds_pythons_lock_in_the_agent_does_not_cost_a_lease_of_ten_seconds(server: Any) -> None:
    link = CountedLink()
    heartbeat = Heartbeat(link, uuid.uuid4(), Rhythm(wish_s=0.05))
    job = server.add("{}", lease_s=LEASE_S)
    heartbeat.start()
    try:
        heartbeat.hold(Lease(job))
        until = time.monotonic() + BUSY_S
        threads = [threading.Thread(target=_busy, args=(until, kind % 3)) for kind in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        heartbeat.stop()
        link.close()
    longest = max(later - earlier for earlier, later in zip(link.heard, link.heard[1:], strict=False))
    assert len(link.heard) > 2
    # One sign of life may come late by this, and another be lost, before the lease is.
    assert longest < LEASE_S / BEATS_PER_LEASE


def test_the_rhythm_is_a_third_of_the_shortest_lease(server: Any) -> None:
    leases = [Lease(server.add("{}", lease_s=seconds)) for seconds in (10.0, 45.0)]
    assert Rhythm(wish_s=20).interval(leases) == 10 / BEATS_PER_LEASE
    assert Rhythm(wish_s=3).interval(leases) == 3
    assert Rhythm(wish_s=3).interval([]) == 3
