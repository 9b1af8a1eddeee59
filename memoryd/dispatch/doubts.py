"""Workers in doubt: those whose output drifted, and that somebody is to decide about.

A doubt is one tenant's: it keeps a worker from that tenant's reproduction work alone, since a shared worker is not one
tenant's to withhold. Whoever else the worker serves learns that there is a doubt, since when, and nothing more.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping, Sequence

from memoryd.dispatch import telling
from memoryd.dispatch.queries import doubts as statements
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.ids import CanaryRunId, DoubtId, PersonId, ProjectId, TenantId, WorkerId, new_id
from memoryd.foundation.texts import storable

LISTED_LIMIT = 500
NOTE_LIMIT = 2_000
"""Characters."""
CHANGES_LIMIT = 40
"""Differences of an environment that a doubt tells; the likeliest come first."""
TURN_S = 96 * 3600.0
"""How long a canary run may hold a worker's turn: longer than a batch job waits before it expires (72 h)."""


class Drift(enum.StrEnum):
    """What a worker no longer makes as it did."""

    PIXELS = "pixels-drifted"
    FILE = "file-drifted"
    """Every pixel is as it was; the file around them is not."""


class Decision(enum.StrEnum):
    """What somebody decided about a worker in doubt."""

    ACCEPT = "accept"
    """What it makes now is right: the doubt ends, and the present output is what later runs are compared with."""
    KEEP_OUT = "keep-out"
    """It gets no reproduction work; the doubt stands."""
    CLEAR = "clear"
    """It is mended, or it was nothing: the doubt ends, and later runs are compared with what it made before."""


class DoubtNotFound(NotFound):
    """There is no such doubt."""


class DoubtClosed(Conflict):
    """This was decided before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A worker in doubt, as the tenant sees it whose canary found it. `change`: {name, then, now, bearing}, likeliest first.

    `changed`: whether the worker's environment differs between the last good run and the first bad one; None: not known.
    """

    id: DoubtId
    worker_id: WorkerId
    label: str
    project_id: ProjectId
    reason: Drift
    last_good_at: datetime.datetime | None
    first_bad_at: datetime.datetime
    change: tuple[Mapping[str, Json], ...]
    changed: bool | None
    keeps_out: bool
    bad_runs: int
    last_bad_at: datetime.datetime
    good_again_at: datetime.datetime | None
    raised_at: datetime.datetime
    decided_at: datetime.datetime | None
    decided_by: PersonId | None
    decision: Decision | None
    note: str | None
    closed_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OthersDoubt:
    """That another tenant, or a project that one does not see, doubts a worker. What was compared is not told."""

    worker_id: WorkerId
    label: str
    last_good_at: datetime.datetime | None
    first_bad_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a canary found of a worker."""

    worker_id: WorkerId
    tenant_id: TenantId
    project_id: ProjectId
    reason: Drift
    last_good_at: datetime.datetime | None
    bad_at: datetime.datetime
    change: Sequence[Mapping[str, Json]]
    changed: bool | None
    keeps_out: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Servant:
    """A worker that would take a tenant's job now. `environment` is 32 bytes; `pools` are names."""

    worker_id: WorkerId
    label: str
    environment: bytes | None
    pools: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DoubtGauge:
    """How a worker in doubt stands, for the farm's operator. `bad_s`: since its first bad run, in seconds."""

    worker_id: str
    label: str
    gpu: str | None
    doubts: int
    undecided: int
    keeps_out: bool
    bad_s: float


def kept_out(session: Session, tenant_id: TenantId) -> frozenset[WorkerId]:
    """Return the workers that a tenant keeps from reproduction work. `session` has taken the farm.

    Its canaries run there all the same: they show when the worker is mended.
    """
    return frozenset(WorkerId(one) for one in statements.list_kept_out(session, tenant_id=tenant_id))


def raise_doubt(session: Session, found: Found) -> tuple[DoubtId, bool]:
    """Note that a worker drifted; return the doubt that stands, and whether it is new. `session` has taken the farm.

    Every tenant that the worker serves is told of a new one, by the worker's name alone.
    """
    row = statements.raise_doubt(
        session,
        {
            "id": new_id(),
            "worker_id": found.worker_id,
            "tenant_id": found.tenant_id,
            "project_id": found.project_id,
            "reason": found.reason.value,
            "last_good_at": found.last_good_at,
            "bad_at": found.bad_at,
            "change": [dict(one) for one in found.change[:CHANGES_LIMIT]],
            "changed": found.changed,
            "keeps_out": found.keeps_out,
        },
    )
    if row.raised:
        telling.tell_workers(session, "worker.doubted", [found.worker_id])
    return DoubtId(row.id), row.raised


def note_good_again(
    session: Session, worker_id: WorkerId, *, tenant_id: TenantId, project_id: ProjectId, at: datetime.datetime
) -> bool:
    """Note that a worker in doubt makes again what it made; the doubt stands. False where there is nothing to note."""
    return statements.mark_good_again(session, worker_id=worker_id, tenant_id=tenant_id, project_id=project_id, at=at)


def decide(
    session: Session,
    doubt_id: DoubtId,
    decision: Decision,
    *,
    tenant_id: TenantId,
    by: PersonId | None,
    note: str | None,
) -> WorkerId:
    """Write what somebody decided; return the worker. `session` has taken the farm.

    A worker that is kept out can be decided about again. Raises: DoubtNotFound, also for another tenant's; DoubtClosed.
    """
    said = storable(note)[0].strip()[:NOTE_LIMIT] or None if note else None
    row = statements.decide(
        session,
        {
            "id": doubt_id,
            "tenant_id": tenant_id,
            "decided_by": by,
            "decision": decision.value,
            "note": said,
            "keeps_out": decision is Decision.KEEP_OUT,
            "closes": decision is not Decision.KEEP_OUT,
        },
    )
    if row is None:
        closed = find_doubt(session, doubt_id, tenant_id=tenant_id)
        raise DoubtClosed(
            f"doubt {closed.id}: {closed.decision}", hint="`memoryd canaries list` shows those that stand"
        )
    if row.closed:
        telling.tell_workers(session, "worker.trusted", [WorkerId(row.worker_id)])
    return WorkerId(row.worker_id)


def find_doubt(session: Session, doubt_id: DoubtId, *, tenant_id: TenantId) -> Doubt:
    """Return one of a tenant's doubts. Raises: DoubtNotFound, also for another tenant's."""
    row = statements.find_doubt(session, doubt_id=doubt_id, tenant_id=tenant_id)
    if row is None:
        raise DoubtNotFound(f"doubt {doubt_id}", hint="`memoryd canaries list` shows them")
    return _doubt(row)


def list_doubts(
    session: Session,
    *,
    tenant_id: TenantId,
    projects: frozenset[ProjectId] | None = None,
    worker_id: WorkerId | None = None,
    standing: bool = True,
) -> list[Doubt]:
    """Return a tenant's doubts, those that stand first, LISTED_LIMIT at most. `projects` None: of all."""
    rows = statements.list_doubts(
        session,
        tenant_id=tenant_id,
        projects=None if projects is None else list(projects),
        worker_id=worker_id,
        standing=standing,
        limit=LISTED_LIMIT,
    )
    return [_doubt(row) for row in rows]


def list_others(
    session: Session, *, tenant_id: TenantId, projects: frozenset[ProjectId] | None = None
) -> list[OthersDoubt]:
    """Return the workers that serve a tenant and that somebody else doubts: another tenant, or a project not among these."""
    return [
        OthersDoubt(
            worker_id=WorkerId(row.worker_id),
            label=row.label,
            last_good_at=row.last_good_at,
            first_bad_at=row.first_bad_at,
        )
        for row in statements.list_others(
            session,
            tenant_id=tenant_id,
            projects=None if projects is None else list(projects),
            limit=LISTED_LIMIT,
        )
    ]


def list_servants(session: Session, *, tenant_id: TenantId) -> list[Servant]:
    """Return the workers that would take a tenant's job now, by label. `session` has taken the farm."""
    return [
        Servant(worker_id=WorkerId(row.id), label=row.label, environment=row.environment_sha256, pools=tuple(row.pools))
        for row in statements.list_servants(session, tenant_id=tenant_id)
    ]


def take_turn(session: Session, worker_id: WorkerId, run: CanaryRunId, *, tenant_id: TenantId) -> bool:
    """Take a worker's turn for a canary run, or keep it; False where another run has it, of whichever tenant."""
    return statements.take_turn(session, worker_id=worker_id, tenant_id=tenant_id, run_id=run, term_s=TURN_S)


def end_turn(session: Session, worker_id: WorkerId, run: CanaryRunId) -> None:
    """End a canary run's turn on a worker."""
    statements.end_turn(session, worker_id=worker_id, run_id=run)


def read_gauges(session: Session) -> list[DoubtGauge]:
    """Return the workers in doubt, over all tenants, for the farm's operator."""
    return [
        DoubtGauge(
            worker_id=str(row.worker_id),
            label=row.label,
            gpu=row.gpu,
            doubts=row.doubts,
            undecided=row.undecided,
            keeps_out=row.keeps_out,
            bad_s=float(row.bad_s),
        )
        for row in statements.list_gauges(session)
    ]


def _doubt(row: statements.Found) -> Doubt:
    return Doubt(
        id=DoubtId(row.id),
        worker_id=WorkerId(row.worker_id),
        label=row.label,
        project_id=ProjectId(row.project_id),
        reason=Drift(row.reason),
        last_good_at=row.last_good_at,
        first_bad_at=row.first_bad_at,
        change=tuple(row.change),
        changed=row.changed,
        keeps_out=row.keeps_out,
        bad_runs=row.bad_runs,
        last_bad_at=row.last_bad_at,
        good_again_at=row.good_again_at,
        raised_at=row.raised_at,
        decided_at=row.decided_at,
        decided_by=PersonId(row.decided_by) if row.decided_by else None,
        decision=Decision(row.decision) if row.decision else None,
        note=row.note,
        closed_at=row.closed_at,
    )
