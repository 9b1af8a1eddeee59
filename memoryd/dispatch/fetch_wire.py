"""What a worker asks and hears of models that it lacks: shapes only, of the same protocol as `wire`.

A worker may ask only for what a job pins whose lease it holds; what it pulled for one tenant it keeps apart from others'.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from memoryd.dispatch.wire import Fence, Name, Pin, Sha256Hex, Shape


class ModelsAsked(Shape):
    """`POST /work/models/asked`: which of a leased job's pins the server's store has."""

    job_id: UUID
    fence: Fence
    token: str
    pins: Annotated[list[Pin], Field(max_length=500)]


class ModelOffered(Shape):
    """A pinned model that `GET /work/models/{sha256}` would give. `folder` and `name` are the pin's."""

    folder: Name
    name: Name
    sha256: Sha256Hex
    size: int = Field(ge=0, lt=2**63)


class ModelsOffered(Shape):
    """What the store has of what was asked for. `tenant` names whose they are, to nobody but this worker."""

    tenant: UUID
    models: list[ModelOffered] = Field(default_factory=list)


class HeldRequest(Shape):
    """`POST /work/models/held`: which of a tenant's models may not leave, since approved pictures hold them."""

    tenant: UUID
    sha256s: Annotated[list[Sha256Hex], Field(max_length=1_000)]


class HeldAnswer(Shape):
    """Those that stay."""

    held: list[Sha256Hex] = Field(default_factory=list)
