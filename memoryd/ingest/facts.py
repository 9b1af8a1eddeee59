"""The values this room takes and hands out: files as prepared, runs as a job knows them, what became of a batch."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from memoryd.catalog.facts import AssetRecord, Custody, FolderRule, LocationRecord, RecordedAsset
from memoryd.catalog.ready_rows import ReadyAsset
from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.findings import Finding
from memoryd.foundation.ids import JobId, PersonId, ProjectId, QuarantineId, WatchRootId
from memoryd.ingest.folder_rules import attribute
from memoryd.workflows.editor.facts import WidgetOrder
from memoryd.workflows.editor.lessons import Lessons
from memoryd.workflows.editor.naming import Orders
from memoryd.workflows.facts import PreparedDocument, PreparedGraph
from memoryd.workflows.ready_rows import ReadyDocument, ReadyGraph

BATCH_LIMIT = 500
"""Files of one recording transaction at most. Source: inserts gain nothing beyond batches of 100 to 1,000."""


class StoredFile(Protocol):
    """Bytes that lie in the blob store under their SHA-256 (32 bytes). `storage.StoredBlob` is one."""

    @property
    def sha256(self) -> bytes:
        """32 bytes."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def key(self) -> str:
        """Where the store keeps it."""
        ...


class FileState(enum.StrEnum):
    """What one file turned out to be."""

    READ = "read"
    """A format plugin read it."""
    UNREAD = "unread"
    """Content that no plugin knows: recorded by its bytes, with the finding `no-plugin`."""
    IGNORED = "ignored"
    """Nothing a studio would look for (a text beside a picture, a hidden file): not recorded."""
    WAITING = "waiting"
    """Somebody may still be writing it: looked at again."""
    REFUSED = "refused"
    """Could not be read: goes to quarantine with its reason."""
    VANISHED = "vanished"
    """Was there when it was named, and was not when it was opened."""


class Reason(enum.StrEnum):
    """Why a file is in quarantine."""

    BROKEN = "broken"
    """Can never become a whole file of its format."""
    CUT_OFF = "cut-off"
    """Ends in the middle, and has not grown for CUT_OFF_AFTER_S."""
    OUTSIDE_FOLDER = "outside-folder"
    """Its path leads out of the folder it was named in."""
    SYMLINK_LOOP = "symlink-loop"
    UNREADABLE = "unreadable"
    """The file system refuses to read it."""
    NOT_A_FILE = "not-a-file"
    """A pipe, socket or device."""
    TOO_LARGE = "too-large"
    CHANGING = "changing"
    """Was rewritten again and again while being read."""
    FAULT = "fault"
    """memoryd itself failed on it; the exception's class is in the detail."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A file's face in its folder: enough to tell whether its content must be read again.

    Size in bytes, mtime in nanoseconds.
    """

    size: int
    mtime_ns: int
    inode: int
    device: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What reading knows beforehand of a tenant's nodes: what their ComfyUI told, and what files with both graphs taught.

    `lessons` is what this process still has to learn: it changes while files are read. Without it nothing is learned.
    """

    specs: NodeSpecs | None = None
    orders: Orders = dataclasses.field(default_factory=dict)
    lessons: Lessons | None = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder whose files are taken in, and how: nothing outside `path` is opened.

    Without `root_id` it is no watched root, and the locations of its files are absolute paths. `rules` say whose single
    files are, by names that `projects` and `people` resolve (names without an id do not exist); `rule` is the pattern that
    decided, and `findings` what it named in vain, in what `for_path` returns. `knowledge` helps to read its files.
    """

    path: Path
    root_id: WatchRootId | None = None
    project_id: ProjectId | None = None
    person_id: PersonId | None = None
    custody: Custody = Custody.REFERENCE
    rules: tuple[FolderRule, ...] = ()
    projects: Mapping[str, ProjectId] = dataclasses.field(default_factory=dict, hash=False)
    people: Mapping[str, PersonId] = dataclasses.field(default_factory=dict, hash=False)
    rule: str | None = None
    findings: tuple[Finding, ...] = ()
    knowledge: Knowledge | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def attribution_source(self) -> str | None:
        """Who says whose its files are: `folder-rule`, `folder` (the root's default), or nobody."""
        if self.rule is not None:
            return "folder-rule"
        return "folder" if self.project_id or self.person_id else None

    def for_path(self, place: bytes) -> Folder:
        """Return how the file at `place` (its path below the root) is taken in: as the first matching rule says."""
        told = attribute(self.rules, place)
        if told is None:
            return self
        project = None if told.project is None else self.projects.get(told.project)
        person = None if told.person is None else self.people.get(told.person)
        findings = tuple(
            Finding(code=f"no-such-{what}", detail=f"{name!r} by the folder rule {told.rule}", where=name)
            for what, name, found in (("project", told.project, project), ("person", told.person, person))
            if name is not None and found is None
        )
        return dataclasses.replace(
            self,
            project_id=project or self.project_id,
            person_id=person or self.person_id,
            rules=(),
            rule=told.rule if project or person else None,
            findings=findings,
        )


class ReadyFile(NamedTuple):
    """One new file as rows of all rooms' tables."""

    asset: ReadyAsset
    documents: tuple[ReadyDocument, ...]
    graph: ReadyGraph | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PreparedFile:
    """One file, read without a database: everything that recording needs to know.

    `place` is the path below the root (absolute without a root), `shown` the whole path as people read it. `asset`,
    `documents` and `graph` are there only in the states READ and UNREAD; `reason` only in REFUSED, and in WAITING what it
    would be refused for. `stored` is set when its bytes were copied into the blob store. `ready` stands in place of asset,
    documents, graph and findings where the file was made rows for a recorder of new files (`ingest.ready`). `learned` are
    the widget orders that its two graphs taught.
    """

    path: Path
    place: bytes
    shown: str
    state: FileState
    root_id: WatchRootId | None = None
    location: LocationRecord | None = None
    ready: ReadyFile | None = None
    asset: AssetRecord | None = None
    documents: tuple[PreparedDocument, ...] = ()
    graph: PreparedGraph | None = None
    stored: StoredFile | None = None
    reason: Reason | None = None
    detail: str = ""
    findings: tuple[Finding, ...] = ()
    learned: tuple[WidgetOrder, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A batch of files, read: at most BATCH_LIMIT. `seconds` are the processor's, by stage: read, carriers, graph, words."""

    folder: Folder
    files: tuple[PreparedFile, ...]
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    named: bool = False
    """Whether a person named these files one by one."""

    def in_state(self, *states: FileState) -> tuple[PreparedFile, ...]:
        """The files in one of these states, in order."""
        return tuple(file for file in self.files if file.state in states)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of a batch. `merkle_root` (32 bytes) is over the SHA-256 of its recorded files, as audited."""

    assets: tuple[RecordedAsset, ...] = ()
    new: int = 0
    known: int = 0
    quarantined: int = 0
    waiting: int = 0
    ignored: int = 0
    vanished: int = 0
    findings: int = 0
    size: int = 0
    merkle_root: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A run as the job that asked for it knows it: who and what is taken from here, never from the file.

    `prompt_document` is the executed prompt (API format), verbatim JSON bytes; `extra_documents` are the other texts
    that were sent with it ((key, JSON bytes), in order: `workflow`, …). `inputs` are the contents (32 bytes) that the
    worker put under the names the graph uses; `pins` are the weights (32 bytes) it proved for (role, name as written).
    `cached_nodes` were not executed again, by ComfyUI's own report.
    """

    job_id: JobId
    project_id: ProjectId | None
    person_id: PersonId | None
    prompt_document: bytes
    extra_documents: tuple[tuple[str, bytes], ...] = ()
    prompt_id: str | None = None
    environment: Mapping[str, Json] | None = None
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    cached_nodes: tuple[str, ...] = ()
    inputs: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    pins: Mapping[tuple[str, str], bytes] = dataclasses.field(default_factory=dict)
    attribution_source: str = "job"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobOutput:
    """One file a job made, already hashed and stored.

    `output` is the key of ComfyUI's history (`images`); `batch_index` counts within (node, output). `locations` is
    where a copy was written for people; `source` is where its bytes can be read while preparing (not needed later).
    """

    node: str
    filename: str
    sha256: bytes
    size: int
    media_type: str
    stored: StoredFile
    output: str = "images"
    batch_index: int | None = None
    location: LocationRecord | None = None
    source: Path | None = None


class RootHealth(enum.StrEnum):
    """Whether a root's folder can be trusted to say what is gone."""

    WELL = "well"
    UNREACHABLE = "unreachable"
    OTHER_DEVICE = "other-device"
    MARKER_LOST = "marker-lost"
    MASS_VANISHING = "mass-vanishing"
    """More vanished in one pass than people delete: a lost mount looks just so."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedFile:
    """A file that could not be read, and why. `place` is its path in bytes below the root (absolute where there is none),
    `path` the whole path as people read it.
    """

    id: QuarantineId
    root_id: WatchRootId | None
    place: bytes
    path: str
    size: int | None
    mtime_ns: int | None
    sha256: bytes | None
    reason: str
    detail: str
    tries: int
    first_seen_at: datetime.datetime
    next_try_at: datetime.datetime | None
    resolved_at: datetime.datetime | None
    project_id: ProjectId | None = None
    person_id: PersonId | None = None
    custody: Custody = Custody.REFERENCE


__all__ = [
    "BATCH_LIMIT",
    "Custody",
    "FileState",
    "Folder",
    "JobFacts",
    "JobOutput",
    "Prepared",
    "PreparedFile",
    "QuarantinedFile",
    "ReadyFile",
    "Reason",
    "Recorded",
    "RootHealth",
    "Seen",
    "StoredFile",
]
