"""The values of recognising a file: what the file is, what it may be a copy of, and how sure that is."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from memoryd.catalog.asset_view import Face
from memoryd.foundation.findings import Finding
from memoryd.foundation.ids import AssetId, JobId
from memoryd.recognition.facts import By, Shown


class Standing(enum.StrEnum):
    """How sure it is which asset a file is."""

    EXACT = "exact"
    """Its bytes are an asset's."""
    RECOGNISED = "recognised"
    """It is a copy of one asset, and no other is plausible."""
    CHOOSE = "choose"
    """Several are plausible, or one is and not sure enough: a person chooses."""
    UNKNOWN = "unknown"
    """None is."""


class Held(enum.StrEnum):
    """Whether an original's own bytes can be had."""

    VERIFIED = "verified"
    """They were read just now, and their SHA-256 is the recorded one."""
    MISSING = "missing"
    """No copy can be read, or none is what was recorded."""
    UNREAD = "unread"
    """There is a copy; it is large, and is verified when it is downloaded."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileRead:
    """What a file told, without asking the memory about it.

    `small`: the file as a small picture (WebP), None where nothing could be decoded. `signed_original`: the SHA-256 of
    what it was made from, as somebody trusted signed it; `claimed_original`: as its credentials say, whoever signed.
    `graph`: its own graph's identity, `claims`: the job and the asset that its own text names.
    """

    name: str
    size: int
    media_type: str
    shown: Shown
    width: int | None = None
    height: int | None = None
    small: bytes | None = None
    graph: bytes | None = None
    claimed_job: JobId | None = None
    claimed_asset: AssetId | None = None
    signed_original: bytes | None = None
    claimed_original: bytes | None = None
    holds_graph: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def sha256(self) -> bytes:
        """The file's own, 32 bytes."""
        return self.shown.sha256


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An original that the file may come from.

    `face` is the original; `matched` the asset of its line that was recognised (the original itself, or a copy of it, as
    `matched_as` says). `alike`: 0 to 1, None where no small pictures could be compared. `text`: the file's own text names
    its run as well. `doubts` say why it is not sure. `facts` by name, as people read them.
    """

    face: Face
    matched: AssetId
    matched_as: str | None
    by: By
    exact: bool
    distance: int | None
    mirrored: bool
    alike: float | None
    text: bool
    how: str
    doubts: tuple[str, ...] = ()
    held: Held = Held.MISSING
    size: int = 0
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    has_run: bool = False

    @property
    def asset_id(self) -> AssetId:
        """The original's."""
        return self.face.id


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """The answer about one file: `candidates` ranked, the likeliest first; `apart` names the facts that differ among them."""

    file: FileRead
    standing: Standing
    candidates: tuple[Candidate, ...] = ()

    @property
    def apart(self) -> tuple[str, ...]:
        """The names of the facts by which the candidates can be told apart, in order."""
        names = dict.fromkeys(name for one in self.candidates for name in one.facts)
        return tuple(name for name in names if len({one.facts.get(name) for one in self.candidates}) > 1)

    @property
    def original(self) -> Candidate | None:
        """The one that the file is or is a copy of; None where a person chooses, or none is known."""
        return self.candidates[0] if self.standing in (Standing.EXACT, Standing.RECOGNISED) else None
