"""What a canary run showed: the worker's output against what that very worker made before.

A worker that never made what another machine made has not drifted. What could not be run shows nothing (INV-7).
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from memoryd.access import audit
from memoryd.catalog import content
from memoryd.catalog.environments import EnvironmentNotFound, load_environment
from memoryd.dispatch import doubts, workers
from memoryd.dispatch.doubts import Drift
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.ids import AssetId, CanaryRunId, ProjectId, TenantId, WorkerId
from memoryd.imaging.differences import compare_pixels
from memoryd.reproduction.canaries import queries
from memoryd.reproduction.canaries.facts import Outcome
from memoryd.reproduction.environments.nearness import nearness
from memoryd.reproduction.facts import Verdict
from memoryd.storage.blob_store import BlobStore

COMPARED_BYTES_LIMIT = 512 * 1024 * 1024
"""Bytes of a picture that is compared in memory; a larger one is compared by its hash and pixel digest alone."""

DRIFTS: Mapping[Outcome, Drift] = {Outcome.DRIFTED: Drift.PIXELS, Outcome.FILE_DRIFTED: Drift.FILE}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a run when it is judged. `baseline`: content that this worker is measured by; None: none yet.

    `good_at` and `good_environment` are of its last run that was as it should be.
    """

    run: Any
    attempt: Any
    made: bytes | None
    baseline: bytes | None
    good_at: datetime.datetime | None
    good_environment: bytes | None
    pixels: Mapping[bytes, tuple[str | None, bytes | None]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a run showed. `becomes`: later runs are compared with what it made."""

    outcome: Outcome
    measures: Mapping[str, Json]
    becomes: bool = False


def judge(database: Database, store: BlobStore, scope: TenantScope, run_id: CanaryRunId) -> Outcome | None:
    """Write what a run showed whose attempt is decided, and raise a doubt where its worker drifted; None: nothing to do.

    Pixels are read between two units of work. Safe to repeat, and for two processes at once. Raises: DatabaseDown.
    """
    with database.tenant_work(scope) as session:
        known = _read(session, scope, run_id)
    if known is None:
        return None
    shown = _shown(database, store, scope, known)
    with database.tenant_work(scope) as session:
        row = queries.find_run(session, run_id, lock=True)
        if row is None or row.state == "over":
            return None
        _write(session, scope, known, shown)
    return shown.outcome


def give_up(
    session: Session, scope: TenantScope, run_id: CanaryRunId, worker_id: WorkerId, cause: Mapping[str, Json]
) -> None:
    """End a run that never came to an attempt."""
    now = datetime.datetime.now(datetime.UTC)
    queries.end(session, run_id, {"outcome": Outcome.NOT_ATTEMPTED.value, "causes": [dict(cause)]}, now)
    take_farm(session)
    doubts.end_turn(session, worker_id, run_id)
    take_tenant(session, scope)


def _read(session: Session, scope: TenantScope, run_id: CanaryRunId) -> Known | None:
    run = queries.find_run(session, run_id)
    if run is None or run.state != "running":
        return None
    attempt = queries.find_attempt(session, run.reproduction_id)
    if attempt is None or attempt.state != "decided":
        return None
    where = {"worker_id": run.worker_id, "asset_id": run.asset_id, "project_id": run.project_id}
    baseline = queries.find_baseline(session, **where)
    good = queries.find_last_good(session, **where, before=run.id)
    measured_by = baseline.made_sha256 if baseline is not None else None
    if baseline is None:
        # The approved original is this worker's own where one of its jobs made it.
        good = _own_making(session, scope, run, attempt)
        measured_by = attempt.original if good is not None else None
    made = _made(attempt)
    contents = [one for one in (made, measured_by) if one is not None]
    return Known(
        run=run,
        attempt=attempt,
        made=made,
        baseline=measured_by,
        good_at=good.ended_at if good is not None else None,
        good_environment=good.environment if good is not None else None,
        pixels=queries.find_pixels(session, contents),
    )


def _own_making(session: Session, scope: TenantScope, run: Any, attempt: Any) -> Any:
    making = queries.find_making(session, attempt.original_asset, worker=run.worker) if attempt.original_asset else None
    if making is None:
        return None
    take_farm(session)
    called_so = [one for one in workers.list_workers(session, tenant_id=TenantId(scope.id)) if one.label == run.worker]
    take_tenant(session, scope)
    # A job's record names its worker by label; where two are called so, which one it was is not known.
    return making if len(called_so) == 1 else None


def _made(attempt: Any) -> bytes | None:
    """The SHA-256 of the output that was compared; a preview is no asset, the job's result names its content."""
    if attempt.made_sha256 is not None:
        return bytes(attempt.made_sha256)
    for output in attempt.outputs or ():
        if output["node"] == attempt.measures.get("node") and output["batch_index"] == attempt.measures.get(
            "batch_index"
        ):
            return bytes.fromhex(output["sha256"])
    return None


def _shown(database: Database, store: BlobStore, scope: TenantScope, known: Known) -> Shown:
    attempt = known.attempt
    if attempt.verdict == Verdict.NOT_ATTEMPTED or known.made is None or _ran_elsewhere(known):
        return Shown(outcome=Outcome.NOT_ATTEMPTED, measures={})
    if attempt.verdict == Verdict.IDENTICAL_FILE or known.made == known.baseline:
        return Shown(outcome=Outcome.GOOD, measures={}, becomes=attempt.verdict == Verdict.IDENTICAL_FILE)
    if known.baseline is None:
        return Shown(outcome=Outcome.FIRST, measures=dict(attempt.measures), becomes=True)
    if known.baseline == attempt.original:
        same = attempt.verdict == Verdict.IDENTICAL_PIXELS
        return Shown(outcome=Outcome.FILE_DRIFTED if same else Outcome.DRIFTED, measures=dict(attempt.measures))
    return _compared(database, store, scope, known)


def _ran_elsewhere(known: Known) -> bool:
    ran = known.attempt.worker_id
    return ran is not None and ran != known.run.worker_id


def _compared(database: Database, store: BlobStore, scope: TenantScope, known: Known) -> Shown:
    assert known.made is not None
    assert known.baseline is not None
    now, then = known.pixels.get(known.made), known.pixels.get(known.baseline)
    if now is not None and then is not None and now == then and now[1] is not None:
        return Shown(outcome=Outcome.FILE_DRIFTED, measures={"compared_with": "stored pixel digest"})
    pictures = [_bytes(database, store, scope, sha256) for sha256 in (known.baseline, known.made)]
    first, second = pictures
    try:
        difference = compare_pixels(first, second) if first is not None and second is not None else None
    except (MemorydError, OSError):
        difference = None
    if difference is None:
        return Shown(outcome=Outcome.DRIFTED, measures={"compared_with": "stored hash"})
    outcome = Outcome.FILE_DRIFTED if difference.identical else Outcome.DRIFTED
    return Shown(outcome=outcome, measures={"compared_with": "bytes", **difference.as_json()})


def _bytes(database: Database, store: BlobStore, scope: TenantScope, sha256: bytes) -> bytes | None:
    try:
        with database.tenant_work(scope) as session:
            asset = queries.find_asset_of(session, sha256)
            copies = content.find_copies(session, AssetId(asset)) if asset is not None else None
        if copies is None:
            return store.read_verified(scope.slug, sha256, limit=COMPARED_BYTES_LIMIT)
        if copies.size > COMPARED_BYTES_LIMIT:
            return None
        with content.open_copy(store, scope, copies) as stream:
            return stream.read()
    except Unavailable:
        raise
    except MemorydError:
        return None


def _write(session: Session, scope: TenantScope, known: Known, shown: Shown) -> None:
    run, attempt = known.run, known.attempt
    now = attempt.decided_at or datetime.datetime.now(datetime.UTC)
    causes = list(attempt.causes) if shown.outcome is not Outcome.GOOD else []
    if _ran_elsewhere(known):
        causes = [
            {"code": "ran-elsewhere", "detail": "another worker ran it: nothing is said of this one", "next_step": ""}
        ]
    queries.end(
        session,
        run.id,
        {
            "outcome": shown.outcome.value,
            "verdict": attempt.verdict,
            "made_asset_id": attempt.made_asset_id,
            "made_sha256": known.made,
            "baseline_sha256": known.baseline,
            "is_baseline": shown.becomes,
            "environment": attempt.environment,
            "measures": dict(shown.measures),
            "causes": causes,
        },
        now,
    )
    drift = DRIFTS.get(shown.outcome)
    if drift is not None:
        _doubt(session, scope, known, drift, now)
        return
    again = shown.outcome is Outcome.GOOD and not queries.drifts_still(
        session, worker_id=run.worker_id, project_id=run.project_id
    )
    take_farm(session)
    doubts.end_turn(session, WorkerId(run.worker_id), CanaryRunId(run.id))
    noted = again and doubts.note_good_again(
        session,
        WorkerId(run.worker_id),
        tenant_id=TenantId(scope.id),
        project_id=ProjectId(run.project_id),
        at=now,
    )
    take_tenant(session, scope)
    if noted:
        facts: dict[str, Json] = {"project_id": str(run.project_id), "worker": run.worker}
        outbox.announce(session, "canary.good-again", run.worker_id, facts)


def _doubt(session: Session, scope: TenantScope, known: Known, drift: Drift, now: datetime.datetime) -> None:
    run = known.run
    then, at_present = _environment(session, known.good_environment), _environment(session, known.attempt.environment)
    near = nearness(then, at_present)
    compared = then is not None and at_present is not None
    keep_out = any(policy.keep_out for policy in queries.list_policies(session, frozenset({ProjectId(run.project_id)})))
    take_farm(session)
    doubts.end_turn(session, WorkerId(run.worker_id), CanaryRunId(run.id))
    doubt_id, raised = doubts.raise_doubt(
        session,
        doubts.Found(
            worker_id=WorkerId(run.worker_id),
            tenant_id=TenantId(scope.id),
            project_id=ProjectId(run.project_id),
            reason=drift,
            last_good_at=known.good_at,
            bad_at=now,
            change=[difference.as_json() for difference in near.differences],
            changed=not near.identical if compared else None,
            # The file around equal pixels is told, and keeps nobody from work.
            keeps_out=keep_out and drift is Drift.PIXELS,
        ),
    )
    take_tenant(session, scope)
    queries.set_doubt(session, run.id, doubt_id)
    facts: dict[str, Json] = {
        "project_id": str(run.project_id),
        "worker_id": str(run.worker_id),
        "worker": run.worker,
        "asset_id": str(run.asset_id),
        "canary_run": str(run.id),
        "doubt": str(doubt_id),
        "reason": drift.value,
        "last_good_at": known.good_at.isoformat() if known.good_at else None,
        "first_change": near.differences[0].name if near.differences else None,
        "new": raised,
    }
    audit.note(session, None, "canary.drift", f"worker:{run.worker_id}", facts)
    outbox.announce(session, "canary.drifted", run.worker_id, facts)


def _environment(session: Session, digest: bytes | None) -> Mapping[str, Json] | None:
    try:
        return load_environment(session, bytes(digest)) if digest is not None else None
    except EnvironmentNotFound:
        return None
