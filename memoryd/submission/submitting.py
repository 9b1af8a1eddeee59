"""From a request to a queued job: checked against what its pool can do, written down, and enqueued in one transaction."""

from __future__ import annotations

import dataclasses
import datetime
import zlib
from collections.abc import Sequence

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.clearance.policies.facts import Action, Decision
from memoryd.dispatch import approvals as dispatch_approvals
from memoryd.dispatch import jobs
from memoryd.dispatch.estimating import Estimate, Estimates, Snapshot, estimate, estimates_of, snapshot_of
from memoryd.dispatch.facts import Enqueued
from memoryd.dispatch.pools import CLASS_IDS
from memoryd.dispatch.states import JobState
from memoryd.dispatch.wire import InputFile, Pin
from memoryd.events import outbox
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.canonical_json import Json, NotJson, canonical_digest, read_json
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import MemorydError, NotAcceptable, TooLarge
from memoryd.foundation.ids import JobId, new_id
from memoryd.foundation.texts import storable
from memoryd.submission import clearing, graph_needs, grounds, queries
from memoryd.submission.checking import Checked
from memoryd.submission.facts import EventState, Submission, Submitted
from memoryd.submission.graph_needs import GraphRead
from memoryd.submission.grounds import Ground
from memoryd.submission.usage.words import words_of

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


def submit(
    session: Session,
    asked: Submission,
    *,
    scope: TenantScope,
    caller: Caller | None,
    store: ByteStore,
    database: Database | None = None,
) -> Submitted:
    """Queue a job and say where it stands, in a unit of work that does other things too.

    Worth calling last: the queue's rows are locked until the commit. `session` is a unit of work of the tenant `scope`,
    and is one again afterwards. The same key again answers the same job. With `database` the answer tells when it starts
    and ends, from memory. Raises: GraphRefused, PromptInvalid, NodeClassUnknown, ModelUnknown, InputMissing,
    PoolNotFound, PoolNotAllowed, RegionNotAllowed, ProjectNotFound, InputNotStored, ExtraDataRefused, TextTooLarge,
    KeyReused, JobNotFound (of `after`), LicenceRefused, ModelRecalled, ApprovalRefused.
    """
    read = read_asked(asked, scope, store)
    known = _find_known(session, asked, scope)
    if known is not None:
        return Submitted(job_id=known, known=True)
    ground, checked = grounds.look(session, asked, read, scope=scope, caller=caller)
    snapshot = snapshot_of(database) if database is not None else None
    try:
        if asked.key is None:
            enqueued, decision = _write(session, asked, read, ground)
        else:
            with session.begin_nested():
                enqueued, decision = _write(session, asked, read, ground)
    except _KnownAlreadyError as error:
        return Submitted(job_id=error.job_id, known=True)
    finally:
        take_tenant(session, scope)
    return _submitted(database, snapshot, asked, ground, checked, enqueued, decision)


def submit_alone(
    database: Database, asked: Submission, *, scope: TenantScope, caller: Caller | None, store: ByteStore
) -> Submitted:
    """Queue a job in a unit of work of its own and say where it stands: what it needs is mostly known, so that little more
    is asked of the database than to write it down. Raises: as submit.
    """
    read = read_asked(asked, scope, store)
    try:
        found = grounds.recall(database, asked, read, scope=scope, caller=caller)
        if found is None:
            # What is judged is changed as ComfyUI changes it: numbers are coerced. Judged again, it stays the same.
            with database.tenant_work(scope) as session:
                found = grounds.look(session, asked, read, scope=scope, caller=caller)
    except MemorydError:
        # What was accepted before stays accepted, whatever has changed since.
        with database.tenant_work(scope) as session:
            known = _find_known(session, asked, scope)
        if known is None:
            raise
        return Submitted(job_id=known, known=True)
    ground, checked = found
    # Before it is written, so that it does not stand before itself.
    snapshot = snapshot_of(database)
    try:
        with database.tenant_work(scope) as session:
            enqueued, decision = _write(session, asked, read, ground)
    except _KnownAlreadyError as error:
        return Submitted(job_id=error.job_id, known=True)
    except NotAcceptable:
        # What was accepted before stays accepted, whatever was decided about its models since.
        with database.tenant_work(scope) as session:
            known = _find_known(session, asked, scope)
        if known is None:
            raise
        return Submitted(job_id=known, known=True)
    return _submitted(database, snapshot, asked, ground, checked, enqueued, decision)


def read_asked(asked: Submission, scope: TenantScope, store: ByteStore) -> GraphRead:
    """Return a submission's graph as it is read, once all that goes with it can be used.

    Raises: GraphRefused, InputNotStored, ExtraDataRefused, TextTooLarge.
    """
    if max(len(asked.prompt), len(asked.extra_data)) > TEXT_LIMIT:
        raise TextTooLarge(f"a prompt or its extra data has more than {TEXT_LIMIT} characters (TEXT_LIMIT)")
    if len(asked.inputs) > INPUTS_LIMIT or len(asked.pins or ()) > PINS_LIMIT:
        raise TextTooLarge(f"more than {INPUTS_LIMIT} inputs or {PINS_LIMIT} pins")
    read = graph_needs.read_prompt(asked.prompt)
    _check_extra_data(asked.extra_data)
    for file in asked.inputs:
        _check_stored(file, scope, store)
    return read


def _find_known(session: Session, asked: Submission, scope: TenantScope) -> JobId | None:
    """Return the job that a submission's key names already. `session` is a unit of work of `scope`, and is one again
    afterwards. Raises: KeyReused.
    """
    if asked.key is None:
        return None
    take_farm(session)
    known = jobs.find_known(session, tenant_id=scope.id, key=asked.key, body_sha256=body_digest(asked))
    take_tenant(session, scope)
    return known


def _submitted(
    database: Database | None,
    snapshot: Snapshot | None,
    asked: Submission,
    ground: Ground,
    checked: Checked,
    enqueued: Enqueued,
    decision: Decision,
) -> Submitted:
    found = None
    if database is not None and snapshot is not None and asked.route is None:
        found = _estimate(estimates_of(database), snapshot, asked, ground, enqueued)
    idle = found is not None and found.starts_p50_s is None
    return Submitted(
        job_id=enqueued.job_id,
        known=False,
        estimate=found,
        cost_ms=ground.cost.cost_ms,
        checked=checked.against,
        node_errors=checked.node_errors,
        notes=notes_on(checked, ground, decision, state=enqueued.state, idle=idle),
        clearance=decision.kept,
    )


def notes_on(
    checked: Checked, ground: Ground, decision: Decision, *, state: JobState | None, idle: bool
) -> tuple[str, ...]:
    """Return what the submitter should know besides, in sentences. `idle`: when it starts cannot be told."""
    notes = []
    if checked.against == "nothing":
        notes.append(f"nothing is known of pool {ground.pool.name!r} yet: the graph was not checked")
    elif checked.against == "classes":
        notes.append(f"workers of pool {ground.pool.name!r} told only their node classes: values were not checked")
    if checked.node_errors:
        notes.append("some outputs are wrong and will be left out: see node_errors")
    if ground.pool.paused:
        notes.append(f"pool {ground.pool.name!r} is paused")
    elif state is JobState.HELD and decision.action is not Action.ASK:
        notes.append("it waits for another job, or for the end of a pause")
    elif idle and state is not JobState.HELD:
        notes.append(f"no worker of pool {ground.pool.name!r} is online")
    return (*notes, *decision.notes)


def detail_of(job_id: JobId, asked: Submission, read: GraphRead, ground: Ground) -> dict[str, object]:
    """Return the row that says what a job asks for."""
    pins = clearing.pins_of(read, asked.pins, ground.contents, ground.specs)
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
        "environments": list(asked.environments) or None,
        "via": ground.caller.via if ground.caller else "server",
        "workflow": ground.workflow,
        "clearance": None,
    }


def job_of(
    job_id: JobId, asked: Submission, read: GraphRead, ground: Ground, decision: Decision | None = None
) -> jobs.JobAsked:
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
        # A bigger card is another environment: none but these workers means none but these.
        bigger_pools=() if asked.route is not None and asked.route.only else ground.bigger_pools,
        route=asked.route or ground.route,
        approval_id=decision.request if decision is not None and decision.action is Action.ASK else None,
    )


def _write(session: Session, asked: Submission, read: GraphRead, ground: Ground) -> tuple[Enqueued, Decision]:
    """Write a job down and queue it; `session` has taken the farm then.

    Raises: _KnownAlreadyError, LicenceRefused, ModelRecalled, ApprovalRefused, with nothing undone.
    """
    job_id = JobId(new_id())
    decision = _write_detail(session, job_id, asked, read, ground)
    facts: dict[str, Json] = {"kind": asked.kind.value, "pool": ground.pool.name, "urgency": asked.urgency.value}
    if ground.project_id is not None:
        facts["project_id"] = str(ground.project_id)
    audit.note(session, ground.caller, "job.submit", f"job:{job_id}", facts)
    outbox.announce(session, "job.queued", job_id, facts)
    take_farm(session)
    if decision.action is Action.ASK:
        assert decision.request is not None
        dispatch_approvals.begin(session, decision.request, tenant_id=ground.scope.id)
    enqueued = jobs.enqueue(session, job_of(job_id, asked, read, ground, decision), placed=False)
    if enqueued.known:
        raise _KnownAlreadyError(enqueued.job_id)
    return enqueued, decision


def _write_detail(session: Session, job_id: JobId, asked: Submission, read: GraphRead, ground: Ground) -> Decision:
    """Write what a job asks for and what happens to it by its models' licences: from memory, where nothing has changed."""
    row = detail_of(job_id, asked, read, ground)
    models = clearing.models_of(read, asked.pins, ground.contents, ground.specs)
    key = clearing.key_of(ground, models, trial=asked.trial)
    known = clearing.remembered(session.get_bind().engine, key)
    written = clearing.cleared(row, known[1], trial=asked.trial) if known is not None else row
    epoch = queries.insert_detail(session, written, state=EventState.SUBMITTED, words=words_of(read.graph))
    if known is not None and known[0] == epoch:
        return known[1]
    decision = clearing.decide(session, models, key=key, ground=ground, trial=asked.trial, epoch=epoch)
    after = clearing.cleared(row, decision, trial=asked.trial)
    if (after["clearance"], after["pins"]) != (written["clearance"], written["pins"]):
        queries.set_clearance(session, job_id=job_id, clearance=after["clearance"], pins=after["pins"])
    return decision


def _estimate(kept: Estimates, snapshot: Snapshot, asked: Submission, ground: Ground, enqueued: Enqueued) -> Estimate:
    class_id, cost = CLASS_IDS[asked.urgency], ground.cost
    now = datetime.datetime.now(datetime.UTC)
    found = estimate(
        snapshot,
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
    return {(pin.folder, pin.name): bytes.fromhex(pin.sha256) for pin in pins if pin.sha256 and not pin.assumed}


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


_DIGESTED_APART = frozenset(
    {"key", "follow_up", "inputs", "pins", "project_id", "after", "starts_after", "route", "environments", "trial"}
)


def body_digest(asked: Submission) -> bytes:
    """Return what must be equal where an idempotency key is sent again (32 bytes)."""
    described = {
        field.name: getattr(asked, field.name)
        for field in dataclasses.fields(asked)
        if field.name not in _DIGESTED_APART
    }
    described["project_id"] = str(asked.project_id) if asked.project_id else None
    described["after"] = str(asked.after) if asked.after else None
    described["starts_after"] = asked.starts_after.isoformat() if asked.starts_after else None
    described["inputs"] = [file.model_dump(mode="json") for file in asked.inputs]
    described["pins"] = None if asked.pins is None else [pin.model_dump(mode="json") for pin in asked.pins]
    if asked.route is not None:
        described["route"] = {"workers": [str(one) for one in asked.route.workers], "only": asked.route.only}
    if asked.environments:
        described["environments"] = list(asked.environments)
    return canonical_digest(described)


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def unpacked(stored: bytes) -> str:
    """Return a text as it was submitted, from how it is stored."""
    return zlib.decompress(stored).decode("utf-8", "surrogatepass")


def _name(name: str | None) -> str:
    return storable(name or "")[0].strip()[:NAME_LIMIT] or DEFAULT_NAME
