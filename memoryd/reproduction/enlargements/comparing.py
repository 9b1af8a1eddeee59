"""The chore that follows an enlargement's job: the result is scaled back, compared with the original, and linked to it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from memoryd.access import audit
from memoryd.catalog.content import find_copies, open_copy
from memoryd.catalog.lineage import add_edges
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.errors import MemorydError, TooLarge, Unavailable
from memoryd.foundation.ids import AssetId, ReproductionId
from memoryd.imaging.scaling_back import SCALED_BACK_BY, Box, compare_scaled_back, upright_size
from memoryd.reproduction import queries as attempts
from memoryd.reproduction.deciding import without_result
from memoryd.reproduction.enlargements import queries
from memoryd.reproduction.enlargements.enlarging import ORIGINAL_BYTES_LIMIT
from memoryd.reproduction.enlargements.facts import FAR_SSIM
from memoryd.reproduction.enlargements.larger import VIA_UPSCALED
from memoryd.reproduction.facts import Cause, Purpose, State, Verdict
from memoryd.storage.blob_store import BlobStore

ENLARGED_BYTES_LIMIT = ORIGINAL_BYTES_LIMIT
"""Bytes of a result that is read to be compared."""


class ResultTooLarge(TooLarge):
    """This picture is too large to be compared."""


def decide(database: Database, store: BlobStore, tenant: TenantScope, enlargement: ReproductionId) -> bool:
    """Compare, link and record what an enlargement's job made; False where that was done before. Safe to repeat.

    Pixels are read between two units of work. Raises: DatabaseDown, Unavailable (try again).
    """
    with database.tenant_work(tenant) as session:
        row = attempts.find_reproduction(session, enlargement)
        if row is None or row.state == State.DECIDED.value or row.job_id is None:
            return False
        if row.purpose != Purpose.ENLARGEMENT.value:
            return False
        result = attempts.find_job_result(session, row.job_id)
        last = attempts.find_last_event(session, row.job_id)
    failed = without_result(result, last.state if last else "", (last.reason if last else None) or "")
    if failed is not None:
        values: dict[str, object] = {
            "verdict": Verdict.NOT_ATTEMPTED.value,
            "causes": [cause.as_json() for cause in failed.causes],
        }
        with database.tenant_work(tenant) as session:
            return _write(session, row, values, made=None)
    assert result is not None
    made = _chosen(result["outputs"], row.plan.get("node"))
    if made is None:
        cause = Cause(
            code="no-picture", detail="its graph saved no picture", next_step="let it end in a SaveImage node"
        )
        values = {"verdict": Verdict.NOT_ATTEMPTED.value, "causes": [cause.as_json()]}
        with database.tenant_work(tenant) as session:
            return _write(session, row, values, made=None)
    measures, causes = _compare(database, store, tenant, row.plan, made)
    values = {"measures": measures, "causes": [cause.as_json() for cause in causes], "made_asset_id": made}
    with database.tenant_work(tenant) as session:
        values["generation_id"] = attempts.find_generation_of_job(session, row.job_id)
        return _write(session, row, values, made=made)


def _chosen(outputs: Sequence[Mapping[str, Any]], node: object) -> AssetId | None:
    """The picture that is the enlargement: the saving node's where it is ours, else the first that was saved."""
    saved = [each for each in outputs if each.get("asset_id")]
    own = [each for each in saved if each["node"] == node] or saved
    return AssetId(UUID(str(own[0]["asset_id"]))) if own else None


def _compare(
    database: Database, store: BlobStore, tenant: TenantScope, plan: Mapping[str, Any], made: AssetId
) -> tuple[dict[str, Json], list[Cause]]:
    original = AssetId(UUID(str(plan["of_asset"])))
    wide, high = plan["to"]
    measures: dict[str, Json] = {"scaled_back_by": SCALED_BACK_BY}
    causes: list[Cause] = []
    try:
        before, after = _bytes(database, store, tenant, original), _bytes(database, store, tenant, made)
        width, height, _ = upright_size(after)
        measures |= {"width": width, "height": height}
        taken, shown = Box(*plan["taken"]), Box(*plan["shown"])
        if (width, height) != (wide, high):
            detail = f"its graph made {width} x {height}, and {wide} x {high} was asked for"
            causes.append(Cause(code="other-size", detail=detail, next_step="let the graph end in an ImageScale node"))
            shown = Box(
                shown.left * width // wide,
                shown.top * height // high,
                max(1, shown.width * width // wide),
                max(1, shown.height * height // high),
            )
        found = compare_scaled_back(before, after, taken=taken, shown=shown)
        measures |= found.as_json()
        if found.ssim is not None and found.ssim < FAR_SSIM:
            detail = (
                f"scaled back it is another picture (SSIM {found.ssim:.2f}): it is not linked as the original's, larger"
            )
            causes.append(Cause(code="far-from-original", detail=detail, next_step="choose another model or graph"))
    except Unavailable:
        raise
    except (MemorydError, OSError) as error:
        detail = error.detail if isinstance(error, MemorydError) else str(error)
        causes.append(Cause(code="not-compared", detail=f"the two could not be compared: {detail}"))
    if plan.get("lost"):
        told = ", ".join(str(one) for one in plan["lost"])
        causes.append(Cause(code="lost-in-the-engine", detail=f"the original has {told}, the enlargement has not"))
    return measures, causes


def _bytes(database: Database, store: BlobStore, tenant: TenantScope, asset: AssetId) -> bytes:
    with database.tenant_work(tenant) as session:
        copies = find_copies(session, asset)
    if copies.size > ENLARGED_BYTES_LIMIT:
        raise ResultTooLarge(f"{copies.size} bytes", hint=f"{ENLARGED_BYTES_LIMIT} are compared (ENLARGED_BYTES_LIMIT)")
    with open_copy(store, tenant, copies) as stream:
        return stream.read()


def _is_the_same(measures: object) -> bool:
    ssim = measures.get("ssim") if isinstance(measures, dict) else None
    # Not compared, nobody knows; that the original went into it, is recorded all the same.
    return isinstance(ssim, (int, float)) and ssim >= FAR_SSIM


def _write(session: Session, row: Any, values: Mapping[str, object], *, made: AssetId | None) -> bool:
    now = datetime.datetime.now(datetime.UTC)
    if not attempts.decide(session, row.id, values, now):
        return False
    if made is not None and _is_the_same(values.get("measures")):
        original = UUID(str(row.plan["of_asset"]))
        roots = queries.find_roots(session, [made, original])
        if roots[made] != roots[original]:
            add_edges(session, {(roots[made], roots[original])}, VIA_UPSCALED)
    facts: dict[str, Json] = {"enlargement": str(row.id), "made": str(made) if made is not None else None}
    if row.project_id is not None:
        facts["project_id"] = str(row.project_id)
    audit.note(session, None, "asset.enlarged", f"asset:{row.asset_id}", facts)
    outbox.announce(session, "enlargement.decided", row.id, facts)
    return True
