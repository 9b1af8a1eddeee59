"""Second runs that look for the reason of what came out otherwise: once more on the same worker, once on another.

They are queued when a verdict falls short of identical pixels, RUNS_LIMIT at most, and have none of their own. The
verdict does not wait for them and never changes; when the last has ended, the causes are ranked again.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID, uuid5

from memoryd.access import audit
from memoryd.access.facts import Caller, Scope
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import AssetId, ReproductionId
from memoryd.foundation.logging import log_for
from memoryd.reproduction import making, queries, receipts
from memoryd.reproduction.causes import SecondRun, retold
from memoryd.reproduction.environments.nearness import nearness
from memoryd.reproduction.facts import (
    SHORT_OF_IDENTICAL,
    Cause,
    Purpose,
    TestedBy,
    Testing,
    Verdict,
)
from memoryd.reproduction.matching import environment_of
from memoryd.storage.blob_store import BlobStore

RUNS_LIMIT = 2
"""Second runs of one attempt: one on the same worker, one on another."""

EXPLAINED = SHORT_OF_IDENTICAL
"""Verdicts that are looked into."""

VIA = "second-run"
_log = log_for(__name__)
_TESTED_BY = {Purpose.REPEAT: TestedBy.REPEAT, Purpose.OTHER_WORKER: TestedBy.OTHER_WORKER}


def go_on(
    database: Database, store: BlobStore, tenant: TenantScope, attempt: ReproductionId, keys: Path | None
) -> None:
    """Begin the second runs that a decided attempt waits for, or end those of its parent. Safe to repeat.

    Raises: DatabaseDown.
    """
    with database.tenant_work(tenant) as session:
        row = queries.find_reproduction(session, attempt)
    if row is None or row.state != "decided":
        return
    if row.parent_id is not None:
        _end(database, tenant, ReproductionId(row.parent_id), keys)
    elif row.testing == Testing.WANTED:
        _begin(database, store, tenant, row)
        _end(database, tenant, attempt, keys)


def _begin(database: Database, store: BlobStore, tenant: TenantScope, row: queries.Found) -> None:
    begun = 0
    for purpose, worker, pool in _wanted(row)[:RUNS_LIMIT]:
        # Named by what it is: begun twice, it is still one.
        attempt = ReproductionId(uuid5(row.id, purpose.value))
        with database.tenant_work(tenant) as session:
            known = queries.find_reproduction(session, attempt)
        if known is None:
            try:
                making.make_again(
                    database,
                    store,
                    _caller(tenant, row),
                    AssetId(row.asset_id),
                    pool=pool,
                    purpose=purpose,
                    parent=ReproductionId(row.id),
                    on_worker=worker,
                    attempt=attempt,
                )
            except NotFound as error:
                # The asset left the project meanwhile: there is nothing to run, and nobody waits for it.
                _log.info("no second run of %s: %s", row.id, error.detail)
                continue
        begun += 1
    with database.tenant_work(tenant) as session:
        queries.set_testing(session, row.id, (Testing.RUNNING if begun else Testing.OFF).value, now=Testing.WANTED)


def _wanted(row: queries.Found) -> list[tuple[Purpose, UUID, str]]:
    """Return what is to be run, where, and in which pool."""
    asked = (row.plan.get("route") or {}).get("pool") or DEFAULT_POOL
    workers = [each for each in row.plan.get("workers") or [] if isinstance(each, dict)]
    wanted = []
    if row.worker_id is not None:
        own = next((each for each in workers if each.get("worker_id") == str(row.worker_id)), {})
        wanted.append((Purpose.REPEAT, row.worker_id, _pool(own, asked)))
    for each in workers:
        # Nearest first, as the plan has them.
        if each.get("fits") and each.get("online") and each.get("worker_id") != str(row.worker_id):
            wanted.append((Purpose.OTHER_WORKER, UUID(each["worker_id"]), _pool(each, asked)))
            break
    return wanted


def _pool(worker: Mapping[str, Json], asked: str) -> str:
    pools = worker.get("pools")
    if not isinstance(pools, list) or not pools or asked in pools:
        return asked
    return str(pools[0])


def _caller(tenant: TenantScope, row: queries.Found) -> Caller:
    """Return whom second runs run as: on account of who asked, with sight of the attempt's project alone."""
    held, project = frozenset({Scope.READ, Scope.SUBMIT}), row.project_id
    return Caller(
        tenant=tenant,
        name=VIA,
        scopes=held,
        sees=frozenset({project} if project is not None else ()),
        via=VIA,
        person_id=row.by_person,
        everywhere=held if project is None else frozenset(),
        in_project={project: held} if project is not None else {},
    )


def _end(database: Database, tenant: TenantScope, parent: ReproductionId, keys: Path | None) -> None:
    """Rank a parent's causes again, where its second runs have all ended."""
    signer = receipts.signer(keys)
    with database.tenant_work(tenant) as session:
        row = queries.find_reproduction(session, parent, lock=True)
        if row is None or row.testing != Testing.RUNNING:
            return
        runs = queries.list_second_runs(session, [parent])
        if not runs or any(run.state != "decided" for run in runs):
            return
        causes = retold([Cause.of(each) for each in row.causes], _shown(session, row, runs))
        queries.set_tested(
            session, parent, [dict(cause.as_json()) for cause in causes], datetime.datetime.now(datetime.UTC)
        )
        facts: dict[str, Json] = {
            "reproduction": str(parent),
            "causes": [cause.code for cause in causes],
            "second_runs": [str(run.id) for run in runs],
        }
        audit.note(session, None, "asset.reproduction_tested", f"asset:{row.asset_id}", facts)
        if row.project_id is not None:
            facts["project_id"] = str(row.project_id)
        outbox.announce(session, "reproduction.tested", parent, facts)
        if signer is not None:
            receipts.keep(session, parent, signer)


def _shown(session: Session, first: queries.Found, runs: Sequence[queries.Found]) -> list[SecondRun]:
    planned = first.plan.get("environment")
    then = environment_of(session, bytes.fromhex(planned)) if isinstance(planned, str) else None
    here = _names(then, environment_of(session, first.environment))
    shown = []
    for run in runs:
        by = _TESTED_BY.get(Purpose(run.purpose))
        if by is None:
            continue
        as_first = run.measures.get("as_first")
        there = environment_of(session, run.environment)
        labels = {each.get("worker_id"): each.get("label") for each in first.plan.get("workers") or []}
        shown.append(
            SecondRun(
                by=by,
                verdict=Verdict(run.verdict),
                as_first=as_first if isinstance(as_first, bool) else None,
                worker=str(labels.get(str(run.worker_id)) or "another worker"),
                same_as_then=here - _names(then, there) if there is not None else frozenset(),
            )
        )
    return shown


def _names(then: Mapping[str, Json] | None, there: Mapping[str, Json] | None) -> frozenset[str]:
    return frozenset(each.name for each in nearness(then, there).differences)
