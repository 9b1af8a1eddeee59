"""The values this room hands out."""

from __future__ import annotations

import dataclasses
import datetime
from uuid import UUID

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import ProjectId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that happened, at its place in the tenant's one order."""

    seq: int
    at: datetime.datetime
    kind: str
    subject: UUID | None
    project_id: ProjectId | None
    body: dict[str, Json]
