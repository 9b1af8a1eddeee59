"""The shape of bundle.json (`schemas/bundle.v1.schema.json` is generated from Manifest), and the answers over HTTP."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from memoryd.reproduction.wire import ReproductionShape

FORMAT = "memoryd.bundle/1"

Sha256Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AssetPart(_Part):
    """What can be made again. `original_…` is what was made: its own content, or what it is a copy of.

    `names` are plain file names. `original_file` is null where the original's bytes are not in the bundle.
    """

    sha256: Sha256Hex
    size: int = Field(ge=0)
    media_type: str
    names: list[str]
    original_sha256: Sha256Hex
    original_size: int = Field(ge=0)
    original_media_type: str
    original_file: str | None


class CausePart(_Part):
    """Something that is missing, or that may make the result differ."""

    code: str
    detail: str
    next_step: str = ""
    weight: int = 0
    name: str | None = None
    then: Any = None
    now: Any = None
    tested: dict[str, Any] | None = None


class PlanPart(_Part):
    """Which output of its run the original was, as far as is known (`certain`: the node is), and what stands in the way."""

    node: str | None
    batch_index: int | None
    batch_size: int | None
    certain: bool
    missing: list[CausePart]
    notices: list[CausePart]


class DocumentPart(_Part):
    """A text of the run, verbatim: the executed graph (`prompt`), and others by the key under which ComfyUI keeps them."""

    kind: Literal["prompt", "extra"]
    key: str
    file: str


class InputPart(_Part):
    """A file the graph reads, and where ComfyUI must find it: `type` (input, output, temp), `subfolder`, `name`."""

    name: str
    subfolder: str
    type: Literal["input", "output", "temp"]
    sha256: Sha256Hex
    size: int = Field(ge=0)
    file: str


class LicencePart(_Part):
    """A licence as somebody named it: a statement, no verdict. `also`: others named for the same model."""

    name: str
    version: str
    url: str | None
    stated_by: str
    text_sha256: Sha256Hex | None
    also: list[str]


class ModelPart(_Part):
    """Weights the graph names. `sha256` null: nobody recorded which file it was.

    `folders` are the names, old and new, of its folder; `hashes` others by which tools name it, as its file states them;
    `sources` where it can be had, as far as anybody said: an address, or `urn:air:…`; none is made up.
    """

    folder: str
    folders: list[str]
    name: str
    sha256: Sha256Hex | None
    size: int | None
    kind: str | None
    hashes: dict[str, str]
    sources: list[str]
    licence: LicencePart | None


class EnvironmentPart(_Part):
    """What the original was made on. `folder`: the files from which it can be built again, null where they are not here."""

    sha256: Sha256Hex
    folder: str | None


class VerdictPart(_Part):
    """An attempt to make it again, as the maker of the bundle recorded it."""

    id: UUID
    verdict: str
    decided_at: datetime.datetime
    environment: Sha256Hex | None
    receipt: str | None


class FilePart(_Part):
    """A file of the bundle."""

    name: str = Field(max_length=400)
    sha256: Sha256Hex
    size: int = Field(ge=0)
    what: str


class Manifest(_Part):
    """All that making an asset again takes. Every file but this one and its signature is in `files`, by its SHA-256."""

    model_config = ConfigDict(extra="forbid", title="memoryd bundle")

    format: Literal["memoryd.bundle/1"]
    maker: str
    asset: AssetPart
    plan: PlanPart
    documents: list[DocumentPart]
    inputs: list[InputPart]
    models: list[ModelPart]
    environment: EnvironmentPart | None
    verdicts: list[VerdictPart]
    files: list[FilePart]


class BundleSeal(BaseModel):
    """What the bundle's signature is worth here."""

    state: str
    detail: str
    signer: str | None
    signed_at: str | None
    trusted_by: str | None


class BundleAnswer(BaseModel):
    """A bundle that was taken: the asset it became here, and the attempt to make it again.

    `recorded_here`: a run of it is known to this server itself, so that its own record counts, not the bundle's.
    `has_original`: the original's bytes came along; without them its SHA-256 alone decides.
    """

    asset_id: UUID
    seal: BundleSeal
    has_original: bool
    recorded_here: bool
    attempt: ReproductionShape
