"""The chore that follows a reproduction's job: compares what came out with the original, and writes the verdict once."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from memoryd.access import audit
from memoryd.catalog import content
from memoryd.catalog.environments import EnvironmentNotFound, load_environment
from memoryd.dispatch.wire import Outcome
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.ids import AssetId, ReproductionId
from memoryd.imaging.differences import PixelDifference, compare_pixels
from memoryd.reproduction import queries
from memoryd.reproduction.conditions import copy_cause, environment_cause, weights_causes
from memoryd.reproduction.facts import Cause, Judgement, Made, Plan, Reproduction, Verdict
from memoryd.reproduction.making import view_of
from memoryd.reproduction.verdict import judge
from memoryd.storage.blob_store import BlobStore

COMPARED_BYTES_LIMIT = 512 * 1024 * 1024
"""Bytes of a picture that is compared in memory; a larger one is compared by its bytes alone."""


def decide(database: Database, store: BlobStore, tenant: TenantScope, attempt: ReproductionId) -> Verdict | None:
    """Compare and record the verdict of an attempt whose job ended; None where it was decided before, or is unknown.

    Pixels are read between two units of work. Safe to repeat. Raises: DatabaseDown.
    """
    with database.tenant_work(tenant) as session:
        row = queries.find_reproduction(session, attempt)
        if row is None or row.state == "decided" or row.job_id is None:
            return None
        reproduction = view_of(row)
        result = queries.find_job_result(session, row.job_id)
        last = queries.find_last_event(session, row.job_id)
        original = AssetId(UUID(str(reproduction.plan["of_asset"])))
        sha256 = queries.find_digest(session, original)
    judgement = without_result(result, last.state if last else "", (last.reason if last else None) or "")
    if judgement is None:
        assert result is not None
        pictures = _Pictures(database, store, tenant)
        judgement = judge(
            sha256,
            _expected(reproduction, original),
            _made(result["outputs"]),
            recomputed=not result["cached_nodes"],
            compare=lambda made: pictures.difference(original, made),
        )
        judgement = _with_conditions(database, tenant, reproduction, result, judgement)
        if original != reproduction.asset_id:
            judgement = dataclasses.replace(judgement, causes=(*judgement.causes, copy_cause(sha256)))
    with database.tenant_work(tenant) as session:
        return judgement.verdict if _write(session, reproduction, judgement) else None


def without_result(result: Mapping[str, Any] | None, state: str, reason: str) -> Judgement | None:
    """Return the judgement on an attempt whose job made nothing, or None where it succeeded."""
    if result is not None and result.get("outcome") == Outcome.OK:
        return None
    error = (result or {}).get("error") or {}
    detail = error.get("message") or reason or f"its job ended as {state or 'unknown'}"
    cancelled = state == "cancelled" or (result or {}).get("outcome") == Outcome.CANCELLED
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


def _with_conditions(
    database: Database, tenant: TenantScope, reproduction: Reproduction, result: Mapping[str, Any], judgement: Judgement
) -> Judgement:
    """Return the judgement with what was not the same then and now, where something is left to explain."""
    if judgement.verdict in (Verdict.IDENTICAL_FILE, Verdict.NOT_ATTEMPTED):
        return judgement
    with database.tenant_work(tenant) as session:
        then = _environment(session, reproduction.plan.get("environment"))
        now = _environment(session, result.get("environment_sha256"))
    causes = [*judgement.causes, environment_cause(then, now)]
    models = reproduction.plan.get("models")
    if judgement.verdict is not Verdict.IDENTICAL_PIXELS and isinstance(models, list):
        causes += weights_causes([model for model in models if isinstance(model, dict)])
    return dataclasses.replace(judgement, causes=tuple(causes))


def _environment(session: Session, named: object) -> Mapping[str, Json] | None:
    if not isinstance(named, str):
        return None
    try:
        return load_environment(session, bytes.fromhex(named))
    except EnvironmentNotFound:
        return None


class _Pictures:
    """Reads pictures for comparison, each once."""

    def __init__(self, database: Database, store: BlobStore, tenant: TenantScope) -> None:
        self._database, self._store, self._tenant = database, store, tenant
        self._read: dict[AssetId, bytes | None] = {}

    def difference(self, original: AssetId, made: Made) -> PixelDifference | None:
        """Return how far an output is from the original; None where one of them is no picture that can be read."""
        a = self._bytes(original)
        b = self._bytes(made.asset_id) if made.asset_id is not None else self._stored(made.sha256)
        if a is None or b is None:
            return None
        try:
            return compare_pixels(a, b)
        except (MemorydError, OSError):
            return None

    def _stored(self, sha256: bytes) -> bytes | None:
        try:
            return self._store.read_verified(self._tenant.slug, sha256, limit=COMPARED_BYTES_LIMIT)
        except Unavailable:
            raise
        except MemorydError:
            return None

    def _bytes(self, asset: AssetId) -> bytes | None:
        if asset not in self._read:
            try:
                with self._database.tenant_work(self._tenant) as session:
                    copies = content.find_copies(session, asset)
                if copies.size > COMPARED_BYTES_LIMIT:
                    self._read[asset] = None
                else:
                    with content.open_copy(self._store, self._tenant, copies) as stream:
                        self._read[asset] = stream.read()
            except Unavailable:
                raise
            except MemorydError:
                self._read[asset] = None
        return self._read[asset]


def _write(session: Session, reproduction: Reproduction, judgement: Judgement) -> bool:
    assert reproduction.job_id is not None
    identical = judgement.verdict is Verdict.IDENTICAL_FILE
    written = queries.decide(
        session,
        reproduction.id,
        {
            "verdict": judgement.verdict.value,
            "measures": judgement.measures,
            "causes": [cause.as_json() for cause in judgement.causes],
            # A preview that came again byte for byte is the original itself.
            "made_asset_id": judgement.made or (UUID(str(reproduction.plan["of_asset"])) if identical else None),
            "generation_id": queries.find_generation_of_job(session, reproduction.job_id),
        },
        datetime.datetime.now(datetime.UTC),
    )
    if written:
        facts: dict[str, Json] = {"reproduction": str(reproduction.id), "verdict": judgement.verdict.value}
        audit.note(session, None, "asset.reproduced", f"asset:{reproduction.asset_id}", facts)
        outbox.announce(session, "reproduction.decided", reproduction.id, facts)
    return written
