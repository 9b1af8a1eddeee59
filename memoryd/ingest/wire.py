"""The shapes of this room's HTTP."""

from __future__ import annotations

import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from memoryd.catalog.facts import (
    Custody,
    FolderRule,
    RecordedAsset,
    RootDisclosure,
    RootState,
    RootWatcher,
    Watching,
    WatchRoot,
)
from memoryd.ingest.attributing import Explained
from memoryd.ingest.backlog import Plan
from memoryd.ingest.facts import QuarantinedFile, Recorded
from memoryd.ingest.opening import shown_path
from memoryd.ingest.runs import Run, RunState

PATHS_LIMIT = 1_000
PATH_LIMIT = 4_096
"""Characters of a path. Source: PATH_MAX of Linux."""


class Shape(BaseModel):
    """What all shapes share: a misspelt member is refused, so that it is no silent default."""

    model_config = ConfigDict(extra="forbid")


class IngestRequest(Shape):
    """Files and folders of the server's machine to be taken in."""

    paths: list[str] = Field(min_length=1, max_length=PATHS_LIMIT)
    project: str | None = None
    custody: Custody = Custody.REFERENCE


class PlanShape(Shape):
    """What taking in means. Sizes in bytes; the space only where files will be kept.

    Until `complete` there are at least so many: of a very large folder the rest is found while the first are read.
    """

    found: int
    known: int
    to_read: int
    size: int
    space_needed: int | None
    space_free: int | None
    complete: bool

    @classmethod
    def of(cls, plan: Plan) -> PlanShape:
        """Return the shape of a plan."""
        return cls(
            found=plan.found,
            known=plan.known,
            to_read=plan.to_read,
            size=plan.size,
            space_needed=plan.space.needed if plan.space else None,
            space_free=plan.space.free if plan.space else None,
            complete=plan.complete,
        )


class RunShape(Shape):
    """A taking-in and how far it is. Counts files; `size` is bytes recorded.

    `rate` is files a second since reading began, `seconds_left` what is left at that rate.
    """

    id: UUID
    state: RunState
    paths: list[str]
    by_person: UUID | None
    started_at: datetime.datetime
    ended_at: datetime.datetime | None
    rate: float | None
    seconds_left: float | None
    plan: PlanShape | None
    done: int
    new: int
    known: int
    quarantined: int
    ignored: int
    vanished: int
    findings: int
    size: int
    error: str | None
    hint: str | None

    @classmethod
    def of(cls, run: Run) -> RunShape:
        """Return the shape of a run as it stands."""
        progress = run.progress
        return cls(
            id=run.id,
            state=run.state,
            paths=[shown_path(path) for path in run.wish.paths],
            by_person=run.by_person,
            started_at=run.started_at,
            ended_at=run.ended_at,
            rate=None if run.rate is None else round(run.rate, 1),
            seconds_left=None if run.seconds_left is None else round(run.seconds_left, 1),
            plan=PlanShape.of(run.planned) if run.planned else None,
            done=progress.done,
            new=progress.new,
            known=progress.known,
            quarantined=progress.quarantined,
            ignored=progress.ignored,
            vanished=progress.vanished,
            findings=progress.findings,
            size=progress.size,
            error=run.error,
            hint=run.hint,
        )


class RunList(Shape):
    """Takings-in."""

    items: list[RunShape]
    next_cursor: str | None = None


class UploadShape(Shape):
    """What became of an upload. `new` is false where equal bytes were known."""

    asset_id: UUID
    sha256: str
    new: bool

    @classmethod
    def of(cls, asset: RecordedAsset) -> UploadShape:
        """Return the shape of a recorded asset."""
        return cls(asset_id=asset.asset_id, sha256=asset.sha256.hex(), new=asset.new)


class RuleShape(Shape):
    """Whose the files are whose path below the root matches `pattern` (`{project}/{person}/**`); a given name counts more."""

    pattern: str = Field(max_length=PATH_LIMIT)
    project: str | None = Field(default=None, max_length=200)
    person: str | None = Field(default=None, max_length=254)

    def fact(self) -> FolderRule:
        """The rule as it is kept."""
        return FolderRule(pattern=self.pattern, project=self.project, person=self.person)

    @classmethod
    def of(cls, rule: FolderRule) -> RuleShape:
        """Return the shape of a rule."""
        return cls(pattern=rule.pattern, project=rule.project, person=rule.person)


class NewRoot(Shape):
    """A folder to be watched: of the server's machine, or with `host` of another, whose watcher sends what it reads.

    `rules` say whose single files are, first match first; names that do not exist are a finding, or made as projects where
    `create_projects` says so.
    """

    path: str = Field(max_length=PATH_LIMIT)
    host: str | None = Field(default=None, min_length=1, max_length=253)
    project: str | None = None
    person: str | None = None
    rules: list[RuleShape] = Field(default_factory=list)
    create_projects: bool = False
    custody: Custody = Custody.REFERENCE
    aliases: dict[str, str] = Field(default_factory=dict)


class RootChange(Shape):
    """What is to change about a root; what is left out stays.

    `state` `online` says that the folder is the right one as it is now, and that what is gone from it is gone; `paused`
    stops watching. An alias of null is forgotten. `retired` forgets the folder, and nothing that was recorded from it.
    """

    state: Literal[RootState.ONLINE, RootState.PAUSED] | None = None
    aliases: dict[str, str | None] = Field(default_factory=dict)
    project: str | None = None
    person: str | None = None
    rules: list[RuleShape] | None = None
    create_projects: bool | None = None
    custody: Custody | None = None
    retired: bool | None = None


class RootShape(Shape):
    """A watched folder. `files` are those recorded as being there. `watched_by` `outpost`: a workstation's watcher sends them.

    `watching` tells whether it is watched by events or looked through, and `watching_why` what to do where events fail.
    """

    id: UUID
    host: str
    path: str
    state: RootState
    state_reason: str | None
    state_at: datetime.datetime
    scanned_at: datetime.datetime | None
    project_id: UUID | None
    person_id: UUID | None
    rules: list[RuleShape]
    create_projects: bool
    watched_by: RootWatcher
    watching: Watching | None
    watching_why: str | None
    custody: str
    disclosure: RootDisclosure
    aliases: dict[str, str]
    files: int
    retired: bool

    @classmethod
    def of(cls, root: WatchRoot, files: int) -> RootShape:
        """Return the shape of a root."""
        return cls(
            id=root.id,
            host=root.host,
            path=root.shown_path,
            state=root.state,
            state_reason=root.state_reason,
            state_at=root.state_at,
            scanned_at=root.scanned_at,
            project_id=root.project_id,
            person_id=root.person_id,
            rules=[RuleShape.of(rule) for rule in root.rules],
            create_projects=root.makes_projects,
            watched_by=root.watched_by,
            watching=root.watching,
            watching_why=root.watching_why,
            custody=root.custody,
            disclosure=RootDisclosure(root.disclosure),
            aliases=dict(root.aliases),
            files=files,
            retired=root.retired_at is not None,
        )


class RootList(Shape):
    """Watched folders."""

    items: list[RootShape]
    next_cursor: str | None = None


class AttributionShape(Shape):
    """How a file would be attributed: `by` a folder rule, the folder's default, or nothing. `missing` are names in vain."""

    path: str
    by: str | None
    rule: str | None
    project: str | None
    person: str | None
    would_make: str | None
    missing: list[str]

    @classmethod
    def of(cls, path: str, explained: Explained) -> AttributionShape:
        """Return the shape of an explanation."""
        return cls(
            path=path,
            by=explained.by,
            rule=explained.rule,
            project=explained.project,
            person=explained.person,
            would_make=explained.would_make,
            missing=list(explained.missing),
        )


class QuarantineShape(Shape):
    """A file that could not be read, and why."""

    id: UUID
    path: str
    root_id: UUID | None
    reason: str
    detail: str
    size: int | None
    tries: int
    first_seen_at: datetime.datetime
    next_try_at: datetime.datetime | None
    resolved_at: datetime.datetime | None

    @classmethod
    def of(cls, file: QuarantinedFile) -> QuarantineShape:
        """Return the shape of a quarantined file."""
        return cls(
            id=file.id,
            path=file.path,
            root_id=file.root_id,
            reason=file.reason,
            detail=file.detail,
            size=file.size,
            tries=file.tries,
            first_seen_at=file.first_seen_at,
            next_try_at=file.next_try_at,
            resolved_at=file.resolved_at,
        )


class QuarantineList(Shape):
    """Files that could not be read, newest first."""

    items: list[QuarantineShape]
    next_cursor: str | None


class RetryShape(Shape):
    """What became of one more try."""

    recorded: int
    quarantined: int
    vanished: int
    file: QuarantineShape

    @classmethod
    def of(cls, outcome: Recorded, file: QuarantinedFile) -> RetryShape:
        """Return the shape of an outcome."""
        return cls(
            recorded=len(outcome.assets),
            quarantined=outcome.quarantined,
            vanished=outcome.vanished,
            file=QuarantineShape.of(file),
        )
