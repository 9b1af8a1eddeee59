"""The shapes of HTTP: disclosures and verdicts. Digests as lower hex, times ISO 8601 UTC."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from memoryd.catalog.facts import RootDisclosure
from memoryd.disclosure import facts

PATH_LIMIT = 4_096
"""Characters of a folder's path. Source: Linux, PATH_MAX."""


class RootDisclosureSwitch(BaseModel):
    """How new files of a watched folder are disclosed as they come; `root` is its id or path."""

    model_config = ConfigDict(extra="forbid")
    root: str = Field(min_length=1, max_length=PATH_LIMIT)
    how: RootDisclosure


class RootDisclosureSwitched(BaseModel):
    """The watched folder."""

    root_id: UUID
    how: RootDisclosure


class DisclosureShape(BaseModel):
    """A signed copy of an asset."""

    id: UUID
    original_id: UUID
    disclosed_id: UUID
    source_type: str
    statement: dict[str, Any]
    manifest_id: str
    signer: str
    development: bool
    timestamped: bool
    layers: list[str]
    kept: str
    state: str
    created_at: datetime.datetime
    new: bool

    @classmethod
    def of(cls, made: facts.Disclosed) -> DisclosureShape:
        """Return the shape of a recorded disclosure."""
        return cls(
            id=made.id,
            original_id=made.original_id,
            disclosed_id=made.disclosed_id,
            source_type=made.source_type.value,
            statement=made.statement,
            manifest_id=made.manifest_id,
            signer=made.signer,
            development=made.development,
            timestamped=made.timestamped,
            layers=list(made.layers),
            kept=made.kept,
            state=made.state,
            created_at=made.created_at,
            new=made.new,
        )


class DisclosureList(BaseModel):
    """Disclosures of one line, newest first."""

    items: list[DisclosureShape]
    next_cursor: str | None = None


class ReasonShape(BaseModel):
    """Why a verdict is what it is."""

    layer: str
    code: str
    detail: str
    bad: bool


class SignerShape(BaseModel):
    """Who signed, as the certificate says, and whose word stands behind it."""

    name: str
    organisation: str
    serial: str
    algorithm: str
    trust: str
    development: bool
    signed_at: str | None


class ManifestShape(BaseModel):
    """One manifest of the file's history."""

    label: str
    depth: int
    title: str
    relationship: str | None
    share: str
    verifies: bool
    generator: str
    signer: SignerShape | None
    actions: list[dict[str, str | None]]


class VerdictShape(BaseModel):
    """What a file's signed disclosure is worth, and what it says."""

    state: str
    good: bool
    headline: str
    sha256: str | None
    size: int | None
    media_type: str | None
    trusted_by: str | None
    signer: SignerShape | None
    generated_by_ai: str
    source_types: list[str]
    software: str | None
    made_at: str | None
    manifest_id: str | None
    reasons: list[ReasonShape]
    manifests: list[ManifestShape]
    generation: dict[str, Any] | None
    findings: list[dict[str, str]]
    asset_id: UUID | None = None
    """The recorded asset with exactly these bytes, where the caller may see it."""

    @classmethod
    def of(cls, verdict: facts.FileVerdict, *, asset_id: UUID | None = None) -> VerdictShape:
        """Return the shape of a verdict."""
        return cls(
            state=verdict.state.value,
            good=verdict.good,
            headline=verdict.headline,
            sha256=verdict.sha256.hex() if verdict.sha256 else None,
            size=verdict.size,
            media_type=verdict.media_type,
            trusted_by=verdict.trusted_by,
            signer=_signer(verdict.signer),
            generated_by_ai=verdict.generated_by_ai.value,
            source_types=list(verdict.source_types),
            software=verdict.software,
            made_at=verdict.made_at,
            manifest_id=verdict.manifest_id,
            reasons=[ReasonShape(layer=r.layer, code=r.code, detail=r.detail, bad=r.bad) for r in verdict.reasons],
            manifests=[_manifest(manifest) for manifest in verdict.manifests],
            generation=verdict.generation,
            findings=[finding.as_json() for finding in verdict.findings],
            asset_id=asset_id,
        )


def _signer(signer: facts.SignerShown | None) -> SignerShape | None:
    if signer is None:
        return None
    return SignerShape(
        name=signer.name,
        organisation=signer.organisation,
        serial=signer.serial,
        algorithm=signer.algorithm,
        trust=signer.trust.value,
        development=signer.development,
        signed_at=signer.signed_at,
    )


def _manifest(manifest: facts.ManifestShown) -> ManifestShape:
    return ManifestShape(
        label=manifest.label,
        depth=manifest.depth,
        title=manifest.title,
        relationship=manifest.relationship,
        share=manifest.share.value,
        verifies=manifest.verifies,
        generator=manifest.generator,
        signer=_signer(manifest.signer),
        actions=[
            {
                "action": action.action,
                "source_type": action.source_type,
                "software": action.software,
                "when": action.when,
            }
            for action in manifest.actions
        ],
    )
