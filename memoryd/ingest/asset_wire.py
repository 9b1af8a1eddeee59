"""What is sent to `POST /v1/assets`, and what is answered: for whoever reads files elsewhere. Knows no database.

Facts are texts as they stand in the file (carriers), never what somebody made of them: the server understands them itself.
"""

from __future__ import annotations

import datetime
import enum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

ASSETS_LIMIT = 200
"""Assets of one request."""

BODY_LIMIT = 64 * 2**20
"""Bytes of a request's facts. Files that are sent along are not counted: UPLOAD_LIMIT is theirs."""

FILES_LIMIT = 20
"""Files that one request brings."""

CARRIERS_LIMIT = 1_000
"""Texts of one file. Source: a workflow with every node's state in a tag of its own has some hundreds."""

THUMBNAIL_LIMIT = 512 * 2**10
"""Bytes of a thumbnail as sent."""

PATH_LIMIT = 4_096
GONE_LIMIT = 10_000
"""Paths of one request that are no longer there."""

Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
MediaType = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-zA-Z0-9.+_-]{1,100}$")]


class Shape(BaseModel):
    """What all shapes share: a misspelt member is refused."""

    model_config = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class CarrierSent(Shape):
    """One text of a file, verbatim (`raw` in base64), with where it stood: `place` such as `png:tEXt`, and its `key`."""

    place: str = Field(max_length=100)
    key: str = Field(max_length=1_000)
    raw: bytes


class FindingSent(Shape):
    """Something that the sender could not read."""

    code: str = Field(max_length=100)
    detail: str = Field(default="", max_length=2_000)
    where: str = Field(default="", max_length=1_000)


class AssetSent(Shape):
    """One file as it lies elsewhere. `path` is below the root (or the plain name without one), with `/` between folders.

    `prompt` and `workflow` are the indices of the carriers with ComfyUI's executed and editor graphs; without them they are
    the carriers whose keys are these words. `thumbnail` is a small picture (in base64), of any common format.
    """

    sha256: Sha256Hex
    size: int = Field(ge=0, lt=2**53)
    media_type: MediaType
    path: str = Field(min_length=1, max_length=PATH_LIMIT)
    modified_at: datetime.datetime
    width: int | None = Field(default=None, ge=1, lt=2**31)
    height: int | None = Field(default=None, ge=1, lt=2**31)
    frames: int | None = Field(default=None, ge=0, lt=2**31)
    plugin: str = Field(default="", max_length=100)
    plugin_version: str = Field(default="", max_length=100)
    carriers: list[CarrierSent] = Field(default_factory=list, max_length=CARRIERS_LIMIT)
    prompt: int | None = Field(default=None, ge=0)
    workflow: int | None = Field(default=None, ge=0)
    findings: list[FindingSent] = Field(default_factory=list, max_length=100)
    thumbnail: bytes | None = None

    @model_validator(mode="after")
    def _sound(self) -> AssetSent:
        for index in (self.prompt, self.workflow):
            if index is not None and index >= len(self.carriers):
                raise ValueError("prompt and workflow are indices of carriers")
        parts = self.path.split("/")
        if self.path.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in self.path:
            raise ValueError("path is below the root, with `/` between folders")
        if self.thumbnail is not None and len(self.thumbnail) > THUMBNAIL_LIMIT:
            raise ValueError(f"the thumbnail has more than {THUMBNAIL_LIMIT} bytes (THUMBNAIL_LIMIT)")
        if self.modified_at.tzinfo is None:
            raise ValueError("modified_at has a time zone")
        return self


class AssetsSent(Shape):
    """A batch of files of one root (`root` is its id), or of none in a project. `gone` are paths that are there no more."""

    root: UUID | None = None
    project: str | None = Field(default=None, max_length=100)
    assets: list[AssetSent] = Field(default_factory=list, max_length=ASSETS_LIMIT)
    gone: list[Annotated[str, StringConstraints(min_length=1, max_length=PATH_LIMIT)]] = Field(
        default_factory=list, max_length=GONE_LIMIT
    )


class SentState(enum.StrEnum):
    """What became of one file that was sent."""

    RECORDED = "recorded"
    KNOWN = "known"
    """Equal bytes were known; its place is noted."""
    WITHHELD = "withheld"
    """Nothing was recorded: content of that hash may only be claimed by whoever can show its bytes."""


class AssetAnswer(Shape):
    """What became of one file. `bytes_wanted`: the server asks for the bytes (the root keeps them, or they prove it)."""

    path: str
    sha256: str
    state: SentState
    asset_id: UUID | None
    bytes_wanted: bool


class AssetsAnswer(Shape):
    """What became of a batch, in its order; `gone` is how many places were marked as missing."""

    assets: list[AssetAnswer]
    gone: int = 0


def inlined_schema(shape: type[BaseModel]) -> dict[str, Any]:
    """Return a shape's JSON schema in one piece, for descriptions that stand alone."""
    schema = shape.model_json_schema()
    parts = schema.pop("$defs", {})

    def inlined(value: Any) -> Any:
        if isinstance(value, dict):
            ref = value.get("$ref")
            return inlined(parts[ref.rpartition("/")[2]]) if ref else {key: inlined(one) for key, one in value.items()}
        return [inlined(one) for one in value] if isinstance(value, list) else value

    whole = inlined(schema)
    assert isinstance(whole, dict)
    return whole
