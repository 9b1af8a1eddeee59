"""From a request to a queued job: checked against what its pool can do, written down, and enqueued in one transaction."""

from __future__ import annotations

import dataclasses
import datetime
import zlib
from collections.abc import Sequence

from memoryd.access import audit, projects
from memoryd.access.facts import Caller
from memoryd.dispatch import jobs
from memoryd.dispatch.estimating import RUN_SPREAD, Estimate, estimate, estimates_of
from memoryd.dispatch.facts import Enqueued
from memoryd.dispatch.pools import CLASS_IDS
from memoryd.dispatch.states import JobState
from memoryd.dispatch.wire import InputFile, Pin
from memoryd.events import outbox
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.canonical_json import Json, NotJson, canonical_digest, read_json
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.foundation.ids import JobId, PoolId, ProjectId, new_id
from memoryd.foundation.texts import storable
from memoryd.submission import graph_needs, queries, run_costs
from memoryd.submission.checking import Checked, check_graph
from memoryd.submission.facts import EventState, Submission, Submitted
from memoryd.submission.graph_needs import GraphRead
from memoryd.submission.pool_choice import UsablePool, choose_pool, find_usable
from memoryd.submission.pool_knowledge import PoolKnowledge, knowledge_of
from memoryd.submission.run_costs import RunCost
from memoryd.submission.usage.words import keep_words

TEXT_LIMIT = 16 * 1024 * 1024
"""Bytes of a prompt or of its extra data: the largest editor graph in our corpus has 3 MB."""
INPUTS_LIMIT = 200
PINS_LIMIT = 500
NAME_LIMIT = 100
DEFAULT_NAME = "workflow"


class TextTooLarge(TooLarge):
    """A job's texts are too large."""


class ExtraDataRefused(NotAcceptable):
    """The extra data is no JSON object."""


class InputNotStored(NotAcceptable):
    """An input's bytes are not in the store."""


class _KnownAlreadyError(Exception):
    """Somebody enqueued the same key between our look and our insert: undo what was written for ours."""

    def __init__(self, job_id: JobId) -> None:
        super().__init__()
        self.job_id = job_id


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a job stands on, read before anything is written."""

    scope: TenantScope
    caller: Caller | None
    project_id: ProjectId | None
    pool: UsablePool
    bigger_pools: tuple[PoolId, ...]
    workflow: bytes | None
    cost: RunCost


def submit(
    session: Session,
    asked: Submission,
    *,
    scope: TenantScope,
    caller: Caller | None,
    store: ByteStore,
    database: Database | None = None,
) -> Submitted:
    """Queue a job and say where it stands. Worth calling last: the queue's rows are locked until the commit.

    `session` is a unit of work of the tenant `scope`, and is one again afterwards. The same key again answers the same
    job. With `database` the answer tells when it starts and ends, from memory. Raises: GraphRefused, PromptInvalid,
    NodeClassUnknown, ModelUnknown, InputMissing, PoolNotFound, PoolNotAllowed, RegionNotAllowed, ProjectNotFound,
    InputNotStored, ExtraDataRefused, TextTooLarge, KeyReused, JobNotFound (of `after`).
    """
    check_sizes(asked)
    read = graph_needs.read_prompt(asked.prompt)
    check_parts(asked, scope, store)
    if asked.after is not None:
        check_predecessor(session, asked.after, caller)
    ground, known = stand_on(session, asked, read, scope=scope, caller=caller)
    if known is not None:
        return Submitted(job_id=known, known=True)
    checked = check_against_pool(session, read, asked, ground)
    take_tenant(session, scope)
    try:
        if asked.key is None:
            enqueued = _write(session, asked, read, ground)
        else:
            with session.begin_nested():
                enqueued = _write(session, asked, read, ground)
    except _KnownAlreadyError as error:
        take_tenant(session, scope)
        return Submitted(job_id=error.job_id, known=True)
    take_tenant(session, scope)
    return Submitted(
        job_id=enqueued.job_id,
        known=False,
        estimate=_estimate(database, asked, ground, enqueued),
        cost_ms=ground.cost.cost_ms,
        checked=checked.against,
        node_errors=checked.node_errors,
        notes=notes_on(checked, ground, state=enqueued.state),
    )


def stand_on(
    session: Session, asked: Submission, read: GraphRead, *, scope: TenantScope, caller: Caller | None
) -> tuple[Ground, JobId | None]:
    """Return what a job stands on, and the job that its key names already; `session` has taken the farm then (the tenant,
    where one was named). Raises: ProjectNotFound, PoolNotFound, PoolNotAllowed, RegionNotAllowed, KeyReused.
    """
    workflow = run_costs.workflow_of(read.graph)
    found = queries.find_ground(
        session, slug=asked.project, project_id=asked.project_id, workflow=workflow, pool=storable(asked.pool)[0]
    )
    sees = caller.sees if caller is not None else None
    if asked.project is not None and (found.id is None or (sees is not None and found.id not in sees)):
        raise projects.ProjectNotFound(f"project {asked.project[:80]!r}", hint="`memoryd projects list` shows yours")
    take_farm(session)
    if asked.key is not None:
        known = jobs.find_known(session, tenant_id=scope.id, key=asked.key, body_sha256=body_digest(asked))
    else:
        known = None
    pool, bigger = choose_pool(
        find_usable(session, scope.id, asked.pool), asked.pool, pools=found.pools, regions=found.regions
    )
    learned = {"mean_ms": found.mean_ms, "spread_ms": found.spread_ms} if found.mean_ms is not None else None
    ground = Ground(
        scope=scope,
        caller=caller,
        project_id=ProjectId(found.id) if found.id is not None else None,
        pool=pool,
        bigger_pools=bigger,
        workflow=workflow,
        cost=run_costs.cost_of(read.graph, learned)
        if asked.cost_ms is None
        else RunCost(cost_ms=asked.cost_ms, spread=RUN_SPREAD, learned=False),
    )
    if known is not None:
        take_tenant(session, scope)
    return ground, known


def check_against_pool(session: Session, read: GraphRead, asked: Submission, ground: Ground) -> Checked:
    """Return a graph as checked against what its pool's workers told. `session` has taken the farm.

    What was remembered may be a second old: before anything is refused, it is looked at anew. Raises: as check_graph.
    """
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


def check_predecessor(session: Session, after: JobId, caller: Caller | None) -> None:
    """Return where a job may wait for that one. Raises: JobNotFound, also for a job of a project one does not see."""
    sees = caller.sees if caller is not None else None
    owners = queries.list_projects_of(session, job_ids=[after])
    if after not in owners or (sees is not None and owners[after] not in sees):
        raise jobs.JobNotFound(f"job {after}", hint="`memoryd jobs list` shows yours")


def notes_on(checked: Checked, ground: Ground, *, state: JobState | None) -> tuple[str, ...]:
    """Return what the submitter should know besides, in sentences."""
    notes = []
    if checked.against == "nothing":
        notes.append(f"nothing is known of pool {ground.pool.name!r} yet: the graph was not checked")
    elif checked.against == "classes":
        notes.append(f"workers of pool {ground.pool.name!r} told only their node classes: values were not checked")
    if checked.node_errors:
        notes.append("some outputs are wrong and will be left out: see node_errors")
    if ground.pool.paused:
        notes.append(f"pool {ground.pool.name!r} is paused")
    if state is JobState.HELD:
        notes.append("it waits for another job, or for the end of a pause")
    return tuple(notes)


def detail_of(job_id: JobId, asked: Submission, read: GraphRead, ground: Ground) -> dict[str, object]:
    """Return the row that says what a job asks for."""
    pins = asked.pins if asked.pins is not None else read.needs.pins()
    return {
        "job_id": job_id,
        "project_id": ground.project_id,
        "person_id": ground.caller.person_id if ground.caller else None,
        "kind": asked.kind.value,
        "name": _name(asked.name),
        "pool": ground.pool.name,
        "urgency": asked.urgency.value,
        "prompt": _packed(asked.prompt),
        "extra_data": _packed(asked.extra_data),
        "recompute": asked.recompute,
        "inputs": [file.model_dump(mode="json") for file in asked.inputs],
        "pins": [pin.model_dump(mode="json") for pin in pins],
        "via": ground.caller.via if ground.caller else "server",
        "workflow": ground.workflow,
    }


def job_of(job_id: JobId, asked: Submission, read: GraphRead, ground: Ground) -> jobs.JobAsked:
    """Return what the queue is asked for."""
    return jobs.JobAsked(
        job_id=job_id,
        tenant_id=ground.scope.id,
        pool_id=ground.pool.id,
        urgency=asked.urgency,
        model_set=read.needs.model_set,
        cost_ms=ground.cost.cost_ms,
        key=asked.key,
        body_sha256=body_digest(asked) if asked.key is not None else b"",
        follow_up=asked.follow_up,
        project_id=ground.project_id,
        person_id=ground.caller.person_id if ground.caller else None,
        after_job_id=asked.after,
        starts_after=asked.starts_after,
        bigger_pools=ground.bigger_pools,
    )


def _write(session: Session, asked: Submission, read: GraphRead, ground: Ground) -> Enqueued:
    job_id = JobId(new_id())
    queries.insert_detail(session, detail_of(job_id, asked, read, ground), state=EventState.SUBMITTED)
    keep_words(session, {job_id: read.graph})
    facts: dict[str, Json] = {"kind": asked.kind.value, "pool": ground.pool.name, "urgency": asked.urgency.value}
    if ground.project_id is not None:
        facts["project_id"] = str(ground.project_id)
    audit.note(session, ground.caller, "job.submit", f"job:{job_id}", facts)
    outbox.announce(session, "job.queued", job_id, facts)
    take_farm(session)
    enqueued = jobs.enqueue(session, job_of(job_id, asked, read, ground), placed=False)
    if enqueued.known:
        raise _KnownAlreadyError(enqueued.job_id)
    return enqueued


def _estimate(database: Database | None, asked: Submission, ground: Ground, enqueued: Enqueued) -> Estimate | None:
    if database is None:
        return None
    kept = estimates_of(database)
    class_id, cost = CLASS_IDS[asked.urgency], ground.cost
    now = datetime.datetime.now(datetime.UTC)
    found = estimate(
        kept.current(database),
        ground.pool.id,
        class_id,
        enqueued.vtag,
        cost.cost_ms,
        tenant_id=ground.scope.id,
        spread=cost.spread,
        noted=kept.noted((ground.pool.id, class_id)),
        after_s=max(0.0, (asked.starts_after - now).total_seconds()) if asked.starts_after is not None else 0.0,
    )
    if enqueued.state is JobState.READY:
        kept.note(ground.pool.id, class_id, enqueued.vtag, cost.cost_ms)
    if enqueued.state is JobState.HELD:
        # What it waits for has no time.
        return dataclasses.replace(found, starts_p50_s=None, starts_p90_s=None, ends_p50_s=None, ends_p90_s=None)
    return found


def pinned(pins: Sequence[Pin]) -> dict[tuple[str, str], bytes]:
    """Return the pins that ask for particular bytes: (folder, name) -> SHA-256 (32 bytes)."""
    return {(pin.folder, pin.name): bytes.fromhex(pin.sha256) for pin in pins if pin.sha256}


def check_sizes(asked: Submission) -> None:
    """Return where a submission keeps the limits of this file. Raises: TextTooLarge."""
    if max(len(asked.prompt), len(asked.extra_data)) > TEXT_LIMIT:
        raise TextTooLarge(f"a prompt or its extra data has more than {TEXT_LIMIT} characters (TEXT_LIMIT)")
    if len(asked.inputs) > INPUTS_LIMIT or len(asked.pins or ()) > PINS_LIMIT:
        raise TextTooLarge(f"more than {INPUTS_LIMIT} inputs or {PINS_LIMIT} pins")


def check_parts(asked: Submission, scope: TenantScope, store: ByteStore) -> None:
    """Return where what goes with the graph can be used. Raises: ExtraDataRefused, InputNotStored."""
    _check_extra_data(asked.extra_data)
    for file in asked.inputs:
        _check_stored(file, scope, store)


def _check_extra_data(text: str) -> None:
    try:
        value = read_json(text)
    except NotJson as error:
        raise ExtraDataRefused(error.detail, hint='send a JSON object, such as {"extra_pnginfo": {}}') from None
    if not isinstance(value, dict):
        raise ExtraDataRefused("it is no object", hint='send a JSON object, such as {"extra_pnginfo": {}}')


def _check_stored(file: InputFile, scope: TenantScope, store: ByteStore) -> None:
    if not store.exists(scope.slug, bytes.fromhex(file.sha256)):
        raise InputNotStored(
            f"{file.name!r} ({file.sha256[:12]}…)", hint="send its bytes to POST /v1/inputs first", sha256=file.sha256
        )


def body_digest(asked: Submission) -> bytes:
    """Return what must be equal where an idempotency key is sent again (32 bytes)."""
    described = {
        field.name: getattr(asked, field.name)
        for field in dataclasses.fields(asked)
        if field.name not in {"key", "follow_up", "inputs", "pins", "project_id", "after", "starts_after"}
    }
    described["project_id"] = str(asked.project_id) if asked.project_id else None
    described["after"] = str(asked.after) if asked.after else None
    described["starts_after"] = asked.starts_after.isoformat() if asked.starts_after else None
    described["inputs"] = [file.model_dump(mode="json") for file in asked.inputs]
    described["pins"] = None if asked.pins is None else [pin.model_dump(mode="json") for pin in asked.pins]
    return canonical_digest(described)


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def unpacked(stored: bytes) -> str:
    """Return a text as it was submitted, from how it is stored."""
    return zlib.decompress(stored).decode("utf-8", "surrogatepass")


def _name(name: str | None) -> str:
    return storable(name or "")[0].strip()[:NAME_LIMIT] or DEFAULT_NAME
