"""The chore that follows a reproduction's job: compares what came out with the original, and writes the verdict once."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from memoryd.access import audit
from memoryd.dispatch.wire import Outcome
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import AssetId, ReproductionId
from memoryd.imaging.difference_picture import DifferencePicture, draw_difference
from memoryd.imaging.pixels import PixelDigest
from memoryd.reproduction import queries, receipts, second_runs
from memoryd.reproduction.causes import Circumstances, ModelThenAndNow, copy_cause, explain
from memoryd.reproduction.comparing import Comparing, Original, read_original
from memoryd.reproduction.facts import Cause, Judgement, Made, Plan, Reproduction, Testing, Verdict
from memoryd.reproduction.job_failures import read_failure
from memoryd.reproduction.making import view_of
from memoryd.reproduction.matching import environment_of
from memoryd.reproduction.verdict import judge
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register
from memoryd.storage.facts import StoredBlob


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """An attempt whose job ended, with all that is recorded of it."""

    reproduction: Reproduction
    result: Mapping[str, Any] | None
    last_state: str
    last_reason: str
    original: Original
    about: Circumstances
    first: Mapping[str, Json] | None
    """The measures of the attempt that this one helps to explain."""

    @property
    def outputs(self) -> list[Made]:
        """What its job made."""
        return _made((self.result or {}).get("outputs") or [])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """The difference picture, in the store."""

    blob: StoredBlob
    picture: DifferencePicture


def decide(
    database: Database,
    store: BlobStore,
    tenant: TenantScope,
    attempt: ReproductionId,
    keys: Path | None = None,
    *,
    last_try: bool = False,
) -> Verdict | None:
    """Compare and record the verdict of an attempt whose job ended; None where it was decided before, or is unknown.

    Pixels are read between two units of work. What falls short of identical pixels is tested by second runs, where they
    are wanted. `keys` is the folder of the installation's keys: with it, the verdict is signed. Safe to repeat.
    `last_try`: nobody tries again, so that what failed before (comparing pixels) is left out, and a verdict is written.
    Raises: DatabaseDown.
    """
    with database.tenant_work(tenant) as session:
        row = queries.find_reproduction(session, attempt, lock=False)
        if row is None or row.job_id is None:
            return None
        ended = None if row.state == "decided" else _read(session, view_of(row))
    written: Verdict | None = None
    if ended is not None:
        written = _decide(database, store, tenant, ended, keys, bytes_alone=last_try)
    second_runs.go_on(database, store, tenant, attempt, keys)
    return written


def _decide(
    database: Database,
    store: BlobStore,
    tenant: TenantScope,
    ended: _Ended,
    keys: Path | None,
    *,
    bytes_alone: bool,
) -> Verdict | None:
    assert ended.reproduction.job_id is not None
    failure = read_failure(database, ended.reproduction.job_id)
    judgement = without_result(ended.result, ended.last_state, ended.last_reason, failure)
    drawn: _Drawn | None = None
    if judgement is None:
        assert ended.result is not None
        comparing = Comparing(database, store, tenant, ended.original, bytes_alone=bytes_alone)
        judgement = judge(
            ended.original.sha256,
            _expected(ended.reproduction, ended.original.asset_id),
            ended.outputs,
            recomputed=not ended.result["cached_nodes"],
            compare=comparing.compare,
            held=ended.reproduction.plan.get("original_held") is not False,
        )
        judgement = _measured(ended, judgement, comparing)
        drawn = _draw(store, tenant, judgement, comparing)
        if drawn is not None:
            measures = {**judgement.measures, "difference_picture": drawn.picture.as_json()}
            judgement = dataclasses.replace(judgement, measures=measures)
        if ended.original.asset_id != ended.reproduction.asset_id:
            causes = (*judgement.causes, copy_cause(ended.original.sha256))
            judgement = dataclasses.replace(judgement, causes=causes)
    signer = receipts.signer(keys)
    with database.tenant_work(tenant) as session:
        return judgement.verdict if _write(session, ended, judgement, drawn, signer) else None


def _read(session: Session, reproduction: Reproduction) -> _Ended:
    assert reproduction.job_id is not None
    result = queries.find_job_result(session, reproduction.job_id)
    last = queries.find_last_event(session, reproduction.job_id)
    original = AssetId(UUID(str(reproduction.plan["of_asset"])))
    parent = queries.find_reproduction(session, reproduction.parent_id) if reproduction.parent_id else None
    return _Ended(
        reproduction=reproduction,
        result=result,
        last_state=last.state if last else "",
        last_reason=(last.reason if last else None) or "",
        original=read_original(session, original),
        about=_about(session, reproduction, result, original),
        first=parent.measures if parent is not None else None,
    )


def _about(
    session: Session, reproduction: Reproduction, result: Mapping[str, Any] | None, original: AssetId
) -> Circumstances:
    plan = reproduction.plan
    assert reproduction.job_id is not None
    made_by = queries.find_generation_of_job(session, reproduction.job_id)
    now = queries.find_pinned_models(session, made_by) if made_by is not None else {}
    listed = plan.get("models")
    models = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    unknown = [(str(each["folder"]), str(each["name"])) for each in models if not each.get("sha256")]
    changed = queries.list_changed_names(session, unknown, queries.find_moment(session, original)) if unknown else set()
    notices, batch = plan.get("notices"), plan.get("batch_size")
    node = plan.get("node")
    outputs = [each for each in (result or {}).get("outputs") or [] if each["node"] == node]
    return Circumstances(
        then=environment_of(session, _digest(plan.get("environment"))),
        now=environment_of(session, _digest((result or {}).get("environment_sha256"))),
        models=[
            ModelThenAndNow(
                folder=str(each["folder"]),
                name=str(each["name"]),
                then=_digest(each.get("sha256")),
                now=now.get((str(each["folder"]), str(each["name"]))),
                changed_since=(str(each["folder"]), str(each["name"])) in changed,
            )
            for each in models
        ],
        notices=[Cause.of(each) for each in notices if isinstance(each, dict)] if isinstance(notices, list) else [],
        batch_then=batch if isinstance(batch, int) else None,
        batch_now=len(outputs) or None,
    )


def _digest(hexadecimal: object) -> bytes | None:
    return bytes.fromhex(hexadecimal) if isinstance(hexadecimal, str) else None


def without_result(
    result: Mapping[str, Any] | None, state: str, reason: str, failure: Cause | None = None
) -> Judgement | None:
    """Return the judgement on an attempt whose job made nothing, or None where it succeeded.

    `failure`: why its last try made nothing, as the queue knows it.
    """
    if result is not None and result.get("outcome") == Outcome.OK:
        return None
    error = (result or {}).get("error") or {}
    detail = error.get("message") or reason or f"its job ended as {state or 'unknown'}"
    cancelled = state == "cancelled" or (result or {}).get("outcome") == Outcome.CANCELLED
    if failure is not None and not cancelled:
        return Judgement(verdict=Verdict.NOT_ATTEMPTED, measures={}, causes=(failure,))
    cause = Cause(
        code="job-cancelled" if cancelled else "job-failed",
        detail=str(detail),
        next_step="" if cancelled else "`memoryd jobs show` tells more; mend the worker, then make it again",
    )
    return Judgement(verdict=Verdict.NOT_ATTEMPTED, measures={}, causes=(cause,))


def _expected(reproduction: Reproduction, original: AssetId) -> Plan:
    plan = reproduction.plan
    node, place = plan.get("node"), plan.get("batch_index")
    return Plan(
        asset_id=original,
        generation_id=None,
        project_id=None,
        node=node if isinstance(node, str) else None,
        batch_index=place if isinstance(place, int) else None,
        certain=plan.get("certain") is True,
    )


def _made(outputs: Sequence[Mapping[str, Any]]) -> list[Made]:
    return [
        Made(
            asset_id=AssetId(UUID(each["asset_id"])) if each.get("asset_id") else None,
            node=each["node"],
            batch_index=each["batch_index"],
            sha256=bytes.fromhex(each["sha256"]),
        )
        for each in outputs
    ]


def _measured(ended: _Ended, judgement: Judgement, comparing: Comparing) -> Judgement:
    """Return the judgement with what was compared by name, its causes ranked, and for a second run, beside the first."""
    if judgement.output is None:
        return judgement
    evidence = comparing.evidence(judgement.output)
    measures: dict[str, Json] = {
        **judgement.measures,
        "original_sha256": ended.original.sha256.hex(),
        "made_sha256": judgement.output.sha256.hex(),
    }
    if evidence.pixels is not None:
        measures |= {"original_pixels": _told(evidence.pixels[0]), "made_pixels": _told(evidence.pixels[1])}
    if ended.first is not None:
        measures["as_first"] = _as_first(ended.first, ended.outputs, comparing)
    about = dataclasses.replace(ended.about, parts=evidence.parts)
    if ended.original.is_one_file:
        about = dataclasses.replace(about, batch_then=None, batch_now=None)
    causes = explain(judgement.verdict, judgement.causes, about)
    return dataclasses.replace(judgement, measures=measures, causes=causes)


def _told(pixels: PixelDigest) -> dict[str, Json]:
    return {"recipe": pixels.recipe, "digest": pixels.digest.hex()}


def _as_first(first: Mapping[str, Json], outputs: Sequence[Made], comparing: Comparing) -> bool | None:
    """Return whether the output in the place of the first attempt's shows the same to the bit; None: no such output."""
    before = _digest(first.get("made_sha256"))
    place = (first.get("node"), first.get("batch_index"))
    made = next((each for each in outputs if (each.node, each.batch_index) == place), None)
    if before is None or made is None:
        return None
    return made.sha256 == before or comparing.same_pixels(before, made.sha256)


def _draw(store: BlobStore, tenant: TenantScope, judgement: Judgement, comparing: Comparing) -> _Drawn | None:
    where = comparing.evidence(judgement.output).where if judgement.output is not None else None
    largest = judgement.measures.get("max_abs")
    if where is None or not isinstance(largest, float) or largest <= 0.0:
        return None
    picture = draw_difference(where, largest)
    return _Drawn(blob=store.put_bytes(tenant.slug, picture.content), picture=picture)


def _write(
    session: Session,
    ended: _Ended,
    judgement: Judgement,
    drawn: _Drawn | None,
    signer: receipts.Signer | None,
) -> bool:
    reproduction, result = ended.reproduction, ended.result or {}
    assert reproduction.job_id is not None
    if drawn is not None:
        register(session, [drawn.blob])
    identical = judgement.verdict is Verdict.IDENTICAL_FILE
    short = judgement.verdict in second_runs.EXPLAINED
    worker = result.get("worker_id")
    tries = result.get("tries")
    written = queries.decide(
        session,
        reproduction.id,
        {
            "verdict": judgement.verdict.value,
            "measures": judgement.measures,
            "causes": [cause.as_json() for cause in judgement.causes],
            # A preview that came again byte for byte is the original itself.
            "made_asset_id": judgement.made or (ended.original.asset_id if identical else None),
            "generation_id": queries.find_generation_of_job(session, reproduction.job_id),
            "difference": drawn.blob.sha256 if drawn is not None else None,
            "worker_id": UUID(worker) if isinstance(worker, str) else None,
            "tries": tries if isinstance(tries, int) else int(bool(result)),
            "environment": _digest(result.get("environment_sha256")),
            "testing": (reproduction.testing if short else Testing.OFF).value,
        },
        datetime.datetime.now(datetime.UTC),
    )
    if written:
        facts: dict[str, Json] = {"reproduction": str(reproduction.id), "verdict": judgement.verdict.value}
        audit.note(session, None, "asset.reproduced", f"asset:{reproduction.asset_id}", facts)
        row = queries.find_reproduction(session, reproduction.id)
        assert row is not None
        if row.project_id is not None:
            facts["project_id"] = str(row.project_id)
        outbox.announce(session, "reproduction.decided", reproduction.id, facts)
        if signer is not None and reproduction.parent_id is None:
            receipts.keep(session, reproduction.id, signer)
    return written
