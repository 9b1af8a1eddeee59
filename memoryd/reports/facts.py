"""The values this room takes and hands out: what a report is about, and a report that was made."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from memoryd.catalog.asset_view import AssetView
from memoryd.catalog.attesting import AttestationView
from memoryd.clearance.facts import Cleared
from memoryd.disclosure.facts import Disclosed, FileVerdict
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import AssetId, ProjectId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowIdentity:
    """The identities of a run's graph, digests in hex; None where a graph was not kept."""

    recipe: str
    exact: str
    workflow: str | None
    structure: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What verifying an asset's bytes said; without a verdict, why it was not attempted (INV-7)."""

    verdict: FileVerdict | None
    not_attempted: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One asset that is reported, with everything that is said of it."""

    view: AssetView
    disclosures: tuple[Disclosed, ...] = ()
    verifications: Mapping[AssetId, Verification] = dataclasses.field(default_factory=dict)
    """By asset: the asset itself, and the signed copies of its line."""
    workflows: Mapping[bytes, WorkflowIdentity] = dataclasses.field(default_factory=dict)
    """By exact digest."""
    declarations: tuple[AttestationView, ...] = ()
    """What people declared of its making and did not take back, newest first."""
    clearance: Cleared | None = None
    """May it be used for what its project is for; None where nobody asked."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """When, for whom and about what a report is made."""

    report_id: str
    made_at: datetime.datetime
    made_by: str
    tenant: str
    asked: str
    complete: bool
    """False where more assets were found than a report holds."""
    projects: Mapping[ProjectId, str] = dataclasses.field(default_factory=dict)


class Severity(enum.StrEnum):
    """How much a gap matters to somebody who decides whether to deliver."""

    BAD = "bad"
    """Something is wrong."""
    UNKNOWN = "unknown"
    """Something that ought to be known is not."""
    NOTE = "note"
    """Known, and worth knowing."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One thing that is unknown, unsigned or wrong, about one asset or (None) the whole report."""

    code: str
    severity: Severity
    asset_id: AssetId | None
    detail: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report as JSON, and its one spelling in bytes, which is what is signed and written."""

    document: dict[str, Json]
    content: bytes
    assets: int
    """How many it tells of."""
