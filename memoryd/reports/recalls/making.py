"""Makes the report: counts and the newest of what was touched, in one spelling."""

from __future__ import annotations

import dataclasses
import datetime
import itertools

from memoryd import __version__
from memoryd.access.facts import Caller
from memoryd.clearance.recalls import deciding
from memoryd.clearance.recalls.radius import blast_radius
from memoryd.clearance.recalls.touched import stream_touched
from memoryd.clearance.recalls.wire import told, told_asset
from memoryd.foundation.canonical_json import Json, canonical_bytes
from memoryd.foundation.database import Database
from memoryd.foundation.ids import new_id
from memoryd.reports.composing import NOTICE

FORMAT = "memoryd.blast-radius-report/1"
ASSETS_LIMIT = 10_000
"""Assets that one report lists; its counts are of all, and the list of all is had as CSV or JSON lines."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BlastReport:
    """A report: its name, its bytes, and how many assets it lists."""

    name: str
    content: bytes
    listed: int


def make_report(database: Database, caller: Caller, ref: str, *, now: datetime.datetime | None = None) -> BlastReport:
    """Return the report about a model, as far as the caller sees. Opens its own units of work.

    Raises: ModelNotFound, ModelAmbiguous.
    """
    with database.tenant_work(caller.tenant) as session:
        sha256 = deciding.find_weights(session, ref)
        radius = told(blast_radius(session, sha256, caller.sees))
    found = stream_touched(database, caller.tenant, sha256, caller.sees)
    assets = [told_asset(asset) for asset in itertools.islice(found, ASSETS_LIMIT + 1)]
    moment = (now or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC)
    report_id = str(new_id())
    document: dict[str, Json] = {
        "format": FORMAT,
        "report_id": report_id,
        "made_at": moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "made_by": caller.name,
        "made_with": f"memoryd {__version__}",
        "tenant": caller.tenant.slug,
        "notice": NOTICE,
        "asked": ref,
        "whole_studio": caller.sees is None,
        "complete": caller.sees is None and radius["behind"] == 0 and len(assets) <= ASSETS_LIMIT,
        "blast_radius": radius,
        "assets": [*assets[:ASSETS_LIMIT]],
    }
    return BlastReport(
        name=f"blast-radius-{report_id}",
        content=canonical_bytes(document) + b"\n",
        listed=min(len(assets), ASSETS_LIMIT),
    )
