"""`GET /work/socket`: one WebSocket per worker, for as long as its start is the present one."""

from __future__ import annotations

import asyncio
from uuid import UUID

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from memoryd.access.guards import Office
from memoryd.dispatch import live_runs, switchboard, workers
from memoryd.dispatch.facts import LeaseKey, WorkerIdentity, WorkerState
from memoryd.dispatch.guards import worker_at
from memoryd.dispatch.socket_wire import (
    MESSAGE_LIMIT,
    REPLACED_CODE,
    BadMessage,
    Ended,
    PictureHead,
    Progress,
    read_for_server,
    unpack_picture,
)
from memoryd.foundation.database import Database
from memoryd.foundation.errors import MemorydError, NotRecognised, Unavailable
from memoryd.foundation.ids import JobId
from memoryd.foundation.logging import log_for

router = APIRouter()

POLICY_CODE = 1008
TOO_LARGE_CODE = 1009
"""Source: RFC 6455, section 7.4.1, and the IANA registry of close codes."""

REFUSED_LIMIT = 50
"""Messages that name no lease of the worker, before its socket is closed: an honest one errs when a lease was just lost."""

_log = log_for(__name__)


@router.websocket("/work/socket")
async def hold_socket(websocket: WebSocket, office: Office, incarnation: UUID) -> None:
    """Tell a worker of work, cancels and drains at once; take progress and pictures of the leases that it proves."""
    try:
        worker = await worker_at(websocket, office.database)
        state = await run_in_threadpool(_present_state, office.database, worker, incarnation)
        connection = switchboard.switchboard_of(office.database).connect(worker, incarnation)
    except MemorydError as error:
        await websocket.send_denial_response(_problem(error))
        return
    if state is WorkerState.DRAINING:
        connection.drain()
    await websocket.accept()
    speaking = asyncio.create_task(_speak(websocket, office.database, connection))
    hearing = asyncio.create_task(_Hearing(websocket, office.database, connection).hear())
    try:
        await asyncio.wait({speaking, hearing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (speaking, hearing):
            task.cancel()
        ended = await asyncio.gather(speaking, hearing, return_exceptions=True)
        switchboard.switchboard_of(office.database).disconnect(connection)
    for fault in ended:
        # A worker that went away is no fault; anything else must be seen.
        if isinstance(fault, Exception) and not isinstance(fault, (WebSocketDisconnect, RuntimeError, OSError)):
            _log.error("the socket of worker %s ended", worker.label, exc_info=fault)


def _present_state(database: Database, worker: WorkerIdentity, incarnation: UUID) -> WorkerState:
    with database.farm_work() as session:
        present = workers.current(session, worker.worker_id)
    workers.check_start(present, incarnation)
    return present.state


async def _speak(websocket: WebSocket, database: Database, connection: switchboard.Connection) -> None:
    """Send what there is to say until the worker is another's, removed, or started anew."""
    while True:
        words = await connection.next()
        if connection.replaced:
            await websocket.close(REPLACED_CODE, "a newer socket of this worker")
            return
        if connection.doubted:
            connection.doubted = False
            try:
                state = await run_in_threadpool(_present_state, database, connection.worker, connection.incarnation)
            except Unavailable:
                # Whoever cannot be looked at now is believed for as long as a remembered key is.
                state = connection.worker.state
            except MemorydError as error:
                await websocket.close(POLICY_CODE, error.slug)
                return
            if state is WorkerState.DRAINING:
                connection.drain()
        for word in words:
            await websocket.send_text(word.model_dump_json())


class _Hearing:
    """What comes in over one socket, one message after the other: a worker that sends too fast waits."""

    def __init__(self, websocket: WebSocket, database: Database, connection: switchboard.Connection) -> None:
        self._websocket = websocket
        self._database = database
        self._connection = connection
        self._runs = live_runs.live_runs_of(database)
        self._refused = 0

    async def hear(self) -> None:
        """Take messages until the worker goes away, or says what no worker says."""
        code, reason = POLICY_CODE, "too many messages about leases of others"
        while self._refused < REFUSED_LIMIT:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text, content = message.get("text"), message.get("bytes")
            if content is not None and len(content) > MESSAGE_LIMIT:
                code, reason = TOO_LARGE_CODE, f"more than {MESSAGE_LIMIT} bytes"
                break
            try:
                if text is not None:
                    await self._hear_text(text)
                elif content is not None:
                    await self._hear_picture(*unpack_picture(content))
            except BadMessage as error:
                reason = error.detail[:100]
                break
            except Unavailable:
                # Nothing was proved; the worker goes on without being shown.
                continue
        await self._websocket.close(code, reason)

    async def _hear_text(self, text: str) -> None:
        told = read_for_server(text)
        lease = LeaseKey(job_id=JobId(told.job_id), fence=told.fence, token=told.token)
        match told:
            case Ended():
                if self._connection.has_proved(lease) and self._connection.forget(lease.job_id) == lease:
                    self._runs.end(lease.job_id, lease.fence)
            case Progress():
                if await self._proved(lease):
                    self._runs.tell(lease.job_id, lease.fence, progress=told.progress, phase=told.phase, node=told.node)

    async def _hear_picture(self, head: PictureHead, picture: bytes) -> None:
        lease = LeaseKey(job_id=JobId(head.job_id), fence=head.fence, token=head.token)
        if await self._proved(lease):
            self._runs.show(lease.job_id, lease.fence, media_type=head.media_type, content=picture, node=head.node)

    async def _proved(self, lease: LeaseKey) -> bool:
        # INV-4. Fence and token are compared by the database, then believed for a while: a picture costs no statement.
        if self._connection.has_proved(lease):
            return True
        proved = await run_in_threadpool(self._prove, lease)
        if not proved:
            self._refused += 1
        return proved

    def _prove(self, lease: LeaseKey) -> bool:
        with self._database.farm_work() as session:
            return switchboard.prove(session, self._connection, lease)


def _problem(error: MemorydError) -> JSONResponse:
    body = {"type": f"about:memoryd#{error.slug}", "title": error.title, "status": error.status, "detail": error.detail}
    if error.hint:
        body["hint"] = error.hint
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, NotRecognised) else None
    return JSONResponse(body, error.status, headers, media_type="application/problem+json")
