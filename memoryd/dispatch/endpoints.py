"""The queue over HTTP: pools and depths. The workers' own addresses, and those about them, are in `dispatch.fleet`."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from memoryd.access import audit, people, projects
from memoryd.access.guards import Administrator, Approver, Reader
from memoryd.dispatch import caps, farm_changes, holds, pools, shown, weights, workers
from memoryd.dispatch.fleet import endpoints as fleet
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import take_farm
from memoryd.foundation.ids import CapId

router = APIRouter(tags=["dispatch"])
router.include_router(fleet.router)


@router.get("/pools")
def list_pools(work: Reader) -> shown.Pools:
    """The pools that jobs may name."""
    take_farm(work.session)
    found = pools.list_pools(work.session, tenant_id=work.caller.tenant.id)
    return shown.Pools(items=[shown.show_pool(pool) for pool in found])


@router.get("/pools/{name}")
def show_pool(work: Reader, name: str) -> shown.Pool:
    """One pool."""
    take_farm(work.session)
    return shown.show_pool(pools.find_pool(work.session, name, tenant_id=work.caller.tenant.id))


@router.post("/pools", status_code=201)
def add_pool(work: Administrator, asked: shown.NewPool) -> shown.Pool:
    """Make a pool for this tenant's jobs."""
    audit.note(work.session, work.caller, "pool.add", f"pool:{asked.name}", _facts(asked))
    take_farm(work.session)
    made = pools.add_pool(work.session, asked.name, tenant_id=work.caller.tenant.id, edit=asked.edit())
    return shown.show_pool(made)


@router.patch("/pools/{name}")
def edit_pool(work: Administrator, name: str, asked: shown.EditedPool) -> shown.Pool:
    """Change what is given of a pool that no other tenant uses."""
    audit.note(work.session, work.caller, "pool.edit", f"pool:{name[:80]}", _facts(asked))
    take_farm(work.session)
    return shown.show_pool(pools.edit_pool(work.session, name, asked.edit(), tenant_id=work.caller.tenant.id))


@router.post("/pools/{name}/pause")
def pause_pool(work: Administrator, name: str) -> shown.Pool:
    """Let nothing be claimed from a pool from now on. What runs goes on, and jobs may still be sent."""
    return shown.show_pool(farm_changes.pause_pool(work.session, work.caller, name))


@router.post("/pools/{name}/resume")
def resume_pool(work: Administrator, name: str) -> shown.Pool:
    """Let a pool be claimed from again."""
    return shown.show_pool(farm_changes.resume_pool(work.session, work.caller, name))


@router.post("/projects/{slug}/pause")
def pause_project(work: Approver, slug: str) -> shown.Pause:
    """Let a project's jobs wait. What runs goes on, and jobs may still be sent."""
    project_id = projects.find_project(work.session, slug, work.caller.sees)
    audit.note(work.session, work.caller, "project.pause", f"project:{project_id}", {})
    take_farm(work.session)
    changed = holds.pause_project(work.session, project_id, tenant_id=work.caller.tenant.id)
    return shown.Pause(paused=True, changed=changed)


@router.post("/projects/{slug}/resume")
def resume_project(work: Approver, slug: str) -> shown.Pause:
    """Let a project's jobs go on."""
    project_id = projects.find_project(work.session, slug, work.caller.sees)
    audit.note(work.session, work.caller, "project.resume", f"project:{project_id}", {})
    take_farm(work.session)
    changed = holds.resume_project(work.session, project_id, tenant_id=work.caller.tenant.id)
    return shown.Pause(paused=False, changed=changed)


@router.get("/caps")
def list_caps(work: Administrator) -> shown.Caps:
    """The caps that count this tenant's jobs, and what runs under each."""
    slugs = {project.id: project.slug for project in projects.list_projects(work.session)}
    logins = {person.id: person.login for person in people.list_people(work.session)}
    take_farm(work.session)
    found = caps.list_caps(work.session, tenant_id=work.caller.tenant.id)
    return shown.Caps(items=[shown.show_cap(cap, slugs, logins) for cap in found])


@router.put("/caps")
def put_cap(work: Administrator, asked: shown.NewCap) -> shown.Cap:
    """Let at most so many jobs of a scope run at once, from the next claim on. Zero holds all of it back."""
    project_id = projects.find_project(work.session, asked.project) if asked.project is not None else None
    person_id = people.find_person(work.session, asked.person) if asked.person is not None else None
    facts: dict[str, Json] = {"max_running": asked.max_running, "pool": asked.pool}
    facts |= {"project_id": str(project_id) if project_id else None, "person_id": str(person_id) if person_id else None}
    audit.note(work.session, work.caller, "cap.put", f"tenant:{work.caller.tenant.id}", facts)
    take_farm(work.session)
    cap_id = caps.put(
        work.session,
        tenant_id=work.caller.tenant.id,
        max_running=asked.max_running,
        project_id=project_id,
        person_id=person_id,
        pool=asked.pool,
    )
    return shown.Cap(
        id=cap_id,
        everybody=False,
        project=asked.project,
        person=asked.person,
        pool=asked.pool,
        max_running=asked.max_running,
        running=next(
            cap.running for cap in caps.list_caps(work.session, tenant_id=work.caller.tenant.id) if cap.id == cap_id
        ),
    )


@router.delete("/caps/{cap_id}", status_code=204)
def remove_cap(work: Administrator, cap_id: UUID) -> Response:
    """Forget a cap. What it held back is let go within a second or two."""
    audit.note(work.session, work.caller, "cap.remove", f"cap:{cap_id}", {})
    take_farm(work.session)
    caps.remove(work.session, CapId(cap_id), tenant_id=work.caller.tenant.id)
    return Response(status_code=204)


@router.get("/weights")
def show_weights(work: Administrator) -> shown.Weights:
    """How the tenant shares pools with others, and its projects what it gets."""
    slugs = {project.id: project.slug for project in projects.list_projects(work.session)}
    take_farm(work.session)
    found = weights.find_weights(work.session, tenant_id=work.caller.tenant.id)
    return shown.Weights(
        tenant=found.tenant,
        projects={slugs.get(project_id, str(project_id)): weight for project_id, weight in found.projects.items()},
    )


@router.put("/projects/{slug}/weight", status_code=204)
def weigh_project(work: Administrator, slug: str, asked: shown.NewWeight) -> Response:
    """Set a project's weight against the tenant's other projects, for what enters the queue from now on."""
    project_id = projects.find_project(work.session, slug)
    audit.note(work.session, work.caller, "project.weigh", f"project:{project_id}", {"weight": asked.weight})
    take_farm(work.session)
    weights.weigh_project(work.session, project_id, asked.weight, tenant_id=work.caller.tenant.id)
    return Response(status_code=204)


@router.get("/queue")
def show_queue(work: Reader) -> shown.Queue:
    """How busy each pool is now, and who works."""
    take_farm(work.session)
    tenant_id = work.caller.tenant.id
    usable = pools.list_pools(work.session, tenant_id=tenant_id)
    depths = pools.list_depths(work.session, usable, tenant_id=tenant_id)
    present = workers.list_workers(work.session, tenant_id=tenant_id)
    return shown.Queue(
        pools=[shown.show_depth(depth) for depth in depths],
        workers=[shown.show_worker(one) for one in present if one.online or one.running],
    )


def _facts(asked: shown.EditedPool) -> dict[str, Json]:
    """Return what was asked for as the trail keeps it: of a graph, that there was one."""
    facts: dict[str, Json] = asked.model_dump(exclude={"name", "warm_up"}, exclude_none=True)
    return facts | ({"warm_up": bool(asked.warm_up)} if asked.warm_up is not None else {})
