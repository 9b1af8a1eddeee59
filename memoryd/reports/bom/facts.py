"""The values that a bill of materials is made from."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from memoryd.foundation.canonical_json import Json


class BomSubject(enum.StrEnum):
    """What a bill of materials is about."""

    ASSET = "asset"
    WORKFLOW = "workflow"
    PROJECT = "project"


class BomVersion(enum.StrEnum):
    """Versions of the specification that are written. Source: ECMA-424, CycloneDX 1.6 and 1.7."""

    V1_6 = "1.6"
    V1_7 = "1.7"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BomLicence:
    """A licence that somebody named for a model.

    `spdx`: an SPDX id or a LicenseRef, None where nobody knows one. `declared`: the file or its publisher says so, else a
    person concluded it. `inherited`: it is the licence of what the model was made from.
    """

    name: str
    spdx: str | None
    url: str | None
    declared: bool
    inherited: bool
    text_sha256: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BomModel:
    """A model, as a bill lists it. `sha256` None: which file it was is unknown, and `name` is all there is.

    `aliases`: algorithm -> value, of those that were measured. `parents`: SHA-256 of models it was made from, or what is
    said of them. `licences` empty is *unknown*. `card`: what its file or the texts beside it say, in few words.
    """

    role: str
    name: str
    sha256: bytes | None
    identified: str | None
    size: int | None = None
    kind: str | None = None
    base: str | None = None
    format: str | None = None
    version: str | None = None
    url: str | None = None
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    licences: tuple[BomLicence, ...] = ()
    parents: tuple[bytes | str, ...] = ()
    card: Mapping[str, str] = dataclasses.field(default_factory=dict)
    recalled: str | None = None
    uses: int | None = None
    """Runs of a project that used it; None where the bill is not about a project."""

    @property
    def ref(self) -> str:
        """Its name inside the bill."""
        return f"model:{self.sha256.hex()}" if self.sha256 else f"model-name:{self.role}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BomFile:
    """An asset, or an input file that is none. `sha256` None: its content is unknown. `models` and `inputs` are refs."""

    name: str
    sha256: bytes | None
    media_type: str | None = None
    asset_id: str | None = None
    making_known: bool = True
    models: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """Its name inside the bill."""
        return f"file:{self.sha256.hex()}" if self.sha256 else f"file-name:{self.name}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BomProgram:
    """ComfyUI, a node pack or torch, as an environment tells it."""

    name: str
    version: str | None
    kind: str
    """`application`, `library` or `framework`."""
    url: str | None = None
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def ref(self) -> str:
        """Its name inside the bill."""
        return f"program:{self.name}@{self.version or 'unknown'}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BomContent:
    """All that a bill tells. `root`: the ref of what it is about; `unknowns`: sentences about what is not known."""

    subject: BomSubject
    root: str
    name: str
    made_at: datetime.datetime
    models: tuple[BomModel, ...]
    files: tuple[BomFile, ...] = ()
    programs: tuple[BomProgram, ...] = ()
    unknowns: tuple[str, ...] = ()
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    root_models: tuple[str, ...] = ()
    """Refs that the root depends on where it is no file."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bom:
    """A bill of materials: its document, and its one spelling in bytes, which is what is signed and written."""

    document: Mapping[str, Json]
    content: bytes
    models: int
    unknowns: tuple[str, ...]
