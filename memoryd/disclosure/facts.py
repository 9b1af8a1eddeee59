"""The values this room takes and hands out: evidence, statements, signed files, verdicts."""

from __future__ import annotations

import dataclasses
import datetime
import enum

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.findings import Finding
from memoryd.foundation.ids import AssetId, DisclosureId
from memoryd.workflows.facts import Parameters

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


class SourceType(enum.StrEnum):
    """How the content came to be, as IPTC names it. Source: https://cv.iptc.org/newscodes/digitalsourcetype/."""

    TRAINED = _SOURCE_TYPES + "trainedAlgorithmicMedia"
    """Made by a model that was trained on sampled content."""
    COMPOSITE_TRAINED = _SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
    """Other content, edited or completed by a trained model."""
    ENHANCED = _SOURCE_TYPES + "algorithmicallyEnhanced"
    """Other content, sharpened, enlarged or cleaned by an algorithm."""
    ALGORITHMIC = _SOURCE_TYPES + "algorithmicMedia"
    """Made by a rule alone, from no sampled content."""
    DIGITAL_CREATION = _SOURCE_TYPES + "digitalCreation"
    """Made by a person with digital tools that generate nothing."""

    @property
    def word(self) -> str:
        """The last part of the address, as people write it."""
        return self.value.rsplit("/", 1)[-1]


MADE_BY_AI = frozenset({SourceType.TRAINED, SourceType.COMPOSITE_TRAINED})
"""The source types that say: a trained model took part in making this content."""


class InputPart(enum.StrEnum):
    """What an input picture was used for."""

    BASE = "base"
    """Its pixels went into what the sampler continued (img2img, inpainting), or into what was processed."""
    GUIDE = "guide"
    """It only steered the sampler (a control picture, a style picture)."""
    PLACED = "placed"
    """Its pixels went past the sampler into the result (pasted, blended)."""
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputEvidence:
    """One input picture: its content (SHA-256, 32 bytes, where known), its part, and what is known of its own making."""

    name: str
    sha256: bytes | None = None
    part: InputPart = InputPart.UNKNOWN
    source_type: SourceType | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelEvidence:
    """One model file that took part. `name` as the graph writes it; `sha256` (32 bytes) only where it is known."""

    role: str
    name: str
    sha256: bytes | None = None
    strength: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvidence:
    """Which program executed the graph. `stand_in`: our own procedural painter, that holds no trained model."""

    name: str = "ComfyUI"
    version: str | None = None
    stand_in: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is known of how one file was made; what is not known is None or empty, never a default.

    `parameters` is None where no graph was found. `exact`, `workflow`, `structure` are graph digests (32 bytes) under
    `recipe`. `agreed` is False where the file may be one of several outputs that were made in different ways.
    `model_free` tells whether every node that took part is known to use no model (None: cannot tell).
    `made_at` is set only where a job or the file's own metadata says so. `reviewed`: a person approved this picture.
    `declared`: nothing but a person's word tells of the making.
    """

    parameters: Parameters | None
    inputs: tuple[InputEvidence, ...] = ()
    models: tuple[ModelEvidence, ...] = ()
    engine: EngineEvidence = EngineEvidence()
    recipe: str | None = None
    exact: bytes | None = None
    workflow: bytes | None = None
    structure: bytes | None = None
    agreed: bool = True
    model_free: bool | None = None
    made_at: datetime.datetime | None = None
    reviewed: bool = False
    declared: bool = False


class Deed(enum.StrEnum):
    """What was done to the content, as C2PA names it. Source: C2PA 2.2, section 18.15 (actions)."""

    CREATED = "c2pa.created"
    EDITED = "c2pa.edited"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a file must say of itself.

    With deed EDITED the base picture is opened first and named as its parent; `inputs` are those that took part,
    at most one of them BASE. `reasons` say in words what the statement rests on.
    """

    source_type: SourceType
    deed: Deed
    evidence: Evidence
    inputs: tuple[InputEvidence, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """That nothing can be said with evidence, and so nothing is signed (INV-7). `hint` is the next step."""

    reason: str
    hint: str


class Kept(enum.StrEnum):
    """How far the signed file was compared with what it was made from."""

    BYTES = "bytes"
    """Byte for byte the same, but for the manifest that was put in: pixels, texts, order."""
    PIXELS = "pixels"
    """The decoded pixels are the same; the container may be laid out anew."""
    NOT_COMPARED = "not-compared"
    """A container that we cannot take apart; the library that wrote it verified it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A disclosed file that was written: its content, its manifest's name, its signer, and what was compared."""

    sha256: bytes
    size: int
    media_type: str
    manifest_id: str
    signer: str
    signer_fingerprint: bytes
    kept: Kept
    parent_kept: bool
    """Whether the source carried a manifest already, which is now the parent."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Disclosed:
    """A signed copy of an asset, as recorded. `new` is False where the same was said before by the same signer."""

    id: DisclosureId
    original_id: AssetId
    disclosed_id: AssetId
    source_type: SourceType
    statement: dict[str, object]
    manifest_id: str
    signer: str
    development: bool
    timestamped: bool
    layers: tuple[str, ...]
    kept: str
    state: str
    created_at: datetime.datetime
    new: bool


class State(enum.StrEnum):
    """What a file's own signature is worth."""

    NONE = "no-manifest"
    """The file says nothing signed; that proves nothing about how it was made."""
    VALID = "valid"
    """As signed; who signed is not vouched for by anybody this installation was told to trust."""
    TRUSTED = "trusted"
    """As signed, and the signer's chain ends in an anchor that the operator trusts."""
    HISTORY_BROKEN = "history-broken"
    """The file is as signed, but the record of something it was made from does not verify."""
    INVALID = "invalid"
    """Changed after signing, or signed with what may not sign."""
    UNREADABLE = "unreadable"
    """There may be a manifest, but it could not be read."""


class Trust(enum.StrEnum):
    """Whose word stands behind the signer."""

    NOBODY = "nobody"
    INSTALLATION = "this-installation"
    """This installation's own development chain: not a public identity."""
    OPERATOR = "operator"
    """An anchor that the operator put into the anchors folder."""


class GeneratedByAi(enum.StrEnum):
    """What the signed statements say about a trained model's part."""

    YES = "yes"
    PARTLY = "partly"
    """Other content with parts made by a trained model, or made from such content."""
    NO = "no"
    """It is said to be made otherwise."""
    SILENT = "silent"
    """Nothing is said about it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why the verdict is what it is. `layer` is what was looked at: file, signature, signer, history, claim."""

    layer: str
    code: str
    detail: str
    bad: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignerShown:
    """Who signed, as the certificate says; a name in a certificate is a claim until somebody trusted vouches for it."""

    name: str
    organisation: str
    serial: str
    algorithm: str
    trust: Trust
    development: bool
    signed_at: str | None = None
    """Only from a time-stamp of a third party."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ActionShown:
    """One action of a manifest, in its own words."""

    action: str
    source_type: str | None = None
    software: str | None = None
    when: str | None = None


class Share(enum.StrEnum):
    """How much of what a manifest of the history tells of is in the file itself."""

    WHOLE = "whole"
    PART = "part"
    NOTHING = "nothing"
    """It only steered the making."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ManifestShown:
    """One manifest of the file's history. Depth 0 is the file's own, 1 what that was made from, and so on."""

    label: str
    depth: int
    title: str
    relationship: str | None
    signer: SignerShown | None
    generator: str
    share: Share = Share.WHOLE
    actions: tuple[ActionShown, ...] = ()
    verifies: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileVerdict:
    """What a file's signed disclosure is worth, and what it says. Texts from the file are clipped, never escaped."""

    state: State
    headline: str
    reasons: tuple[Reason, ...] = ()
    media_type: str | None = None
    sha256: bytes | None = None
    size: int | None = None
    trusted_by: str | None = None
    signer: SignerShown | None = None
    generated_by_ai: GeneratedByAi = GeneratedByAi.SILENT
    source_types: tuple[str, ...] = ()
    software: str | None = None
    made_at: str | None = None
    manifest_id: str | None = None
    manifests: tuple[ManifestShown, ...] = ()
    generation: dict[str, Json] | None = None
    """Our own assertion `org.memoryd.generation` of the file's own manifest, where there is one."""
    findings: tuple[Finding, ...] = ()

    @property
    def good(self) -> bool:
        """Whether the file and everything it was made from verify (whoever signed)."""
        return self.state in (State.VALID, State.TRUSTED)


class SealState(enum.StrEnum):
    """What the signature of a report or receipt is worth."""

    INTACT = "intact"
    """Not one byte was changed, and the signer's chain ends in an anchor that is trusted here."""
    INTACT_UNKNOWN_SIGNER = "intact-unknown-signer"
    """Not one byte was changed; nobody trusted here vouches for the signer."""
    CHANGED = "changed"
    """The content or its signature was changed."""
    UNREADABLE = "unreadable"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SealVerdict:
    """The verdict on content and its detached signature."""

    state: SealState
    detail: str
    signer: str | None = None
    signed_at: str | None = None
    trusted_by: str | None = None
    sha256: str | None = None
