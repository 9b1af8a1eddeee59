"""The server's side of the worker protocol, as a real HTTP server with a queue in memory, and faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from memoryd.dispatch.result_wire import unpack_result
from memoryd.dispatch.wire import (
    Claimed,
    ClaimRequest,
    CompleteRequest,
    HeartbeatRequest,
    InputFile,
    JobKind,
    JoinRequest,
    Pin,
    RegisterRequest,
    ReleaseRequest,
)

TOKEN, KEY = "one-time-token", "worker-key"
WAIT_S = 60


@dataclasses.dataclass
class FakeServer:
    """What the server knows. Tests put jobs in `waiting` and read what the worker sent."""

    waiting: list[Claimed] = dataclasses.field(default_factory=list)
    held: dict[uuid.UUID, Claimed] = dataclasses.field(default_factory=dict)
    cancelled: set[uuid.UUID] = dataclasses.field(default_factory=set)
    joined: list[JoinRequest] = dataclasses.field(default_factory=list)
    registered: list[RegisterRequest] = dataclasses.field(default_factory=list)
    nodes: dict[str, bytes] = dataclasses.field(default_factory=dict)
    beats: list[HeartbeatRequest] = dataclasses.field(default_factory=list)
    completed: list[CompleteRequest] = dataclasses.field(default_factory=list)
    released: list[ReleaseRequest] = dataclasses.field(default_factory=list)
    left: list[str] = dataclasses.field(default_factory=list)
    stored: dict[tuple[uuid.UUID, int], bytes] = dataclasses.field(default_factory=dict)
    inputs: dict[str, bytes] = dataclasses.field(default_factory=dict)
    lose_replies: int = 0
    claims_asked: int = 0
    warm_up: str | None = None
    takes_results: bool = True
    knows_next: bool = True
    drains: bool = False
    report_takes_s: float = 0.0
    claims_at_report: list[int] = dataclasses.field(default_factory=list)
    """How often work had been asked for when each report was recorded."""
    down: bool = False
    url: str = ""

    def reset(self) -> None:
        """Forget everything but the address."""
        for field in dataclasses.fields(self):
            if field.name != "url":
                fresh = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
                setattr(self, field.name, fresh)

    def add(self, prompt: str, **facts: Any) -> Claimed:
        """Put a job into the queue."""
        defaults: dict[str, Any] = {
            "job_id": uuid.uuid4(),
            "fence": len(self.waiting) + len(self.held) + len(self.completed) + 1,
            "token": uuid.uuid4().hex,
            "attempt": 1,
            "kind": JobKind.RUN,
            "extra_data": "{}",
            "recompute": False,
            "inputs": [],
            "pins": [],
            "lease_s": 3,
            "deadline_s": 60,
        }
        job = Claimed(prompt=prompt, **{**defaults, **facts})
        self.waiting.append(job)
        return job

    def add_input(self, content: bytes, name: str, **place: str) -> InputFile:
        """Keep a file that a job reads."""
        digest = hashlib.sha256(content).hexdigest()
        self.inputs[digest] = content
        return InputFile(name=name, sha256=digest, size=len(content), **place)

    def wait_for(self, seen: Callable[[], object]) -> None:
        """Wait until something was seen."""
        until = time.monotonic() + WAIT_S
        while not seen():
            if time.monotonic() > until:
                raise AssertionError("it did not happen in time")
            time.sleep(0.01)

    def is_held(self, job_id: uuid.UUID, fence: int, token: str) -> bool:
        """Tell whether fence and token are the present ones."""
        job = self.held.get(job_id)
        return job is not None and (job.fence, job.token) == (fence, token)


@contextlib.contextmanager
def running_server() -> Iterator[FakeServer]:
    """A fake server that listens."""
    fake = FakeServer()
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(_app(fake), log_level="error", timeout_graceful_shutdown=1, ws="websockets-sansio")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    fake.wait_for(lambda: server.started)
    fake.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    try:
        yield fake
    finally:
        server.should_exit = True
        thread.join(timeout=5)
        taken.close()


def _app(fake: FakeServer) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def faults(request: Request, go_on: Any) -> Response:
        if fake.down:
            return JSONResponse({"type": "about:memoryd#database-down", "detail": "the database is away"}, 503)
        if request.headers.get("Memoryd-Protocol") != "1":
            return JSONResponse({"type": "about:memoryd#old-protocol", "detail": "protocol"}, 422)
        if not request.url.path.endswith("/join") and request.headers.get("Authorization") != f"Bearer {KEY}":
            return JSONResponse({"type": "about:memoryd#unknown-key", "detail": "unknown key"}, 401)
        answer: Response = await go_on(request)
        if request.url.path.endswith(("/complete", "/result")) and fake.lose_replies:
            fake.lose_replies -= 1
            return JSONResponse({"detail": "the reply was lost"}, 502)
        return answer

    @app.post("/v1/work/join")
    def join(request: JoinRequest) -> Any:
        fake.joined.append(request)
        if request.token != TOKEN:
            return JSONResponse({"type": "about:memoryd#unknown-token", "detail": "unknown token"}, 401)
        return {"worker_id": str(uuid.uuid4()), "key": KEY, "pools": ["default"]}

    @app.post("/v1/work/register")
    def register(request: RegisterRequest) -> Any:
        fake.registered.append(request)
        wanted = request.nodes_sha256 not in fake.nodes
        answer = {"worker_id": str(uuid.uuid4()), "heartbeat_s": 0.05, "pools": ["default"]}
        return {**answer, "nodes_wanted": wanted, "warm_up": fake.warm_up}

    @app.put("/v1/work/nodes/{sha256}")
    async def keep_nodes(sha256: str, request: Request) -> Any:
        fake.nodes[sha256] = await request.body()
        return Response(status_code=204)

    @app.post("/v1/work/claim")
    def claim(request: ClaimRequest) -> Any:
        fake.claims_asked += 1
        until = time.monotonic() + min(request.wait_s, 1)
        while time.monotonic() < until:
            if fake.waiting and not fake.left:
                job = fake.waiting.pop(0)
                fake.held[job.job_id] = job
                return Response('{"job": ' + job.model_dump_json() + "}", media_type="application/json")
            time.sleep(0.01)
        return Response(status_code=204)

    @app.post("/v1/work/heartbeat")
    def heartbeat(request: HeartbeatRequest) -> Any:
        fake.beats.append(request)
        return {
            "leases": [{"job_id": str(beat.job_id), "answer": word(beat)} for beat in request.leases],
            "drain": fake.drains,
        }

    def word(beat: Any) -> str:
        if not fake.is_held(beat.job_id, beat.fence, beat.token):
            return "lost"
        return "cancel" if beat.job_id in fake.cancelled else "ok"

    @app.get("/v1/work/inputs/{job_id}/{sha256}")
    def read_input(job_id: uuid.UUID, sha256: str, fence: int, token: str) -> Any:
        return Response(fake.inputs[sha256]) if fake.is_held(job_id, fence, token) else lost()

    @app.put("/v1/work/outputs/{job_id}/{index}")
    async def keep_output(job_id: uuid.UUID, index: int, fence: int, token: str, request: Request) -> Any:
        if not fake.is_held(job_id, fence, token):
            return lost()
        content = await request.body()
        fake.stored[job_id, index] = content
        return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}

    @app.post("/v1/work/complete")
    def complete(request: CompleteRequest) -> Any:
        if any((done.job_id, done.fence) == (request.job_id, request.fence) for done in fake.completed):
            return {"answer": "duplicate"}
        if not fake.is_held(request.job_id, request.fence, request.token):
            return lost()
        fake.completed.append(request)
        if not fake.lose_replies:
            del fake.held[request.job_id]
        return {"answer": "recorded", **({"next": brought(request)} if fake.knows_next else {})}

    def brought(request: CompleteRequest) -> Any:
        if request.next is None or not fake.waiting or fake.left:
            return None
        job = fake.waiting.pop(0)
        fake.held[job.job_id] = job
        return job.model_dump(mode="json")

    @app.post("/v1/work/result")
    async def result(request: Request) -> Any:
        if not fake.takes_results:
            return JSONResponse({"detail": "Not Found"}, 404)
        report, contents = unpack_result(await request.body())
        await asyncio.sleep(fake.report_takes_s)
        fake.claims_at_report.append(fake.claims_asked)
        answer = complete(report)
        if isinstance(answer, dict):
            fake.stored.update({(report.job_id, index): content for index, content in contents.items()})
        return answer

    @app.post("/v1/work/release")
    def release(request: ReleaseRequest) -> Any:
        fake.released.append(request)
        fake.held.pop(request.job_id, None)
        return {}

    @app.post("/v1/work/leave")
    async def leave(request: Request) -> Any:
        fake.left.append((await request.json())["incarnation"])
        return {}

    def lost() -> Response:
        return JSONResponse({"type": "about:memoryd#lease-lost", "detail": "the lease is another's"}, 409)

    return app


def pin(folder: str, name: str, sha256: str | None = None) -> Pin:
    """A pin."""
    return Pin(folder=folder, name=name, sha256=sha256)
