"""A job as a document that other programs can keep: `schemas/job.v1.schema.json` is generated from JobDocument."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from memoryd.access.facts import Sees
from memoryd.dispatch import jobs, workers
from memoryd.dispatch.facts import Urgency
from memoryd.dispatch.wire import InputFile, JobKind, Pin
from memoryd.foundation.canonical_json import read_json
from memoryd.foundation.database import Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.ids import JobId
from memoryd.foundation.texts import storable
from memoryd.submission import queries, viewing
from memoryd.submission.submitting import unpacked
from memoryd.workflows.facts import Parameters
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.parameters import read_parameters

SCHEMA_ID = "https://memoryd.dev/schemas/job.v1.schema.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Resolution(_Part):
    """Pixels that the graph asks for."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)


class JobDocument(_Part):
    """A job: what was asked for, for whom, where it may run, and what it is pinned to.

    `graph` is a prompt in ComfyUI's API format, its integers in full: they may exceed 2^53. `seed` is the one of the last
    sampler before the saved picture, as text; null where the graph does not say. `worker_image`: what the worker that ran
    it says it was started from, null where none ran it or it does not say.
    """

    schema_version: Literal["job.v1"] = "job.v1"
    job_id: UUID
    tenant: str
    project: str | None
    person: str | None
    kind: JobKind
    name: str
    priority_class: Urgency
    pool: str
    graph: dict[str, Any]
    resolution: Resolution | None
    seed: str | None = Field(pattern=r"^[0-9]{1,20}$")
    inputs: list[InputFile]
    pins: list[Pin]
    worker_image: str | None
    created_at: datetime.datetime
    expires_at: datetime.datetime | None


def make_document(session: Session, job_id: JobId, *, scope: TenantScope, sees: Sees) -> JobDocument:
    """Return a job's document. `session` is a unit of work of `scope`, and is one again afterwards.

    Raises: JobNotFound, also for a job of a project that the caller does not see.
    """
    view = viewing.job_view(session, job_id, scope=scope, sees=sees)
    detail = queries.find_detail(session, job_id=job_id)
    if detail is None:
        raise jobs.JobNotFound(f"job {job_id}", hint="`memoryd jobs list` shows yours")
    names = queries.find_names(session, project_id=view.project_id, person_id=view.person_id)
    prompt = unpacked(detail.prompt)
    graph, _ = parse_graph(prompt.encode("utf-8", "surrogatepass"))
    read = read_parameters(graph) if graph is not None else None
    return JobDocument(
        job_id=job_id,
        tenant=scope.slug,
        project=names.project,
        person=names.person,
        kind=view.kind,
        name=view.name,
        priority_class=view.standing.urgency,
        pool=view.standing.pool,
        graph=_plain(read_json(prompt)),
        resolution=_resolution(read),
        seed=_seed(read),
        inputs=[InputFile.model_validate(file) for file in detail.inputs],
        pins=[Pin.model_validate(pin) for pin in detail.pins],
        worker_image=_image(session, view.result, scope),
        created_at=view.created_at,
        expires_at=view.standing.expires_at,
    )


def schema_text() -> str:
    """Return the schema of JobDocument as it is published."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **JobDocument.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _resolution(read: Parameters | None) -> Resolution | None:
    if read is None or not read.width or not read.height or min(read.width, read.height) < 1:
        return None
    return Resolution(width=read.width, height=read.height)


def _seed(read: Parameters | None) -> str | None:
    seeds = [use.seed for use in read.samplers if use.seed is not None] if read is not None else []
    return str(seeds[-1]) if seeds and 0 <= seeds[-1] < 2**64 else None


def _image(session: Session, result: Mapping[str, Any] | None, scope: TenantScope) -> str | None:
    stated = (result or {}).get("environment_sha256")
    if not isinstance(stated, str):
        return None
    take_farm(session)
    environment = workers.find_environment(session, bytes.fromhex(stated))
    take_tenant(session, scope)
    image = environment.get("image") if environment is not None else None
    return image if isinstance(image, str) else None


def _plain(value: Any) -> Any:
    """Return a value that every reader of JSON takes: no lone surrogates, no NaN."""
    if isinstance(value, str):
        return storable(value)[0]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {storable(name)[0]: _plain(member) for name, member in value.items()}
    return value
