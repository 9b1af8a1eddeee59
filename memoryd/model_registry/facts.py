"""The values this room hands out and takes."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from memoryd.foundation.canonical_json import Json
from memoryd.weights.describing import ModelFacts


class LicenceSource(enum.StrEnum):
    """Who named a licence for a model."""

    FILE = "file"
    """The file's own metadata: stated by whoever wrote it, verified by nobody."""
    PERSON = "person"
    """A person of this tenant, who is in the audit trail."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LicenceStated:
    """The licence that somebody named for a model. It is a statement, not a verdict on what may be done."""

    grant_id: UUID
    name: str
    version: str
    url: str | None
    text_sha256: bytes | None
    source: LicenceSource
    person_id: UUID | None
    at: datetime.datetime
    also: tuple[str, ...] = ()
    """Other licences that were named for the same model: a contradiction, or a choice."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NameView:
    """A name that a model has or had."""

    worker: str
    root: str
    folder: str
    path: str
    seen_from: datetime.datetime
    seen_to: datetime.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A model, as lists show it."""

    sha256: bytes
    size: int
    kind: str
    base: str | None
    first_seen: datetime.datetime
    names: tuple[NameView, ...]
    """Present names first."""
    licence: LicenceStated | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetail:
    """A model with everything that is known about it."""

    model: ModelView
    stated: Mapping[str, Json]
    """What the file says about itself, shortened, unverified."""
    aliases: Mapping[str, str]
    findings: tuple[Mapping[str, str], ...]
    licences: tuple[LicenceStated, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PresentName:
    """A name as the last scan left it: what a next scan compares with."""

    folder: str
    path: str
    size: int
    mtime_ns: int
    sha256: bytes | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model file as a folder lists it."""

    folder: str
    path: str
    place: Path
    size: int
    mtime_ns: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a scan saw of one file. `sha256` is None where it could not be read, and `facts.findings` say why."""

    folder: str
    path: str
    size: int
    mtime_ns: int
    sha256: bytes | None
    facts: ModelFacts


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What recording observations changed."""

    models_new: int = 0
    names_new: int = 0
    names_changed: int = 0
    """Names whose content became another: drift."""
    names_gone: int = 0

    def __add__(self, other: Recorded) -> Recorded:
        """Return both together."""
        return Recorded(
            models_new=self.models_new + other.models_new,
            names_new=self.names_new + other.names_new,
            names_changed=self.names_changed + other.names_changed,
            names_gone=self.names_gone + other.names_gone,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScanProgress:
    """How far a scan is. Unchanged files are counted as done when they are met."""

    files_total: int
    files_done: int
    bytes_total: int
    bytes_done: int
    current: str
