"""From a request to a queued job: checked against what its pool can do, written down, and enqueued in one transaction."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.dispatch import jobs, pools, workers
from memoryd.dispatch.facts import PoolView
from memoryd.dispatch.wire import InputFile, Pin
from memoryd.events import outbox
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.canonical_json import Json, NotJson, canonical_digest, read_json
from memoryd.foundation.database import Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import NotAcceptable, NotAllowed, TooLarge
from memoryd.foundation.ids import JobId, new_id
from memoryd.foundation.texts import storable
from memoryd.submission import graph_needs, queries
from memoryd.submission.facts import EventState, Submission, Submitted
from memoryd.submission.graph_needs import GraphNeeds

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


class PoolNotAllowed(NotAllowed):
    """This project's jobs may not use this pool."""


class _KnownAlreadyError(Exception):
    """Somebody enqueued the same key between our look and our insert: undo what was written for ours."""

    def __init__(self, answer: Submitted) -> None:
        super().__init__()
        self.answer = answer


def submit(
    session: Session, asked: Submission, *, scope: TenantScope, caller: Caller | None, store: ByteStore
) -> Submitted:
    """Queue a job and say where it stands. Worth calling last: the queue's rows are locked until the commit.

    `session` is a unit of work of the tenant `scope`, and is one again afterwards. The same key again answers the same
    job. Raises: GraphRefused, NodeClassUnknown, ModelUnknown, PoolNotFound, PoolNotAllowed, InputNotStored,
    ExtraDataRefused, TextTooLarge, KeyReused.
    """
    _check_sizes(asked)
    needs = graph_needs.read_needs(asked.prompt)
    _check_extra_data(asked.extra_data)
    for file in asked.inputs:
        _check_stored(file, scope, store)
    _check_pool_of_project(session, asked)
    body = _body_digest(asked)
    take_farm(session)
    known = jobs.find_known(session, tenant_id=scope.id, key=asked.key, body_sha256=body) if asked.key else None
    if known is not None:
        place = jobs.find_place(session, known)
        take_tenant(session, scope)
        return Submitted(job_id=known, known=True, ahead=place.ahead, starts_in_s=place.starts_in_s)
    pool = pools.find_pool(session, asked.pool, tenant_id=scope.id)
    graph_needs.check_classes(needs, workers.known_classes(session, pool.id), pool=pool.name)
    graph_needs.check_models(needs, workers.offered_models(session, pool.id), pool=pool.name)
    take_tenant(session, scope)
    try:
        with session.begin_nested():
            answer = _write(session, asked, needs, body, pool=pool, scope=scope, caller=caller)
    except _KnownAlreadyError as error:
        answer = error.answer
    take_tenant(session, scope)
    return answer


def _write(
    session: Session,
    asked: Submission,
    needs: GraphNeeds,
    body: bytes,
    *,
    pool: PoolView,
    scope: TenantScope,
    caller: Caller | None,
) -> Submitted:
    job_id = JobId(new_id())
    pins = asked.pins if asked.pins is not None else needs.pins()
    queries.insert_detail(
        session,
        {
            "job_id": job_id,
            "project_id": asked.project_id,
            "person_id": caller.person_id if caller else None,
            "kind": asked.kind.value,
            "name": _name(asked.name),
            "pool": pool.name,
            "urgency": asked.urgency.value,
            "prompt": _packed(asked.prompt),
            "extra_data": _packed(asked.extra_data),
            "recompute": asked.recompute,
            "inputs": [file.model_dump(mode="json") for file in asked.inputs],
            "pins": [pin.model_dump(mode="json") for pin in pins],
            "via": caller.via if caller else "server",
        },
    )
    queries.insert_event(session, job_id=job_id, state=EventState.SUBMITTED)
    facts: dict[str, Json] = {"kind": asked.kind.value, "pool": pool.name, "urgency": asked.urgency.value}
    if asked.project_id is not None:
        facts["project_id"] = str(asked.project_id)
    audit.note(session, caller, "job.submit", f"job:{job_id}", facts)
    outbox.announce(session, "job.queued", job_id, facts)
    take_farm(session)
    enqueued = jobs.enqueue(
        session,
        jobs.JobAsked(
            job_id=job_id,
            tenant_id=scope.id,
            pool_id=pool.id,
            urgency=asked.urgency,
            model_set=needs.model_set,
            cost_ms=asked.cost_ms or jobs.COST_MS,
            key=asked.key,
            body_sha256=body,
            follow_up=asked.follow_up,
        ),
    )
    answer = Submitted(
        job_id=enqueued.job_id,
        known=enqueued.known,
        ahead=enqueued.place.ahead,
        starts_in_s=enqueued.place.starts_in_s,
    )
    if enqueued.known:
        raise _KnownAlreadyError(answer)
    return answer


def pinned(pins: Sequence[Pin]) -> dict[tuple[str, str], bytes]:
    """Return the pins that ask for particular bytes: (folder, name) -> SHA-256 (32 bytes)."""
    return {(pin.folder, pin.name): bytes.fromhex(pin.sha256) for pin in pins if pin.sha256}


def _check_sizes(asked: Submission) -> None:
    if max(len(asked.prompt), len(asked.extra_data)) > TEXT_LIMIT:
        raise TextTooLarge(f"a prompt or its extra data has more than {TEXT_LIMIT} characters (TEXT_LIMIT)")
    if len(asked.inputs) > INPUTS_LIMIT or len(asked.pins or ()) > PINS_LIMIT:
        raise TextTooLarge(f"more than {INPUTS_LIMIT} inputs or {PINS_LIMIT} pins")


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


def _check_pool_of_project(session: Session, asked: Submission) -> None:
    if asked.project_id is None:
        return
    allowed = queries.find_pools_of_project(session, project_id=asked.project_id)
    if allowed is not None and asked.pool not in allowed:
        raise PoolNotAllowed(f"pool {asked.pool[:80]!r}", hint=f"this project may use {', '.join(allowed) or 'none'}")


def _body_digest(asked: Submission) -> bytes:
    """Return what must be equal where an idempotency key is sent again."""
    described = {
        field.name: getattr(asked, field.name)
        for field in dataclasses.fields(asked)
        if field.name not in {"key", "follow_up", "inputs", "pins", "project_id"}
    }
    described["project_id"] = str(asked.project_id) if asked.project_id else None
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
