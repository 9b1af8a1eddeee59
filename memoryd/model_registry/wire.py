"""The shapes of this room's HTTP. Hashes are lower-case hex; nanoseconds are text, since they exceed 2^53."""

from __future__ import annotations

import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from memoryd.dispatch.models_wire import Count, FactsShape, ShortName, told_of
from memoryd.foundation.texts import storable
from memoryd.model_registry.facts import (
    LicenceSource,
    LicenceStated,
    ModelDetail,
    ModelView,
    NameView,
    Observation,
    PlaceKind,
    PresentName,
    Recorded,
    ScanProgress,
)
from memoryd.model_registry.provenance_wire import OriginShape, VersionShape
from memoryd.model_registry.provenance_wire import Shape as Shape
from memoryd.model_registry.recording import GONE_LIMIT, OBSERVATION_LIMIT
from memoryd.weights.describing import LICENCE_LIMIT

_HASH = r"^[0-9a-f]{64}$"
_Hash = Annotated[str, StringConstraints(pattern=_HASH)]
_Path = Annotated[str, StringConstraints(max_length=4_096)]
_Nanoseconds = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,18}$|^-?[0-8][0-9]{18}$")]


class LicenceShape(Shape):
    """A licence that somebody named for a model: a statement, not a verdict."""

    id: UUID
    name: str
    version: str
    url: str | None
    text_sha256: str | None
    stated_by: LicenceSource
    at: datetime.datetime
    also: list[str]

    @classmethod
    def of(cls, licence: LicenceStated) -> LicenceShape:
        """Return the shape of a statement."""
        return cls(
            id=licence.grant_id,
            name=licence.name,
            version=licence.version,
            url=licence.url,
            text_sha256=None if licence.text_sha256 is None else licence.text_sha256.hex(),
            stated_by=licence.source,
            at=licence.at,
            also=list(licence.also),
        )


class NameShape(Shape):
    """A name that a model has (`seen_to` null) or had."""

    worker: str
    root: str
    folder: str
    path: str
    seen_from: datetime.datetime
    seen_to: datetime.datetime | None
    place: PlaceKind
    workers: list[str]

    @classmethod
    def of(cls, name: NameView) -> NameShape:
        """Return the shape of a name."""
        return cls(
            worker=name.worker,
            root=name.root,
            folder=name.folder,
            path=name.path,
            seen_from=name.seen_from,
            seen_to=name.seen_to,
            place=name.place,
            workers=list(name.workers),
        )


class ModelShape(Shape):
    """A model; `licence` null is *unknown*, never *free*. `children` counts what was made from it, 100 at most."""

    sha256: str
    size: int
    kind: str
    base: str | None
    first_seen: datetime.datetime
    names: list[NameShape]
    licence: LicenceShape | None
    last_seen: datetime.datetime
    format: str
    base_name: str | None
    triggers: list[str]
    version: VersionShape | None
    parents: list[OriginShape]
    children: int
    drifted: list[str]

    @classmethod
    def of(cls, model: ModelView) -> ModelShape:
        """Return the shape of a model."""
        return cls(
            sha256=model.sha256.hex(),
            size=model.size,
            kind=model.kind,
            base=model.base,
            first_seen=model.first_seen,
            names=[NameShape.of(name) for name in model.names],
            licence=None if model.licence is None else LicenceShape.of(model.licence),
            last_seen=model.last_seen,
            format=model.format,
            base_name=model.base_name,
            triggers=list(model.triggers),
            version=None if model.version is None else VersionShape.of(model.version),
            parents=[OriginShape.of(parent) for parent in model.parents],
            children=model.children,
            drifted=list(model.drifted),
        )


class ModelDetailShape(ModelShape):
    """A model with everything that is known; `stated` is what the file says about itself, unverified."""

    stated: dict[str, Any]
    aliases: dict[str, str]
    measured: list[str]
    """The algorithms of `aliases` that we computed; the others the file states of itself."""
    findings: list[dict[str, str]]
    licences: list[LicenceShape]
    versions: list[VersionShape]
    derived: list[OriginShape]
    sidecar: dict[str, Any] | None

    @classmethod
    def of_detail(cls, detail: ModelDetail) -> ModelDetailShape:
        """Return the shape of a model with everything."""
        return cls(
            **dict(ModelShape.of(detail.model)),
            stated=dict(detail.stated),
            aliases=dict(detail.aliases),
            findings=[dict(finding) for finding in detail.findings],
            licences=[LicenceShape.of(licence) for licence in detail.licences],
            measured=sorted(detail.measured),
            versions=[VersionShape.of(version) for version in detail.versions],
            derived=[OriginShape.of(child) for child in detail.derived],
            sidecar=None if detail.sidecar is None else dict(detail.sidecar),
        )


class PresentNameShape(Shape):
    """A name as the last scan left it."""

    folder: str
    path: str
    size: int
    mtime_ns: str
    sha256: str | None

    @classmethod
    def row(cls, name: PresentName) -> dict[str, str | int | None]:
        """Return a present name in this shape, unchecked: it comes from the database."""
        return {
            "folder": name.folder,
            "path": name.path,
            "size": name.size,
            "mtime_ns": str(name.mtime_ns),
            "sha256": None if name.sha256 is None else name.sha256.hex(),
        }


class PresentNameList(Shape):
    """A page of present names."""

    items: list[PresentNameShape]
    next_cursor: str | None


class ObservationShape(FactsShape):
    """What a scan saw of one file; `sha256` null where it could not be read."""

    model_config = ConfigDict(extra="forbid")

    folder: ShortName
    path: _Path
    size: Count
    mtime_ns: _Nanoseconds
    sha256: _Hash | None

    @classmethod
    def of(cls, seen: Observation) -> ObservationShape:
        """Return the shape of an observation."""
        return cls.model_validate(
            {
                "folder": seen.folder,
                "path": seen.path,
                "size": seen.size,
                "mtime_ns": str(seen.mtime_ns),
                "sha256": None if seen.sha256 is None else seen.sha256.hex(),
                **told_of(seen.facts),
            }
        )

    def observation(self) -> Observation:
        """Return the observation that this shape describes, its texts fit for the database whoever sent them."""
        return Observation(
            folder=storable(self.folder)[0],
            path=storable(self.path)[0],
            size=self.size,
            mtime_ns=int(self.mtime_ns),
            sha256=None if self.sha256 is None else bytes.fromhex(self.sha256),
            facts=self.facts(),
        )


class GoneShape(Shape):
    """A name that a complete scan did not find any more."""

    folder: ShortName
    path: _Path


class ObservationBatch(Shape):
    """What a scan of `root` on `worker` saw."""

    worker: _Path
    root: _Path
    items: Annotated[list[ObservationShape], Field(max_length=OBSERVATION_LIMIT, default_factory=list)]
    gone: Annotated[list[GoneShape], Field(max_length=GONE_LIMIT, default_factory=list)]


class RecordedShape(Shape):
    """What recording changed; `names_changed` counts names whose content became another."""

    models_new: int
    names_new: int
    names_changed: int
    names_gone: int

    @classmethod
    def of(cls, recorded: Recorded) -> RecordedShape:
        """Return the shape of what was changed."""
        return cls(
            models_new=recorded.models_new,
            names_new=recorded.names_new,
            names_changed=recorded.names_changed,
            names_gone=recorded.names_gone,
        )


class ScanRequest(Shape):
    """A folder on the server's own disk."""

    folder: _Path


class ScanEvent(Shape):
    """One event of a scan: progress, then `recorded`, or `error` with its sentence and next step."""

    files_total: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    current: str = ""
    recorded: RecordedShape | None = None
    error: str | None = None
    hint: str | None = None

    @classmethod
    def of(cls, told: ScanProgress | Recorded) -> ScanEvent:
        """Return the shape of progress or of the outcome."""
        if isinstance(told, Recorded):
            return cls(recorded=RecordedShape.of(told))
        return cls(
            files_total=told.files_total,
            files_done=told.files_done,
            bytes_total=told.bytes_total,
            bytes_done=told.bytes_done,
            current=told.current,
        )


class LicenceRequest(Shape):
    """A licence to name for a model: an SPDX id or a title."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=LICENCE_LIMIT)]
    version: str = ""
    url: str | None = None
