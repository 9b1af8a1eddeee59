"""The values that go into the memory and come out of it."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from memoryd.foundation.findings import Finding
from memoryd.foundation.ids import AssetId, GenerationId, JobId, LocationId, PersonId, ProjectId, WatchRootId
from memoryd.workflows.facts import Parameters


class AssetKind(enum.StrEnum):
    """What kind of content an asset is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    LATENT = "latent"
    MODEL3D = "model3d"
    OTHER = "other"


class MadeSource(enum.StrEnum):
    """Where an asset's time of making comes from."""

    JOB = "job"
    FILE_METADATA = "file_metadata"
    FILE_TIME = "file_time"
    DECLARED = "declared"


class Succession(enum.StrEnum):
    """How an asset came from its predecessor in the line."""

    REWRITTEN = "rewritten"
    DISCLOSED = "disclosed"
    EXPORTED = "exported"
    REENCODED = "re-encoded"


class GenerationOrigin(enum.StrEnum):
    """Who told us of a generation."""

    JOB = "job"
    GATEWAY = "gateway"
    RECORDER = "recorder"
    HISTORY = "history"
    FILE = "file"
    DECLARED = "declared"


class LocationState(enum.StrEnum):
    """What is known of a place where a copy lies."""

    ARRIVING = "arriving"
    """Found by name; its content is not yet known."""
    RECORDED = "recorded"
    MISSING = "missing"
    """Was looked for in a reachable folder and was not there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LocationRecord:
    """A place where a copy lies: `path` in bytes, relative to its watch root (absolute where there is none).

    Size in bytes, mtime in nanoseconds.
    """

    watch_root_id: WatchRootId | None
    path: bytes
    size: int
    mtime_ns: int
    inode: int | None = None
    device: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OutputRecord:
    """Which output of a generation an asset is. `certain` is False where the file does not say and two could be meant."""

    node: str
    output: str = "images"
    batch_index: int | None = None
    certain: bool = True
    output_digest: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRecord:
    """One execution of a graph, as it will be stored.

    `run_key` names the run once and for ever: `job:<id>`, `prompt:<comfyui prompt id>`, `told:<tool>:<its job>`, or
    `file:<hex sha256>`.
    Digests are 32 bytes. `parameters` are those of this output.
    """

    run_key: str
    origin: GenerationOrigin
    exact: bytes | None
    prompt_document: bytes | None
    extra_documents: tuple[tuple[str, bytes], ...] = ()
    """(key, sha256) of every other text of the file, in file order."""
    output: OutputRecord
    parameters: Parameters
    environment: bytes | None = None
    job_id: JobId | None = None
    project_id: ProjectId | None = None
    person_id: PersonId | None = None
    attribution_source: str | None = None
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    cached: bool = False
    pins: Mapping[tuple[str, str], bytes] = dataclasses.field(default_factory=dict)
    """(role, name as written) -> SHA-256 of the weights that the worker proved it used."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SuccessionRecord:
    """That this asset follows another in its line. `of` is the predecessor's SHA-256 (recorded before or in this batch)."""

    of: bytes
    succession: Succession


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OwnClaim:
    """What our own `memoryd` text in a file claims: the job or asset that it says it is of. Both None: it says nothing."""

    job_id: JobId | None = None
    asset_id: AssetId | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AssetRecord:
    """One asset with all that is known of it at the moment of recording."""

    sha256: bytes
    size: int
    kind: AssetKind
    media_type: str
    made_at: datetime.datetime
    made_source: MadeSource
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    plugin: str = "none"
    plugin_version: str = "0"
    findings: tuple[Finding, ...] = ()
    generation: GenerationRecord | None = None
    succeeds: SuccessionRecord | None = None
    project_id: ProjectId | None = None
    person_id: PersonId | None = None
    locations: tuple[LocationRecord, ...] = ()
    words: str = ""
    """Text of a tsvector (`'fox':1,4 'm:tiny':2`) for asset_text, made by `catalog.search_document` in prepare."""
    claim: OwnClaim | None = None
    """What the file's own `memoryd` text claims; believed or not where it is recorded."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAsset:
    """What became of one AssetRecord. `new` is False where equal bytes were known already."""

    sha256: bytes
    asset_id: AssetId
    root_id: AssetId
    generation_id: GenerationId | None
    new: bool
    location_ids: tuple[LocationId, ...] = ()


class LocationPastReason(enum.StrEnum):
    """Why a place is no longer what it was."""

    OVERWRITTEN = "overwritten"
    """Other content was written under the same name."""
    RENAMED = "renamed"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place as recorded. `path` is relative to its watch root, absolute where there is none."""

    id: LocationId
    watch_root_id: WatchRootId | None
    path: bytes
    shown_path: str
    size: int
    mtime_ns: int
    inode: int | None
    device: int | None
    state: LocationState
    asset_id: AssetId | None
    project_id: ProjectId | None
    first_seen: datetime.datetime
    last_seen: datetime.datetime
    gone_at: datetime.datetime | None


class Custody(enum.StrEnum):
    """Who keeps the bytes of a watch root's files."""

    REFERENCE = "reference"
    """They are remembered where they lie."""
    KEEP = "keep"
    """A copy is kept in the blob store."""


class RootDisclosure(enum.StrEnum):
    """Whether files of a watch root are disclosed as they come."""

    OFF = "off"
    COPY = "copy"
    """A signed copy is put beside each new file."""
    IN_PLACE = "in_place"
    """A signed copy takes each new file's place; the original's bytes are kept in the blob store."""


class RootState(enum.StrEnum):
    """Whether what a watch root's folder shows can be trusted."""

    ONLINE = "online"
    OFFLINE = "offline"
    """Unreachable, another device, without its marker, or emptied at once: nothing is marked gone (INV-8)."""
    PAUSED = "paused"
    """Not watched, by a person's wish."""


class RootWatcher(enum.StrEnum):
    """Who watches a folder."""

    SERVER = "server"
    """A watcher that reaches the database, on the machine that the root names as its host."""
    OUTPOST = "outpost"
    """A watcher on a workstation, which sends what it reads. Its paths mean nothing on any server."""


class Watching(enum.StrEnum):
    """How a folder is watched."""

    EVENTS = "events"
    """The operating system tells of changes; a look from time to time makes up for what it did not tell."""
    POLLING = "polling"
    """It is looked through again and again."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FolderRule:
    """Whose the files below a root are, by their path: `pattern` is matched with the path below the root.

    A name that is given beats the pattern's placeholder (`{project}`, `{person}`) of the same kind.
    """

    pattern: str
    project: str | None = None
    person: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WatchRoot:
    """A watched folder. `aliases` maps a machine's name to the folder's path there (`render07` -> `Z:\\out`).

    `marker` is the content expected in its marker file; `device` the st_dev that it lay on when it was added.
    `makes_projects`: a project that a rule names and that does not exist is made. `watching_why` says what is to be done
    where it is not watched by events though it could be.
    """

    id: WatchRootId
    host: str
    path: bytes
    shown_path: str
    marker: str | None
    device: int | None
    aliases: Mapping[str, str]
    project_id: ProjectId | None
    person_id: PersonId | None
    person_rule: str | None
    custody: str
    disclosure: str
    state: RootState
    state_reason: str | None
    state_at: datetime.datetime
    scanned_at: datetime.datetime | None
    retired_at: datetime.datetime | None
    rules: tuple[FolderRule, ...] = ()
    makes_projects: bool = False
    watched_by: RootWatcher = RootWatcher.SERVER
    watching: Watching | None = None
    watching_why: str | None = None


class Sighting(enum.StrEnum):
    """What a file seen in a watched folder is, compared with what is recorded."""

    NEW = "new"
    """No such place is known."""
    SAME = "same"
    """As recorded; nothing to read."""
    CHANGED = "changed"
    """Another size, time (also an older one) or inode: its content must be read."""
    RENAMED = "renamed"
    """A known place under another name: it was moved along."""
    MAYBE_RENAMED = "maybe_renamed"
    """Like a known place that nobody has found gone yet: look there, then say which names are gone."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What became of one file that was seen. `location` is its place now; `before` the place that it was, or may be."""

    seen: LocationRecord
    sighting: Sighting
    location: Location | None = None
    before: Location | None = None
