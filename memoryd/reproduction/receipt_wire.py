"""The shape of a receipt: `schemas/reproduction_verdict.v1.schema.json` is generated from Receipt."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

FORMAT = "memoryd.reproduction-verdict/1"

Sha256Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PixelsPart(_Part):
    """A digest of decoded samples. Two are comparable where their recipes are equal."""

    recipe: str
    digest: Sha256Hex


class AssetPart(_Part):
    """What was asked for. `original_sha256` is what was made again: its own content, or what it is a copy of."""

    id: UUID
    sha256: Sha256Hex
    original_sha256: Sha256Hex
    original_bytes: int
    media_type: str


class MadePart(_Part):
    """The output that was compared. `compared_outputs`: of how many it was the nearest."""

    sha256: Sha256Hex
    asset_id: UUID | None
    node: str
    batch_index: int | None
    compared_outputs: int


class ComparedPart(_Part):
    """What was compared with what. `with`: the original's bytes, or what was stored of it where they are gone."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    by: Literal["bytes", "stored hash", "stored pixel digest", "stored fingerprint"] | None = Field(alias="with")
    original_pixels: PixelsPart | None
    made: MadePart | None
    made_pixels: PixelsPart | None


class TestedPart(_Part):
    """What a second run showed of a cause: it holds, it does not, or (null) nothing by itself."""

    by: Literal["repeat", "other-worker"]
    holds: bool | None
    detail: str


class CausePart(_Part):
    """A difference between then and now, the likeliest first; or what is missing."""

    code: str
    detail: str
    next_step: str
    weight: int = 0
    name: str | None = None
    then: Any = None
    now: Any = None
    tested: TestedPart | None = None


class SecondRunPart(_Part):
    """A second run that looked for the reason. `as_first`: the same pixels as the attempt itself."""

    id: UUID
    purpose: Literal["repeat", "other-worker"]
    verdict: str | None
    as_first: bool | None
    worker_id: UUID | None
    environment: Sha256Hex | None


class TestsPart(_Part):
    """Whether second runs look for the reason; the verdict does not depend on them."""

    state: Literal["off", "wanted", "running", "over"]
    over_at: datetime.datetime | None
    runs: list[SecondRunPart]


class WorkerPart(_Part):
    """Who computed it."""

    id: UUID | None
    label: str | None


class HowPart(_Part):
    """How it was computed again. `cached_nodes`: what ComfyUI did not compute; none, or it is no attempt.

    Environments are named by the SHA-256 of their documents (canonical JSON), null where nobody recorded them; so is
    the plan.
    """

    recomputed: bool
    how: str
    cached_nodes: int | None
    tries: int
    job_id: UUID | None
    worker: WorkerPart | None
    plan_sha256: Sha256Hex
    environment_then: Sha256Hex | None
    environment_now: Sha256Hex | None
    started_at: datetime.datetime | None
    ended_at: datetime.datetime | None


class TolerancePart(_Part):
    """What *within tolerance* and *similar* mean here."""

    max_abs: float
    psnr_db: float
    ssim: float
    similar_psnr_db: float
    similar_bits: int


class SignerPart(_Part):
    """Who signs. A development certificate is an installation's own: nobody outside of it vouches for it."""

    name: str
    development: bool
    certificate_sha256: Sha256Hex


class StatementPart(_Part):
    """What is stated, and signed."""

    format: Literal["memoryd.reproduction-verdict/1"]
    id: UUID
    purpose: str
    asset: AssetPart
    verdict: Literal["identical file", "identical pixels", "within tolerance", "similar", "different", "not attempted"]
    means: str
    compared: ComparedPart
    measures: dict[str, Any]
    causes: list[CausePart]
    tests: TestsPart
    how: HowPart
    tolerances: TolerancePart
    asked_at: datetime.datetime
    decided_at: datetime.datetime
    software: str
    signer: SignerPart


class SealPart(_Part):
    """The detached signature over the statement's canonical spelling (RFC 8785 for what a statement holds)."""

    format: Literal["memoryd.detached-signature/1"]
    algorithm: Literal["es256", "es384", "es512", "ps256", "ed25519"]
    sha256: Sha256Hex
    size: int
    signed_at: str
    signer: str
    chain: list[str] = Field(min_length=1, max_length=8)
    signature: str


class Receipt(_Part):
    """A signed verdict on an attempt to make a picture again, verified offline: `memoryd receipt verify FILE`."""

    model_config = ConfigDict(extra="forbid", title="memoryd reproduction receipt")

    statement: StatementPart
    seal: SealPart
