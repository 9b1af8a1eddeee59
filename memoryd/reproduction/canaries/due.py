"""Which worker is to make which approved asset again, and when."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.dispatch import doubts
from memoryd.dispatch.doubts import Servant
from memoryd.foundation.database import Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.ids import AssetId, ProjectId, TenantId, WorkerId, new_id
from memoryd.reproduction import matching, planning
from memoryd.reproduction.canaries import queries
from memoryd.reproduction.canaries.facts import Outcome, Reason, RunState
from memoryd.reproduction.canaries.policies import find_policy
from memoryd.reproduction.facts import WorkerMatch
from memoryd.submission.pool_choice import usable_pools

RETRY_S = 6 * 3600.0
"""A run of which nothing came is tried again after this, or at its next time if that is earlier."""
SPREAD = 0.1
"""Share of the time between two runs by which each worker and asset comes later, so that they do not all come at once."""


def plan_due(session: Session, scope: TenantScope, *, now: datetime.datetime) -> int:
    """Note what is due in every project that keeps canaries; return how many runs that is. Safe to repeat.

    `session` is a unit of work of `scope`, and is one again afterwards.
    """
    policies = queries.list_policies(session, None)
    if not policies:
        return 0
    take_farm(session)
    servants = doubts.list_servants(session, tenant_id=TenantId(scope.id))
    usable = {pool.name: pool.region for pool in usable_pools(session, TenantId(scope.id))}
    take_tenant(session, scope)
    count = 0
    for policy in policies:
        assets = queries.choose_assets(
            session, project_id=policy.project_id, collection_id=policy.collection_id, limit=policy.assets_limit
        )
        pools = allowed_pools(usable, policy.pools, policy.regions)
        due = list(_due(session, policy, servants, pools, assets, now))
        due = _that_can(session, scope, policy.project_id, due)
        count += queries.insert_due(session, [_row(policy.project_id, pools, each) for each in due])
    return count


def ask_now(session: Session, caller: Caller, project_id: ProjectId, worker_id: WorkerId | None) -> int:
    """Note runs of a project's canaries as due now, on one worker or on all; return how many are new.

    `session` is a unit of work of the caller's tenant, and is one again afterwards. Raises: NoCanaries.
    """
    find_policy(session, project_id)
    scope, count = caller.tenant, 0
    for policy in queries.list_policies(session, frozenset({project_id})):
        assets = queries.choose_assets(
            session, project_id=project_id, collection_id=policy.collection_id, limit=policy.assets_limit
        )
        take_farm(session)
        servants = doubts.list_servants(session, tenant_id=TenantId(scope.id))
        usable = {pool.name: pool.region for pool in usable_pools(session, TenantId(scope.id))}
        take_tenant(session, scope)
        pools = allowed_pools(usable, policy.pools, policy.regions)
        asked = [
            (servant, asset, Reason.ASKED)
            for servant in servants
            if worker_id in (None, servant.worker_id) and _pool_of(servant, pools) is not None
            for asset in assets
        ]
        count += queries.insert_due(session, [_row(project_id, pools, each) for each in asked])
    audit.note(session, caller, "canary.run", f"project:{project_id}", {"due": count})
    return count


def allowed_pools(
    usable: Mapping[str, str | None], pools: Iterable[str] | None, regions: Iterable[str] | None
) -> frozenset[str]:
    """Return which of a tenant's pools (name -> region) a project's jobs may use; None allows all."""
    named = None if pools is None else set(pools)
    lying = None if regions is None else set(regions)
    return frozenset(
        pool
        for pool, region in usable.items()
        if (named is None or pool in named) and (lying is None or region in lying)
    )


def reason_for(
    last: queries.Found | None,
    *,
    environment: bytes | None,
    every_s: int | None,
    after_change: bool,
    spread: float,
    now: datetime.datetime,
) -> Reason | None:
    """Return why a worker is to make an asset now, None where it is not.

    `last` is its newest run, `environment` what the worker states at present, `spread` 0 to 1: its place among others.
    """
    if last is None:
        return Reason.FIRST
    if last.state != RunState.OVER:
        return None
    # What it stated and what it ran in may differ by an answer that came late: either is no change.
    if after_change and environment is not None and environment not in (last.stated, last.environment):
        return Reason.CHANGE
    wait = every_s * (1 + SPREAD * spread) if every_s is not None else None
    if last.outcome == Outcome.NOT_ATTEMPTED:
        wait = RETRY_S if wait is None else min(wait, RETRY_S)
    if wait is not None and last.at + datetime.timedelta(seconds=wait) <= now:
        return Reason.SCHEDULE
    return None


def _due(
    session: Session,
    policy: queries.Found,
    servants: Sequence[Servant],
    pools: frozenset[str],
    assets: Sequence[UUID],
    now: datetime.datetime,
) -> Iterable[tuple[Servant, UUID, Reason]]:
    able = [servant for servant in servants if _pool_of(servant, pools) is not None]
    rows = queries.list_last(
        session,
        project_id=policy.project_id,
        worker_ids=[servant.worker_id for servant in able],
        asset_ids=assets,
    )
    last = {(row.worker_id, row.asset_id): row for row in rows}
    for servant in able:
        for asset in assets:
            reason = reason_for(
                last.get((servant.worker_id, asset)),
                environment=servant.environment,
                every_s=policy.every_s,
                after_change=policy.after_change,
                spread=_spread(servant.worker_id, asset),
                now=now,
            )
            if reason is not None:
                yield servant, asset, reason


def _that_can(
    session: Session, scope: TenantScope, project_id: UUID, due: Sequence[tuple[Servant, UUID, Reason]]
) -> list[tuple[Servant, UUID, Reason]]:
    """Leave out workers that never made an asset and lack what it needs.

    One that made it before is asked all the same: that its model changed is to be found.
    """
    first = {asset for _, asset, reason in due if reason is Reason.FIRST}
    fitting: dict[UUID, set[UUID]] = {}
    for asset in first:
        plan = planning.make_plan(session, AssetId(asset), frozenset({ProjectId(project_id)}))
        needs = matching.needs_of(plan)
        take_farm(session)
        matches = matching.match_workers(session, needs, None, scope)
        take_tenant(session, scope)
        fitting[asset] = {match.worker_id for match in matches if _fits(match)} if not plan.missing else set()
    return [each for each in due if each[2] is not Reason.FIRST or each[0].worker_id in fitting[each[1]]]


def _fits(match: WorkerMatch) -> bool:
    """Whether a worker has what an asset needs; one that is kept out is tried all the same."""
    return all(cause.code in {*matching.NO_HINDRANCE, matching.KEPT_OUT} for cause in match.lacks)


def _row(project_id: UUID, pools: frozenset[str], due: tuple[Servant, UUID, Reason]) -> dict[str, object]:
    servant, asset, reason = due
    return {
        "id": new_id(),
        "project_id": project_id,
        "asset_id": asset,
        "worker_id": servant.worker_id,
        "worker": servant.label,
        "pool": _pool_of(servant, pools),
        "reason": reason.value,
        "state": RunState.DUE.value,
        "reproduction_id": new_id(),
        "stated": servant.environment,
    }


def _pool_of(servant: Servant, pools: frozenset[str]) -> str | None:
    return next((pool for pool in servant.pools if pool in pools), None)


def _spread(worker_id: UUID, asset: UUID) -> float:
    """A place from 0 to 1 that a worker and asset always have."""
    return int.from_bytes(hashlib.sha256(worker_id.bytes + asset.bytes).digest()[:4], "big") / 2**32
