"""The shapes of these endpoints. Digests are lower-case hex; seeds are text, since JavaScript's numbers end at 2^53."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from memoryd.catalog.annotations import NOTE_LIMIT, STARS_LIMIT
from memoryd.catalog.attesting import PROMPT_LIMIT, Declaration
from memoryd.catalog.emptying import Emptied
from memoryd.catalog.holds.wire import HoldersShape
from memoryd.catalog.importing import FILES_LIMIT, MatchedBy, PeerSource
from memoryd.catalog.peers import NAME_LIMIT, NAMES_LIMIT, PATH_LIMIT, PeerFile
from memoryd.catalog.proposals import ProposalState
from memoryd.catalog.removal import ASSETS_LIMIT, RemovalKind
from memoryd.catalog.wire import BigInteger, FaceShape, Shape
from memoryd.foundation.reasons import REASON_LIMIT

Ref = Annotated[str, Field(min_length=1, max_length=5_000)]
PeerName = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT)]
ProjectSlug = Annotated[str | None, Field(default=None, max_length=80)]


class AttestationRequest(Shape):
    """What somebody declares of a picture's making."""

    made_by: str = Field(max_length=200, description="The tool: midjourney, photoshop, …")
    prompt: str | None = Field(default=None, max_length=PROMPT_LIMIT)
    negative: str | None = Field(default=None, max_length=PROMPT_LIMIT)
    model: str | None = Field(default=None, max_length=1_000)
    seed: str | None = Field(default=None, pattern=r"^\d{1,20}$")
    tool_version: str | None = Field(default=None, max_length=200)
    note: str | None = Field(default=None, max_length=NOTE_LIMIT)
    person: str | None = Field(default=None, max_length=200, description="The maker's login; without it you.")
    generated: bool = Field(default=True, description="Whether a trained model made it.")
    project: ProjectSlug

    def declaration(self) -> Declaration:
        """What is declared."""
        return Declaration(
            made_by=self.made_by,
            prompt=self.prompt,
            negative=self.negative,
            model=self.model,
            seed=None if self.seed is None else int(self.seed),
            tool_version=self.tool_version,
            note=self.note,
            person=self.person,
            generated=self.generated,
        )


class AttestationShape(Shape):
    """A declaration; `by` declared it, `person` made the picture."""

    id: UUID
    made_by: str
    generated: bool
    tool_version: str | None
    prompt: str | None
    negative: str | None
    model: str | None
    seed: BigInteger | None
    note: str | None
    project: str | None
    person: str | None
    by: str | None
    at: datetime.datetime
    withdrawn_at: datetime.datetime | None


class AttestationList(Shape):
    """What was declared of an asset, newest first."""

    items: list[AttestationShape]
    next_cursor: None = None


class Declared(Shape):
    """The declaration that was made."""

    id: UUID


class ParentRequest(Shape):
    """That this picture was made from another."""

    parent: Ref
    how: str = Field(max_length=80, description="retouched, upscaled, cropped, composited, edited, …")
    note: str | None = Field(default=None, max_length=NOTE_LIMIT)
    project: ProjectSlug


class ProposalShape(Shape):
    """A likeness that was noticed; the child may have been made from the parent."""

    id: UUID
    child: FaceShape
    parent: FaceShape
    how: str
    evidence: dict[str, object]
    state: ProposalState
    project: str | None
    by: str | None
    at: datetime.datetime
    decided_at: datetime.datetime | None


class ProposalList(Shape):
    """A page of proposals, newest first."""

    items: list[ProposalShape]
    next_cursor: str | None


class RemovalRequest(Shape):
    """Pictures to take out of a project's sight; `trashed` moves their files too."""

    refs: list[Ref] = Field(min_length=1, max_length=ASSETS_LIMIT)
    kind: RemovalKind
    reason: str | None = Field(default=None, max_length=NOTE_LIMIT)
    project: ProjectSlug


class LeftShape(Shape):
    """A file that stays where it is, and why."""

    path: str
    why: str


class MovedShape(Shape):
    """What became of one picture: `kind` is what it is, or was before it came back."""

    asset_id: UUID
    kind: RemovalKind
    files: int
    left: list[LeftShape]


class RemovalAnswer(Shape):
    """What changed; pictures that were so already are left out."""

    items: list[MovedShape]
    next_cursor: None = None


class RemovedShape(Shape):
    """A picture that a project removed; before `until` nothing of it is made final."""

    face: FaceShape
    project: str
    kind: RemovalKind
    reason: str | None
    by: str | None
    at: datetime.datetime
    until: datetime.datetime


class RemovedList(Shape):
    """A page of what was removed, newest first."""

    items: list[RemovedShape]
    next_cursor: str | None


class TrashedShape(Shape):
    """A file in a trash; it is not deleted before `until`."""

    id: UUID
    asset_id: UUID
    project: str
    path: str
    size: int
    at: datetime.datetime
    until: datetime.datetime
    trouble: str | None


class TrashedList(Shape):
    """A page of files in the trash, oldest first."""

    items: list[TrashedShape]
    next_cursor: str | None


class EmptyRequest(Shape):
    """Which files in the trash to delete for ever."""

    older_than_days: int = Field(ge=1, le=100_000)
    release_hold: str | None = Field(
        default=None,
        min_length=1,
        max_length=REASON_LIMIT,
        description="Why last copies of what approved pictures need may go too; without it they stay.",
    )


class EmptiedShape(Shape):
    """What emptying did. `erased`: pictures whose last bytes went; their record stays.

    `held`: what stays because it is the last copy of what approved pictures need.
    """

    files: int
    size: int
    erased: int
    left: list[LeftShape]
    held: list[HoldersShape]

    @classmethod
    def of(cls, done: Emptied) -> EmptiedShape:
        """The same as a shape."""
        return cls(
            files=done.files,
            size=done.size,
            erased=done.erased,
            left=[LeftShape.model_validate(one) for one in done.left],
            held=[HoldersShape.of(one) for one in done.held],
        )


class CollectRequest(Shape):
    """Which bytes in the store may go: what nothing refers to, and nobody stored or used for so long."""

    older_than_days: int = Field(ge=1, le=100_000)
    dry_run: bool = False


class CollectedShape(Shape):
    """What was taken away, or would be. `looked_at`: blobs that are old enough."""

    looked_at: int
    blobs: int
    size: int
    dry_run: bool


class TrashSwitch(Shape):
    """Whether files of a watched folder may be moved into its trash; `root` is its id or path."""

    root: Ref
    on: bool


class Switched(Shape):
    """The watched folder."""

    root_id: UUID
    on: bool


class PeerFileShape(Shape):
    """What another gallery, or a file's own XMP, says of one file."""

    path: str = Field(min_length=1, max_length=PATH_LIMIT)
    size: int | None = Field(default=None, ge=1, lt=2**62)
    tags: list[PeerName] = Field(default=[], max_length=NAMES_LIMIT + 1)
    stars: int | None = Field(default=None, ge=1, le=STARS_LIMIT)
    favourite: bool = False
    rejected: bool = False
    collections: list[PeerName] = Field(default=[], max_length=NAMES_LIMIT)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    def file(self) -> PeerFile:
        """The same as a value."""
        return PeerFile(
            path=self.path,
            size=self.size,
            tags=tuple(self.tags),
            stars=self.stars,
            favourite=self.favourite,
            rejected=self.rejected,
            collections=tuple(self.collections),
            sha256=None if self.sha256 is None else bytes.fromhex(self.sha256),
        )


class ImportRequest(Shape):
    """Marks of files to take over; with `dry_run` nothing stays."""

    source: PeerSource
    files: list[PeerFileShape] = Field(max_length=FILES_LIMIT)
    project: ProjectSlug
    dry_run: bool = False


class NotTakenShape(Shape):
    """A file of which nothing was taken over; `unknown` where its hash may help."""

    path: str
    why: str
    unknown: bool


class ImportedShape(Shape):
    """What an import did, or would do; `kept` counts what stays as it is here."""

    files: int
    matched: dict[MatchedBy, int]
    tags: int
    ratings: int
    collections: int
    rejected: int
    kept: int
    not_taken: list[NotTakenShape]
    unfit: list[str]


Decision = Literal["accept", "refuse"]
