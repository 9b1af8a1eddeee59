"""The model store: pushed in parts, listed, pulled in parts; and lent to workers for the jobs they hold."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, BinaryIO
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from memoryd.access.guards import AdministratorCaller, IngesterCaller, Office, Reader, ReaderCaller
from memoryd.dispatch.facts import LeaseKey
from memoryd.dispatch.fetch_wire import HeldAnswer, HeldRequest, ModelsAsked, ModelsOffered
from memoryd.dispatch.guards import WorkerCaller
from memoryd.dispatch.wire import Fence, Sha256Hex
from memoryd.foundation.errors import TooLarge
from memoryd.foundation.ids import JobId
from memoryd.model_registry.keeping import copies, pushing
from memoryd.model_registry.keeping.facts import Announced
from memoryd.model_registry.keeping.pushing import PushState, Standing
from memoryd.model_registry.looking_up import find_model
from memoryd.storage.byte_ranges import Answer, ByteRange, asked_range, read_part
from memoryd.storage.growing import Growing
from memoryd.submission.stored_models import lending, room
from memoryd.submission.stored_models.wire import Discarded, PushAnswer, PushRequest, StoredModel, StoredModels

router = APIRouter(tags=["model store"])

PART_LIMIT = 256 * 1024**2
"""Bytes of one part of a push: what a broken connection may cost."""
_CHUNK = 1024 * 1024

Sha256 = Annotated[Sha256Hex, Path(description="the weights' SHA-256")]
_PARTS: dict[int | str, dict[str, Any]] = {
    206: {"description": "The part that was asked for"},
    416: {"description": "It lies beyond the end"},
}


class PartTooLarge(TooLarge):
    """This part of a push is too large."""


# --- for people


@router.get("/models/stored")
def list_stored(work: Reader, office: Office, cursor: str | None = None, limit: int | None = None) -> StoredModels:
    """What the model store has, how much room it takes, and why what cannot leave stays."""
    page = copies.list_copies(work.session, cursor=cursor, limit=limit)
    count, size = copies.sum_sizes(work.session)
    needs = room.needs_of(work.session, work.caller.tenant, [copy.sha256 for copy in page.rows], work.caller.sees)
    return StoredModels(
        items=[StoredModel.of(copy, needs) for copy in page.rows],
        next_cursor=page.next_cursor,
        count=count,
        size=size,
        limit=office.settings.model_store_limit,
    )


@router.get("/models/stored/{sha256}")
def show_stored(sha256: Sha256, work: Reader) -> StoredModel:
    """One model of the store."""
    copy = copies.find_copy(work.session, bytes.fromhex(sha256))
    return StoredModel.of(copy, room.needs_of(work.session, work.caller.tenant, [copy.sha256], work.caller.sees))


@router.post("/models/stored/{sha256}")
def begin_push(sha256: Sha256, caller: IngesterCaller, office: Office, asked: PushRequest) -> PushAnswer:
    """Announce weights: says from which byte on they are wanted, or that nothing need be sent."""
    wanted, store = _announced(sha256, asked), copies.model_store(office.store)
    limit = office.settings.model_store_limit
    if limit is not None and wanted.size > limit:
        raise room.StoreFull(f"{wanted.size} bytes, the store takes {limit}", hint="raise MEMORYD_MODEL_STORE_LIMIT")
    with office.database.tenant_work(caller.tenant) as session:
        return PushAnswer.of(pushing.begin(session, store, caller.tenant.slug, wanted))


@router.patch("/models/stored/{sha256}")
async def take_part(
    sha256: Sha256, request: Request, caller: IngesterCaller, office: Office, offset: Annotated[int, Query(ge=0)]
) -> PushAnswer:
    """Take bytes from `offset` on; 409 with the right `offset` where others are wanted. What arrived stays."""
    growing = Growing(store=copies.model_store(office.store), tenant=caller.tenant.slug, sha256=bytes.fromhex(sha256))
    with contextlib.ExitStack() as stack:
        file = await run_in_threadpool(stack.enter_context, growing.appending(offset))
        try:
            received = await _receive(request, file, left=min(PART_LIMIT, pushing.SIZE_LIMIT - offset))
        finally:
            # The flush to disk is not for the loop.
            await run_in_threadpool(stack.close)
    return PushAnswer(state="wanted", offset=offset + received)


@router.post("/models/stored/{sha256}/finish")
def finish_push(sha256: Sha256, caller: IngesterCaller, office: Office, asked: PushRequest) -> PushAnswer:
    """Have all bytes read back and compared with the hash, and list them; `checking` after a while: ask again."""
    wanted, store = _announced(sha256, asked), copies.model_store(office.store)
    with office.database.tenant_work(caller.tenant) as session:
        standing = pushing.begin(session, store, caller.tenant.slug, wanted)
    if standing.standing is not Standing.CHECKING:
        return PushAnswer.of(standing)
    if not pushing.check(store, caller.tenant.slug, wanted):
        return PushAnswer.of(standing)
    facts = pushing.describe(store, caller.tenant.slug, wanted)
    with office.database.tenant_work(caller.tenant) as session:
        dropped = room.make_room(session, caller, wanted, office.settings.model_store_limit)
        copy = pushing.keep(session, store, caller, wanted, facts)
    pushing.forget_arrival(store, caller.tenant.slug, wanted.sha256)
    if dropped:
        with office.database.tenant_work(caller.tenant) as session:
            pushing.take_away(session, store, caller.tenant.slug)
    return PushAnswer.of(PushState(standing=Standing.STORED, offset=copy.size))


@router.delete("/models/stored/{sha256}")
def discard_stored(sha256: Sha256, caller: AdministratorCaller, office: Office) -> Discarded:
    """Take weights out of the store; 409 while a job waits for them or an approved picture holds them."""
    store = copies.model_store(office.store)
    return Discarded(size=room.discard(office.database, store, caller, bytes.fromhex(sha256)))


@router.get("/models/{ref:path}/content", response_class=StreamingResponse, responses=_PARTS)
def pull(
    ref: Annotated[str, Path(description="a SHA-256 or its beginning, another hash, `folder/path`, or a name")],
    caller: ReaderCaller,
    office: Office,
    wanted: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
    condition: Annotated[str | None, Header(alias="If-Range", max_length=200)] = None,
) -> Response:
    """A model's bytes from the store; with `Range: bytes=first-last` that part. Whoever pulls checks the hash (ETag)."""
    with office.database.tenant_work(caller.tenant) as session:
        copy = copies.find_copy(session, find_model(session, ref))
        copies.touch(session, [copy.sha256])
    file = copies.open_copy(office.store, caller.tenant.slug, copy.sha256)
    return _sent(file, copy.sha256, copy.size, wanted, condition)


# --- for workers


@router.post("/work/models/asked")
def ask_for_models(office: Office, worker: WorkerCaller, asked: ModelsAsked) -> ModelsOffered:
    """Which of a leased job's pinned models the store has."""
    lease = LeaseKey(job_id=JobId(asked.job_id), fence=asked.fence, token=asked.token)
    return lending.offer(office.database, office.store, worker, lease, asked.pins)


@router.post("/work/models/held")
def ask_for_held(office: Office, worker: WorkerCaller, asked: HeldRequest) -> HeldAnswer:
    """Which of the models that a worker pulled for a tenant may not leave, since approved pictures hold them."""
    return lending.held(office.database, worker, asked)


@router.get("/work/models/{sha256}", response_class=StreamingResponse, responses=_PARTS)
def lend_model(
    sha256: Sha256,
    office: Office,
    worker: WorkerCaller,
    job_id: UUID,
    fence: Fence,
    token: str,
    wanted: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
    condition: Annotated[str | None, Header(alias="If-Range", max_length=200)] = None,
) -> Response:
    """A model that a leased job pins, whole or in part; the worker checks its hash."""
    lease = LeaseKey(job_id=JobId(job_id), fence=fence, token=token)
    lent = lending.lend(office.database, office.store, worker, lease, bytes.fromhex(sha256))
    return _sent(lent.file, lent.sha256, lent.size, wanted, condition)


def _announced(sha256: str, asked: PushRequest) -> Announced:
    return pushing.announced(bytes.fromhex(sha256), size=asked.size, folder=asked.folder, name=asked.name)


async def _receive(request: Request, file: BinaryIO, *, left: int) -> int:
    """Write a request's body, gathered to larger writes; return its bytes. Raises: PartTooLarge."""
    received, gathered = 0, bytearray()
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > left:
                raise PartTooLarge(f"more than {left} bytes", hint="send smaller parts (PART_LIMIT)", limit=left)
            gathered += chunk
            if len(gathered) >= _CHUNK:
                await run_in_threadpool(file.write, bytes(gathered))
                gathered.clear()
    finally:
        # What arrived before the connection broke need not be sent again.
        await run_in_threadpool(file.write, bytes(gathered))
    return received


def _sent(file: BinaryIO, sha256: bytes, size: int, wanted: str | None, condition: str | None) -> Response:
    etag = f'"{sha256.hex()}"'
    part = asked_range(wanted, condition, etag=etag, size=size)
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if part is Answer.NOT_SATISFIABLE:
        file.close()
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    length = size
    if isinstance(part, ByteRange):
        file.seek(part.first)
        length = part.length
        headers["Content-Range"] = part.content_range
    return StreamingResponse(
        read_part(file, length),
        status_code=206 if isinstance(part, ByteRange) else 200,
        media_type="application/octet-stream",
        headers=headers | {"Content-Length": str(length), "X-Content-Type-Options": "nosniff"},
    )
