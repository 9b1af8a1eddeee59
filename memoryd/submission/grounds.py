"""What a job stands on: its project, its pool, what its workflow costs there, and what the pool's workers told.

All of it changes seldom and is remembered for a moment, so that most submissions read nothing before they write. What is
remembered never refuses: before it does, everything is looked at anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from uuid import UUID

from memoryd.access import projects
from memoryd.access.facts import Caller
from memoryd.comfyui.specs import NodeSpecs
from memoryd.dispatch import jobs
from memoryd.dispatch.estimating import RUN_SPREAD
from memoryd.dispatch.facts import Route
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import MemorydError, NotAcceptable
from memoryd.foundation.ids import JobId, PoolId, ProjectId
from memoryd.foundation.texts import storable
from memoryd.submission import pool_choice, pool_knowledge, queries, run_costs
from memoryd.submission.bringing import Brought, what_is_brought
from memoryd.submission.checking import Checked, check_graph
from memoryd.submission.facts import Submission
from memoryd.submission.graph_needs import GraphRead, ModelUnknown
from memoryd.submission.pool_choice import UsablePool, choose_pool, find_usable
from memoryd.submission.pool_knowledge import PoolKnowledge, knowledge_of
from memoryd.submission.remembering import memory_of
from memoryd.submission.run_costs import RunCost

PROJECT_KEPT_S = 1.0
COST_KEPT_S = 5.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a job stands on."""

    scope: TenantScope
    caller: Caller | None
    project_id: ProjectId | None
    pool: UsablePool
    bigger_pools: tuple[PoolId, ...]
    workflow: bytes | None
    cost: RunCost
    contents: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    """(folder, name) -> SHA-256 (hex) of the weights that all workers of the pool have alike, or will bring."""
    specs: NodeSpecs | None = None
    """What the pool's classes offer; None where no worker told it."""
    route: Route | None = None
    """Who can bring the models that are only in the store, where not every worker of the pool can."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Project:
    """Where a project's jobs may run. `id` None: there is none of this name, or none was named."""

    id: UUID | None
    pools: tuple[str, ...] | None
    regions: tuple[str, ...] | None


_NO_COST: Mapping[str, float] = {"mean_ms": 0.0, "spread_ms": 0.0}


def recall(
    database: Database, asked: Submission, read: GraphRead, *, scope: TenantScope, caller: Caller | None
) -> tuple[Ground, Checked] | None:
    """Return what a job stands on and how its graph was checked, from memory alone; None where that does not suffice."""
    engine, workflow = database.engine, run_costs.workflow_of(read.graph)
    memory = memory_of(engine)
    project = memory.find(_project_key(asked, scope))
    learned = memory.find(run_costs.cost_key(scope, workflow, asked.pool))
    usable = pool_choice.remembered_pools(engine, scope.id)
    if not isinstance(project, _Project) or not isinstance(learned, dict) or usable is None or asked.after is not None:
        return None
    try:
        ground = _ground(asked, read, project, learned, usable, scope=scope, caller=caller, workflow=workflow)
        knowledge = pool_knowledge.remembered(engine, ground.pool.id, scope.id)
        if knowledge is None:
            return None
        known = dataclasses.replace(ground, contents=knowledge.contents, specs=knowledge.specs)
        return known, _check(read, knowledge, asked)
    except MemorydError:
        return None


def look(
    session: Session, asked: Submission, read: GraphRead, *, scope: TenantScope, caller: Caller | None
) -> tuple[Ground, Checked]:
    """Return what a job stands on and how its graph was checked.

    `session` is a unit of work of `scope`, and is one again afterwards. Raises: ProjectNotFound, PoolNotFound,
    PoolNotAllowed, RegionNotAllowed, JobNotFound (of `after`), and as check_graph.
    """
    if asked.after is not None:
        _check_predecessor(session, asked.after, caller)
    memory = memory_of(session.get_bind().engine)
    workflow = run_costs.workflow_of(read.graph)
    # Asked for before the look: what changes meanwhile is looked for again.
    key = _project_key(asked, scope)
    found = queries.find_ground(
        session, slug=asked.project, project_id=asked.project_id, workflow=workflow, pool=storable(asked.pool)[0]
    )
    project = _Project(
        id=found.id,
        pools=None if found.pools is None else tuple(found.pools),
        regions=None if found.regions is None else tuple(found.regions),
    )
    learned = {"mean_ms": found.mean_ms, "spread_ms": found.spread_ms} if found.mean_ms is not None else dict(_NO_COST)
    memory.keep(key, project, PROJECT_KEPT_S)
    memory.keep(run_costs.cost_key(scope, workflow, asked.pool), learned, COST_KEPT_S)
    take_farm(session)
    try:
        usable = find_usable(session, scope.id, asked.pool)
        ground = _ground(asked, read, project, learned, usable, scope=scope, caller=caller, workflow=workflow)
        checked, brought = _check_with_store(session, read, asked, ground)
        known = knowledge_of(session, ground.pool.id, tenant_id=scope.id)
        ground = dataclasses.replace(ground, contents=known.contents, specs=known.specs)
        if brought is not None:
            contents = {**known.contents, **brought.contents}
            ground = dataclasses.replace(ground, contents=contents, route=brought.route)
    finally:
        take_tenant(session, scope)
    return ground, checked


def _ground(
    asked: Submission,
    read: GraphRead,
    project: _Project,
    learned: Mapping[str, float],
    usable: tuple[UsablePool, ...],
    *,
    scope: TenantScope,
    caller: Caller | None,
    workflow: bytes | None,
) -> Ground:
    sees = caller.sees if caller is not None else None
    if asked.project is not None and (project.id is None or (sees is not None and project.id not in sees)):
        raise projects.ProjectNotFound(f"project {asked.project[:80]!r}", hint="`memoryd projects list` shows yours")
    pool, bigger = choose_pool(usable, asked.pool, pools=project.pools, regions=project.regions)
    return Ground(
        scope=scope,
        caller=caller,
        project_id=ProjectId(project.id) if project.id is not None else None,
        pool=pool,
        bigger_pools=bigger,
        workflow=workflow,
        cost=run_costs.cost_of(read.graph, learned)
        if asked.cost_ms is None
        else RunCost(cost_ms=asked.cost_ms, spread=RUN_SPREAD, learned=False),
    )


def _check_with_store(
    session: Session, read: GraphRead, asked: Submission, ground: Ground
) -> tuple[Checked, Brought | None]:
    """Return a graph as checked, and what workers must bring for it from the model store, None for nothing."""
    try:
        return _check_anew(session, read, asked, ground), None
    except ModelUnknown:
        brought = what_is_brought(
            session,
            read.needs,
            asked.pins,
            knowledge_of(session, ground.pool.id, tenant_id=ground.scope.id),
            scope=ground.scope,
            pool_id=ground.pool.id,
        )
        if brought is None:
            raise
        return _check(read, brought.knowledge, asked), brought


def _check_anew(session: Session, read: GraphRead, asked: Submission, ground: Ground) -> Checked:
    pool_id, tenant_id = ground.pool.id, ground.scope.id
    knowledge = knowledge_of(session, pool_id, tenant_id=tenant_id)
    try:
        return _check(read, knowledge, asked)
    except NotAcceptable:
        anew = knowledge_of(session, pool_id, tenant_id=tenant_id, max_age_s=0)
        if anew is knowledge:
            raise
        return _check(read, anew, asked)


def _check(read: GraphRead, knowledge: PoolKnowledge, asked: Submission) -> Checked:
    return check_graph(read, knowledge, inputs=asked.inputs, pool=asked.pool, unchecked=asked.unchecked)


def _check_predecessor(session: Session, after: JobId, caller: Caller | None) -> None:
    sees = caller.sees if caller is not None else None
    owners = queries.list_projects_of(session, job_ids=[after])
    if after not in owners or (sees is not None and owners[after] not in sees):
        raise jobs.JobNotFound(f"job {after}", hint="`memoryd jobs list` shows yours")


def _project_key(asked: Submission, scope: TenantScope) -> tuple[object, ...]:
    return ("project", scope.id, asked.project, asked.project_id, projects.places_version())
