"""One worker as people read it over HTTP. The list's shape is in `dispatch.shown`."""

from __future__ import annotations

import datetime
from uuid import UUID

from pydantic import BaseModel

from memoryd.dispatch.facts import WorkerDetail, WorkerModelView
from memoryd.dispatch.shown import Worker, show_worker


class Gpu(BaseModel):
    """A worker's GPU; what nobody told is null."""

    name: str | None
    uuid: str | None
    vram_mb: int | None
    driver: str | None


class NodePack(BaseModel):
    """A folder of custom nodes: where it came from, and at which commit it stands."""

    name: str
    remote: str | None
    commit: str | None


class WorkerPage(Worker):
    """A worker with what it stated at its last start. `jobs` are those of one's own tenant that it runs now."""

    gpu: Gpu
    comfyui: str | None
    node_packs: list[NodePack]
    launch_flags: list[str]
    environment: dict[str, object]
    node_classes: int
    models_hashed: int
    jobs: list[UUID]
    shared: bool
    """Whether it works for other tenants too."""
    incarnation: UUID | None
    registered_at: datetime.datetime | None
    joined_at: datetime.datetime


class Model(BaseModel):
    """A model file of a worker; `sha256` is null until the worker has hashed it."""

    folder: str
    path: str
    size: int | None
    sha256: str | None


class Models(BaseModel):
    """A page of a worker's model files."""

    items: list[Model]
    next_cursor: str | None


class Removed(BaseModel):
    """A worker was removed; `given_back` counts the jobs that it ran, which wait again."""

    given_back: int


def show_detail(worker: WorkerDetail) -> WorkerPage:
    """Return a worker as people read it."""
    version = worker.environment.get("comfyui")
    return WorkerPage(
        **show_worker(worker.view).model_dump(),
        gpu=Gpu(name=worker.gpu_name, uuid=worker.view.gpu_uuid, vram_mb=worker.vram_mb, driver=worker.gpu_driver),
        comfyui=version if isinstance(version, str) else None,
        node_packs=[NodePack.model_validate(pack) for pack in worker.node_packs],
        launch_flags=list(worker.launch_flags),
        environment=dict(worker.environment),
        node_classes=worker.node_classes,
        models_hashed=worker.models_hashed,
        jobs=list(worker.job_ids),
        shared=not worker.own,
        incarnation=worker.incarnation,
        registered_at=worker.registered_at,
        joined_at=worker.created_at,
    )


def show_model(model: WorkerModelView) -> Model:
    """Return a model file as people read it."""
    return Model(
        folder=model.folder,
        path=model.path,
        size=model.size,
        sha256=model.sha256.hex() if model.sha256 is not None else None,
    )
