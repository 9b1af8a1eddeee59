"""What worker and server say about model files: which hash they have, and what they say of themselves. Part of version 1."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from memoryd.dispatch.wire import BigInteger, ModelFile, Name, Sha256Hex, Shape
from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.weights.describing import (
    LICENCE_LIMIT,
    STATED_ENTRIES_LIMIT,
    STATED_NAME_LIMIT,
    STATED_TEXT_LIMIT,
    ModelFacts,
)
from memoryd.weights.kinds import ModelKind
from memoryd.weights.sidecars import Permissions, Sidecar, SidecarSource

EXACT_LIMIT = 2**53
"""Integers that every reader of JSON holds exactly. Source: RFC 8259, section 6."""
WORDS_LIMIT = 100
"""Trigger words, parents, hashes or file names of one model."""
DESCRIPTIONS_LIMIT = 100
"""Descriptions of one call: each is 10 KB as a rule, and 150 KB at most."""
STAMPS_LIMIT = 1_000

ShortName = Annotated[str, StringConstraints(max_length=STATED_NAME_LIMIT)]
ShortText = Annotated[str, StringConstraints(max_length=STATED_TEXT_LIMIT)]
Count = Annotated[int, Field(ge=0, le=EXACT_LIMIT)]
Aliases = Annotated[
    dict[ShortName, Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,64}$")]], Field(max_length=16)
]
Words = Annotated[list[ShortText], Field(max_length=WORDS_LIMIT)]
Stamp = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""Changes when the files beside a model change, or the way of reading them."""


class ModelsRequest(Shape):
    """`POST /work/models`: files of the last registration that were hashed since; answered by 204."""

    incarnation: UUID
    models: Annotated[list[ModelFile], Field(max_length=1_000)]


class SharedFile(Shape):
    """A model file in a folder that several workers see. `sample` is a hash of some of its bytes (`worker.shared_places`)."""

    path: Name
    size: int = Field(ge=0, lt=2**63)
    mtime_ns: BigInteger
    sample: Sha256Hex


class MeasuredFile(SharedFile):
    """One that this worker has read in full."""

    sha256: Sha256Hex


class SharedRequest(Shape):
    """`POST /work/models/shared`: asks what others measured of a shared folder's files, and tells what was measured.

    `place` names the folder alike for every worker that sees it. `take`: how many unmeasured files this worker would read
    now; each is then left to it for a while, so that one of several workers reads a file, and not all of them.
    """

    place: Sha256Hex
    files: Annotated[list[SharedFile], Field(max_length=500, default_factory=list)]
    measured: Annotated[list[MeasuredFile], Field(max_length=500, default_factory=list)]
    take: int = Field(default=0, ge=0, le=10)


class SharedAnswer(Shape):
    """By number in `files`: the hashes that are known, and the files that this worker is to read. The rest others are at."""

    known: Annotated[dict[int, Sha256Hex], Field(default_factory=dict)]
    yours: Annotated[list[int], Field(default_factory=list)]


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore")


class StatedShape(_Told):
    """What a file says about itself, shortened by whoever read it."""

    metadata: Annotated[dict[ShortName, ShortText], Field(max_length=STATED_ENTRIES_LIMIT)] = {}
    tensors: Count = 0
    parameters: Count = 0
    dtypes: Annotated[dict[ShortName, Count], Field(max_length=STATED_ENTRIES_LIMIT)] = {}


class FindingShape(_Told):
    """Something that could not be read."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,60}$")]
    detail: ShortText
    where: ShortText = ""


class PermissionsShape(_Told):
    """What a Civitai page allows; null: not said."""

    allow_no_credit: bool | None = None
    allow_commercial_use: Words | None = None
    allow_derivatives: bool | None = None
    allow_different_license: bool | None = None


class SidecarShape(_Told):
    """What the files beside a model say together (weights.Sidecar)."""

    source: SidecarSource | None = None
    model_id: ShortText | None = None
    version_id: ShortText | None = None
    model_name: ShortText | None = None
    version_name: ShortText | None = None
    base_model: ShortText | None = None
    parents: Words = []
    relation: ShortText | None = None
    licence: ShortText | None = None
    licence_url: ShortText | None = None
    permissions: PermissionsShape | None = None
    air: ShortText | None = None
    triggers: Words = []
    url: ShortText | None = None
    sha256s: Words = []
    files: Words = []

    def sidecar(self) -> Sidecar:
        """Return what this shape describes, its texts fit for the database whoever sent them."""
        told: dict[str, Any] = {
            key: _plain(value) if isinstance(value, list) else _optional(value)
            for key, value in self.model_dump(exclude={"source", "permissions"}).items()
        }
        allowed = self.permissions
        if allowed is not None:
            uses = allowed.allow_commercial_use
            told["permissions"] = Permissions(
                allow_no_credit=allowed.allow_no_credit,
                allow_commercial_use=None if uses is None else _plain(uses),
                allow_derivatives=allowed.allow_derivatives,
                allow_different_license=allowed.allow_different_license,
            )
        return Sidecar(source=self.source, **told)


class FactsShape(_Told):
    """What a model file says and shows (weights.ModelFacts)."""

    kind: ModelKind = ModelKind.UNKNOWN
    base: ShortName | None = None
    stated: StatedShape | None = None
    licence: Annotated[str, StringConstraints(min_length=1, max_length=LICENCE_LIMIT)] | None = None
    aliases: Aliases = {}
    findings: Annotated[list[FindingShape], Field(max_length=20)] = []
    format: ShortName = "unknown"
    measured: Aliases = {}
    triggers: Words = []
    parents: Words = []
    base_name: ShortText | None = None
    sidecars: SidecarShape | None = None

    def facts(self) -> ModelFacts:
        """Return the facts that this shape describes, their texts fit for the database whoever sent them."""
        stated = self.stated
        return ModelFacts(
            kind=self.kind,
            base=_optional(self.base),
            stated={}
            if stated is None
            else {
                "metadata": {storable(k)[0]: storable(v)[0] for k, v in stated.metadata.items()},
                "tensors": stated.tensors,
                "parameters": stated.parameters,
                "dtypes": {storable(k)[0]: count for k, count in stated.dtypes.items()},
            },
            licence=_optional(self.licence),
            aliases={storable(k)[0]: value for k, value in self.aliases.items()},
            findings=tuple(
                Finding(code=f.code, detail=storable(f.detail)[0], where=storable(f.where)[0]) for f in self.findings
            ),
            format=storable(self.format)[0],
            measured={storable(k)[0]: value for k, value in self.measured.items()},
            triggers=_plain(self.triggers),
            parents=_plain(self.parents),
            base_name=_optional(self.base_name),
            sidecars=None if self.sidecars is None else self.sidecars.sidecar(),
        )


def told_of(facts: ModelFacts) -> dict[str, object]:
    """Return the members of a FactsShape for these facts."""
    return {
        "kind": facts.kind,
        "base": facts.base,
        "stated": StatedShape.model_validate(facts.stated) if facts.stated else None,
        "licence": facts.licence,
        "aliases": dict(facts.aliases),
        "findings": [
            FindingShape(code=f.code, detail=f.detail[:STATED_TEXT_LIMIT], where=f.where[:STATED_TEXT_LIMIT])
            for f in facts.findings[:20]
        ],
        "format": str(facts.format),
        "measured": dict(facts.measured),
        "triggers": [word[:STATED_TEXT_LIMIT] for word in facts.triggers[:WORDS_LIMIT]],
        "parents": [word[:STATED_TEXT_LIMIT] for word in facts.parents[:WORDS_LIMIT]],
        "base_name": facts.base_name,
        "sidecars": None if facts.sidecars is None else SidecarShape.model_validate(dataclasses.asdict(facts.sidecars)),
    }


class ModelDescription(FactsShape):
    """What a worker read in a model file and beside it."""

    sha256: Sha256Hex
    stamp: Stamp


class DescriptionsRequest(_Told):
    """`POST /work/models/described`: tells descriptions, and asks which of these files (`stamps` by hash) want one."""

    incarnation: UUID
    told: Annotated[list[ModelDescription], Field(max_length=DESCRIPTIONS_LIMIT)] = []
    stamps: Annotated[dict[Sha256Hex, Stamp], Field(max_length=STAMPS_LIMIT)] = {}


class DescriptionsAnswer(_Told):
    """The files of which the server has no description, or one with another stamp."""

    wanted: list[Sha256Hex]


def _plain(words: list[str]) -> tuple[str, ...]:
    return tuple(storable(word)[0] for word in words)


def _optional(word: str | None) -> str | None:
    return None if word is None else storable(word)[0]
