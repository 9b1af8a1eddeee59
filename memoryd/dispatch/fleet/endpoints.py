"""Workers over HTTP: inviting, showing, draining and removing them; joining, registering and heartbeats of their own."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from memoryd.access import audit
from memoryd.access.guards import Administrator, Office, Reader
from memoryd.comfyui.catalogue_document import PACKED_LIMIT
from memoryd.dispatch import (
    farm_changes,
    leases,
    model_descriptions,
    model_hashes,
    models_wire,
    node_specs,
    shown,
    wire,
    worker_details,
    workers,
)
from memoryd.dispatch.facts import LeaseKey, SignOfLife, WorkerState
from memoryd.dispatch.fleet import shown as fleet_shown
from memoryd.dispatch.guards import SpokenProtocol, WorkerCaller
from memoryd.dispatch.sockets import endpoints as sockets
from memoryd.foundation.database import take_farm
from memoryd.foundation.errors import TooLarge
from memoryd.foundation.ids import JobId, WorkerId

router = APIRouter()
router.include_router(sockets.router)


class CatalogueTooLarge(TooLarge):
    """This node catalogue is too large."""


# --- for people


@router.post("/workers", status_code=201)
def add_worker(work: Administrator, asked: shown.NewWorker) -> shown.JoinToken:
    """Make a one-time token with which a worker joins a pool, for this tenant's jobs."""
    facts = {"pool": asked.pool, "label": asked.label}
    audit.note(work.session, work.caller, "worker.invite", f"pool:{asked.pool[:80]}", dict(facts))
    take_farm(work.session)
    token = workers.make_join_token(
        work.session, pools=[asked.pool], tenants=[work.caller.tenant.id], label=asked.label
    )
    return shown.JoinToken(token=token, pool=asked.pool)


@router.get("/workers")
def list_workers(work: Reader) -> shown.Workers:
    """The workers that serve this tenant, those that left included."""
    take_farm(work.session)
    found = workers.list_workers(work.session, tenant_id=work.caller.tenant.id)
    return shown.Workers(items=[shown.show_worker(one) for one in found])


@router.get("/workers/{worker_id}")
def show_worker(work: Reader, worker_id: UUID) -> fleet_shown.WorkerPage:
    """One worker: GPU, ComfyUI, node packs, flags, what it runs, and when it was last heard."""
    take_farm(work.session)
    found = worker_details.find_worker(work.session, WorkerId(worker_id), tenant_id=work.caller.tenant.id)
    return fleet_shown.show_detail(found)


@router.get("/workers/{worker_id}/models")
def list_models(
    work: Reader, worker_id: UUID, cursor: str | None = None, limit: int | None = None
) -> fleet_shown.Models:
    """The model files that a worker has, with the hashes that it has measured so far."""
    take_farm(work.session)
    page = worker_details.list_models(
        work.session, WorkerId(worker_id), tenant_id=work.caller.tenant.id, cursor=cursor, limit=limit
    )
    return fleet_shown.Models(
        items=[fleet_shown.show_model(model) for model in page.rows], next_cursor=page.next_cursor
    )


@router.post("/workers/{worker_id}/drain", status_code=204)
def drain_worker(work: Administrator, worker_id: UUID) -> Response:
    """Let a worker finish what it has and take nothing new until its next start, or until it is undrained."""
    farm_changes.drain_worker(work.session, work.caller, WorkerId(worker_id))
    return Response(status_code=204)


@router.post("/workers/{worker_id}/undrain", status_code=204)
def undrain_worker(work: Administrator, worker_id: UUID) -> Response:
    """Let a drained worker take work again."""
    farm_changes.undrain_worker(work.session, work.caller, WorkerId(worker_id))
    return Response(status_code=204)


@router.delete("/workers/{worker_id}")
def remove_worker(work: Administrator, worker_id: UUID) -> fleet_shown.Removed:
    """Revoke a worker's key for good; what it runs waits again, uncounted."""
    return fleet_shown.Removed(given_back=farm_changes.remove_worker(work.session, work.caller, WorkerId(worker_id)))


# --- for workers


@router.post("/work/join")
def join(office: Office, spoken: SpokenProtocol, asked: wire.JoinRequest) -> wire.JoinAnswer:
    """Turn a one-time token into a worker with a key of its own."""
    with office.database.farm_work() as session:
        joined = workers.join(
            session, asked.token, label=asked.label, host=asked.host, gpu_uuid=asked.gpu_uuid, protocol=asked.protocol
        )
    return wire.JoinAnswer(worker_id=joined.worker_id, key=joined.key, pools=list(joined.pools))


@router.post("/work/register")
def register(office: Office, worker: WorkerCaller, asked: wire.RegisterRequest) -> wire.RegisterAnswer:
    """Note a start of a worker, and what it can do."""
    with office.database.farm_work() as session:
        present = workers.register(session, worker, asked)
        wanted = node_specs.wants_specs(session, worker)
        warm_up = workers.warm_up_graph(session, present)
        model_hashes.prune(session)
    return wire.RegisterAnswer(
        worker_id=worker.worker_id,
        heartbeat_s=workers.HEARTBEAT_S,
        pools=list(present.pools),
        nodes_wanted=wanted,
        warm_up=warm_up,
    )


@router.post("/work/models", status_code=204)
def state_hashes(office: Office, worker: WorkerCaller, asked: models_wire.ModelsRequest) -> Response:
    """Note what a worker has hashed since it registered."""
    with office.database.farm_work() as session:
        workers.check_start(workers.current(session, worker.worker_id), asked.incarnation)
        model_hashes.state_hashes(session, worker, asked.models)
    return Response(status_code=204)


@router.post("/work/models/shared")
def share_hashes(office: Office, worker: WorkerCaller, asked: models_wire.SharedRequest) -> models_wire.SharedAnswer:
    """Take what a worker measured of a folder that others see too, and say what is known or is its to measure."""
    with office.database.farm_work() as session:
        present = workers.current(session, worker.worker_id)
        model_hashes.tell(session, present, asked.place, asked.measured)
        return model_hashes.ask_for(session, present, asked.place, asked.files, take=asked.take)


@router.post("/work/models/described")
def describe_models(
    office: Office, worker: WorkerCaller, asked: models_wire.DescriptionsRequest
) -> models_wire.DescriptionsAnswer:
    """Note what a worker read in model files and beside them, and say of which others a description is wanted."""
    with office.database.farm_work() as session:
        present = workers.current(session, worker.worker_id)
        workers.check_start(present, asked.incarnation)
        model_descriptions.keep(session, present, asked.told)
        wanted = model_descriptions.list_wanted(session, present, asked.stamps)
    return models_wire.DescriptionsAnswer(wanted=[sha256.hex() for sha256 in wanted])


@router.put("/work/nodes/{sha256}", status_code=204)
async def keep_nodes(office: Office, worker: WorkerCaller, sha256: wire.Sha256Hex, request: Request) -> Response:
    """Keep what a worker's node classes take and give: zlib of ComfyUI's object_info, whose digest was registered."""
    packed = bytearray()
    async for chunk in request.stream():
        packed += chunk
        if len(packed) > PACKED_LIMIT:
            raise CatalogueTooLarge(f"more than {PACKED_LIMIT} bytes (PACKED_LIMIT)", hint="send it packed")
    await run_in_threadpool(_keep_nodes, office, worker, bytes.fromhex(sha256), bytes(packed))
    return Response(status_code=204)


def _keep_nodes(office: Office, worker: WorkerCaller, sha256: bytes, packed: bytes) -> None:
    with office.database.farm_work() as session:
        node_specs.keep_specs(session, worker, sha256, packed)


@router.post("/work/heartbeat")
def heartbeat(office: Office, worker: WorkerCaller, asked: wire.HeartbeatRequest) -> wire.HeartbeatAnswer:
    """Extend a worker's leases, and tell it which to stop. A start that another has replaced has lost all of them."""
    signs = [
        SignOfLife(
            lease=LeaseKey(job_id=JobId(beat.job_id), fence=beat.fence, token=beat.token),
            progress=beat.progress,
            phase=beat.phase,
            node=beat.node,
        )
        for beat in asked.leases
    ]
    with office.database.farm_work() as session:
        state, incarnation = workers.touch(session, worker.worker_id, vram_used_mb=asked.vram_used_mb)
        replaced = incarnation != asked.incarnation
        answers = (
            {sign.lease.job_id: wire.LeaseState.LOST for sign in signs}
            if replaced
            else leases.heartbeat(session, worker, signs)
        )
    return wire.HeartbeatAnswer(
        leases=[wire.BeatAnswer(job_id=job_id, answer=answer) for job_id, answer in answers.items()],
        drain=replaced or state is WorkerState.DRAINING,
    )


@router.post("/work/leave", status_code=204)
def leave(office: Office, worker: WorkerCaller, asked: wire.LeaveRequest) -> Response:
    """Note that this start of a worker takes no more work."""
    with office.database.farm_work() as session:
        workers.leave(session, worker, asked.incarnation)
    return Response(status_code=204)
