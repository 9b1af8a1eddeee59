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


class PlaceKind(enum.StrEnum):
    """What makes a folder with models a place."""

    SCANNED = "scanned"
    """Somebody scanned it: machine and folder."""
    SHARED = "shared"
    """Several machines may see it: a network share, or a folder with a marker."""
    OWN = "own"
    """A folder of one machine, or what one worker states that does not tell its folders apart."""


class StatedBy(enum.StrEnum):
    """Who says where a model belongs or what it was made from."""

    HEADER = "header"
    """The file itself."""
    SIDECAR = "sidecar"
    """A file beside it."""
    LOOK_UP = "look-up"
    """A public service, asked by its hash."""
    PERSON = "person"
    """A person of this tenant, who is in the audit trail."""


class Via(enum.StrEnum):
    """How a model came from another."""

    LORA_BASE = "lora-base"
    """A LoRA, or something like it, trained on a base."""
    MERGE = "merge"
    FINETUNE = "finetune"
    QUANTISED = "quantised"
    CONVERTED = "converted"
    """The same weights in another format or precision."""


class FamilySource(enum.StrEnum):
    """Where a model comes from."""

    CIVITAI = "civitai"
    HUGGINGFACE = "huggingface"
    TRAINED_HERE = "trained-here"
    PERSON = "person"
    """A person named it, and nobody says where it comes from."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlaceView:
    """A folder with models, and who sees it now."""

    id: UUID
    kind: PlaceKind
    worker: str
    root: str
    workers: tuple[str, ...]
    names: int
    first_seen: datetime.datetime
    last_seen: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NameView:
    """A name that a model has or had, in one place. `workers`: who sees the place now, where workers tell of it."""

    worker: str
    root: str
    folder: str
    path: str
    seen_from: datetime.datetime
    seen_to: datetime.datetime | None
    place: PlaceKind = PlaceKind.SCANNED
    workers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """Which version of which family a file is, as somebody says."""

    file_id: UUID
    version_id: UUID
    family: str
    version: str
    source: FamilySource
    source_id: str | None
    version_source_id: str | None
    url: str | None
    base_name: str | None
    stated_by: StatedBy
    at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OriginView:
    """That a model was made from another, as somebody says. `parent` is None as long as no such file is known."""

    id: UUID
    child: bytes
    parent: bytes | None
    stated: str
    """The parent as it was named."""
    via: Via
    stated_by: StatedBy
    at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """A model that another was made from, directly (`depth` 1) or by way of others."""

    sha256: bytes | None
    """None: it is only named (`stated`), and no file of that name's hash is known."""
    stated: str
    via: Via
    """How `child`, the next one on the way down, was made from it."""
    child: bytes
    depth: int
    stated_by: StatedBy


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Descendant:
    """A model that was made from another, directly (`depth` 1) or by way of others."""

    sha256: bytes
    via: Via
    """How it was made from `parent`, the next one on the way up."""
    parent: bytes
    depth: int
    stated_by: StatedBy


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
    last_seen: datetime.datetime
    format: str
    base_name: str | None
    triggers: tuple[str, ...]
    version: VersionView | None
    """The statement that counts: a person's before what lies beside the file."""
    parents: tuple[OriginView, ...]
    children: int
    """Models that were made from it, CHILDREN_SHOWN at most."""
    drifted: tuple[str, ...]
    """Those of its present or past names (`folder/path`) that had other contents too."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetail:
    """A model with everything that is known about it."""

    model: ModelView
    stated: Mapping[str, Json]
    """What the file says about itself, shortened, unverified."""
    aliases: Mapping[str, str]
    """Other hashes by algorithm."""
    measured: frozenset[str]
    """The algorithms whose value we computed; the others the file states of itself."""
    findings: tuple[Mapping[str, str], ...]
    licences: tuple[LicenceStated, ...]
    versions: tuple[VersionView, ...]
    derived: tuple[OriginView, ...]
    """What was made from it, CHILDREN_SHOWN at most."""
    sidecar: Mapping[str, Json] | None
    """What lay beside the file and was believed."""


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
    where: str
    """Its place as the system names it: a share has a hundred thousand, of which few are opened."""
    size: int
    mtime_ns: int

    @property
    def place(self) -> Path:
        """Where it lies."""
        return Path(self.where)


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
