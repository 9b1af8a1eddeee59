"""Signed receipts: the verdict on an attempt as a third party can check it, without this server.

A receipt is made with the verdict, and once more when second runs have told more of its causes. What it states is what
is recorded; the audit trail keeps the hash of each.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import memoryd
from memoryd.access import audit
from memoryd.access.facts import Sees
from memoryd.disclosure import pki
from memoryd.disclosure.pki import SigningIdentity
from memoryd.disclosure.sealing import seal
from memoryd.foundation.canonical_json import Json, canonical_bytes, canonical_digest, read_json
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.errors import Conflict, MemorydError
from memoryd.foundation.ids import ReproductionId
from memoryd.foundation.logging import log_for
from memoryd.reproduction import queries
from memoryd.reproduction.facts import Testing, Verdict
from memoryd.reproduction.making import show_reproduction
from memoryd.reproduction.receipt_wire import FORMAT
from memoryd.reproduction.verdict import (
    SIMILAR_BITS,
    SIMILAR_PSNR_DB,
    TOLERANCE_MAX_ABS,
    TOLERANCE_PSNR_DB,
    TOLERANCE_SSIM,
)

MEANS: Mapping[Verdict, str] = {
    Verdict.IDENTICAL_FILE: "computed again, and every byte is equal",
    Verdict.IDENTICAL_PIXELS: "computed again, and every pixel is equal; the file around them is not",
    Verdict.WITHIN_TOLERANCE: "computed again; what differs is no more than the tolerances below: rounding",
    Verdict.SIMILAR: "computed again; it shows the same, and more than rounding differs",
    Verdict.DIFFERENT: "computed again, and something else came out",
    Verdict.NOT_ATTEMPTED: "nothing was computed, so nothing is said of it",
}
HOW = "ComfyUI's caches were emptied before the run; it counts only where ComfyUI reports no node as cached"

_log = log_for(__name__)


class NotDecided(Conflict):
    """There is no verdict yet, so there is nothing to prove."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs receipts here."""

    identity: SigningIdentity


def signer(keys: Path | None) -> Signer | None:
    """Return who signs, from the installation's folder of keys; None without one, and (logged) where it cannot sign.

    A verdict is recorded whether or not it can be signed: its receipt is made when somebody asks for it.
    """
    if keys is None:
        return None
    try:
        return Signer(identity=pki.signing_identity(keys / "pki"))
    except (MemorydError, OSError) as error:
        _log.warning("receipts are not signed now: %s", error)
        return None


def keep(session: Session, attempt: ReproductionId, by: Signer) -> bytes:
    """Sign and keep the receipt of a decided attempt as it now stands; return it."""
    row = queries.find_reproduction(session, attempt, lock=True)
    assert row is not None
    statement = _statement(session, row, by.identity)
    signed = read_json(seal(canonical_bytes(statement), by.identity))
    receipt = canonical_bytes({"statement": statement, "seal": signed}) + b"\n"
    queries.set_receipt(session, attempt, receipt)
    facts: dict[str, Json] = {
        "reproduction": str(attempt),
        "verdict": row.verdict,
        "receipt_sha256": canonical_digest({"statement": statement, "seal": signed}).hex(),
        "signer": by.identity.name,
    }
    audit.note(session, None, "reproduction.receipt", f"asset:{row.asset_id}", facts)
    return receipt


def get_receipt(
    database: Database, tenant: TenantScope, attempt: ReproductionId, keys: Path, *, sees: Sees = None
) -> bytes:
    """Return the receipt of an attempt, signed now where that was not done with its verdict.

    Raises: ReproductionNotFound, NotDecided; BadSigner, SignerExpired.
    """
    with database.tenant_work(tenant) as session:
        shown = show_reproduction(session, attempt, sees)
        row = queries.find_reproduction(session, attempt)
    assert row is not None
    if shown.verdict is None:
        raise NotDecided(f"attempt {attempt} is {shown.state.value}", hint="`memoryd receipt show` tells how far it is")
    if row.receipt is not None:
        return bytes(row.receipt)
    by = Signer(identity=pki.signing_identity(keys / "pki"))
    with database.tenant_work(tenant) as session:
        locked = queries.find_reproduction(session, attempt, lock=True)
        assert locked is not None
        return bytes(locked.receipt) if locked.receipt is not None else keep(session, attempt, by)


def _statement(session: Session, row: queries.Found, identity: SigningIdentity) -> dict[str, Json]:
    measures: dict[str, Any] = dict(row.measures)
    asset = queries.find_original(session, row.asset_id)
    original = queries.find_original(session, row.plan["of_asset"])
    result = (queries.find_job_result(session, row.job_id) if row.job_id is not None else None) or {}
    runs = queries.list_second_runs(session, [row.id])
    tolerances: dict[str, Json] = {
        "max_abs": TOLERANCE_MAX_ABS,
        "psnr_db": TOLERANCE_PSNR_DB,
        "ssim": TOLERANCE_SSIM,
        "similar_psnr_db": SIMILAR_PSNR_DB,
        "similar_bits": SIMILAR_BITS,
    }
    return {
        "format": FORMAT,
        "id": str(row.id),
        "purpose": row.purpose,
        "asset": {
            "id": str(row.asset_id),
            "sha256": bytes(asset.sha256).hex(),
            "original_sha256": bytes(original.sha256).hex(),
            "original_bytes": original.size,
            "media_type": original.media_type,
        },
        "verdict": row.verdict,
        "means": MEANS[Verdict(row.verdict)],
        "compared": _compared(row, measures),
        "measures": {name: value for name, value in measures.items() if name not in _TOLD_BESIDE},
        "causes": [_cause(each) for each in (row.causes if row.causes_tested is None else row.causes_tested)],
        "tests": {
            "state": Testing(row.testing).value,
            "over_at": _time(row.tested_at),
            "runs": [
                {
                    "id": str(run.id),
                    "purpose": run.purpose,
                    "verdict": run.verdict,
                    "as_first": run.measures.get("as_first"),
                    "worker_id": str(run.worker_id) if run.worker_id else None,
                    "environment": _hex(run.environment),
                }
                for run in runs
            ],
        },
        "how": _how(row, result),
        "tolerances": tolerances,
        "asked_at": _time(row.at),
        "decided_at": _time(row.decided_at),
        "software": f"memoryd {memoryd.__version__}",
        "signer": {
            "name": identity.name,
            "development": identity.development,
            "certificate_sha256": identity.fingerprint.hex(),
        },
    }


_TOLD_BESIDE = frozenset(
    {"original_sha256", "made_sha256", "original_pixels", "made_pixels", "node", "batch_index", "compared_outputs"}
    | {"compared_with", "as_first"}
)


def _compared(row: queries.Found, measures: Mapping[str, Any]) -> dict[str, Json]:
    made: dict[str, Json] | None = None
    if measures.get("made_sha256"):
        made = {
            "sha256": measures["made_sha256"],
            "asset_id": str(row.made_asset_id) if row.made_asset_id else None,
            "node": measures["node"],
            "batch_index": measures["batch_index"],
            "compared_outputs": measures["compared_outputs"],
        }
    return {
        "with": measures.get("compared_with"),
        "original_pixels": measures.get("original_pixels"),
        "made": made,
        "made_pixels": measures.get("made_pixels"),
    }


def _how(row: queries.Found, result: Mapping[str, Any]) -> dict[str, Json]:
    ran = row.verdict != Verdict.NOT_ATTEMPTED
    cached = result.get("cached_nodes")
    worker: dict[str, Json] = {"id": str(row.worker_id) if row.worker_id else None, "label": result.get("worker")}
    return {
        "recomputed": ran,
        "how": HOW,
        "cached_nodes": len(cached) if isinstance(cached, list) else None,
        "tries": row.tries,
        "job_id": str(row.job_id) if row.job_id else None,
        "worker": worker if result else None,
        "plan_sha256": canonical_digest(row.plan).hex(),
        "environment_then": row.plan.get("environment"),
        "environment_now": _hex(row.environment),
        "started_at": result.get("started_at"),
        "ended_at": result.get("ended_at"),
    }


def _cause(stored: Mapping[str, Any]) -> dict[str, Json]:
    return {**stored, "next_step": stored.get("next_step") or ""}


def _hex(digest: bytes | None) -> str | None:
    return bytes(digest).hex() if digest is not None else None


def _time(at: datetime.datetime | None) -> str | None:
    return None if at is None else at.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
