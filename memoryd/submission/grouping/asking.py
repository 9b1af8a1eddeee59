"""Asking for a group: every item is checked before the first is queued; then CHUNK of them in each transaction.

A sending that broke off left whole chunks. The same key again goes on where it stopped.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence

from memoryd.access import audit
from memoryd.access.changes.noting import present_epoch
from memoryd.access.facts import Caller
from memoryd.clearance.policies import deciding
from memoryd.clearance.policies.facts import Decision
from memoryd.comfyui.validation import judge_node
from memoryd.dispatch import approvals, groups, jobs
from memoryd.dispatch.estimating import Estimate, estimate, estimates_of
from memoryd.dispatch.pools import CLASS_IDS
from memoryd.events import outbox
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.canonical_json import Json, canonical_digest
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import GroupId, JobId, new_id
from memoryd.foundation.texts import storable
from memoryd.submission import clearing, graph_needs, grounds, queries, run_costs, submitting
from memoryd.submission.checking import Checked, PromptInvalid, check_seeds, names_of, refusal_of_values
from memoryd.submission.facts import EventState, Submission
from memoryd.submission.graph_needs import GraphRead
from memoryd.submission.grounds import Ground
from memoryd.submission.grouping import queries as statements
from memoryd.submission.grouping.addresses import Address
from memoryd.submission.grouping.facts import Foreseen, GroupAsked, GroupSubmitted
from memoryd.submission.grouping.items import Axis, Items, make_items
from memoryd.submission.pool_knowledge import PoolKnowledge, knowledge_of
from memoryd.submission.run_costs import RunCost
from memoryd.submission.usage.words import keep_words
from memoryd.workflows.node_roles import model_role, names_model_file

CHUNK = 1_000
"""Items of one transaction: under a second of it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A group whose every item was checked."""

    asked: GroupAsked
    items: Items
    read: GraphRead
    ground: Ground
    checked: Checked
    decision: Decision
    """Of the first item."""
    body: bytes


def submit_group(
    database: Database, asked: GroupAsked, *, scope: TenantScope, caller: Caller | None, store: ByteStore
) -> GroupSubmitted:
    """Queue a group, in transactions of its own, and say when it ends.

    Raises: as submit; InputNotFound, TitleAmbiguous, InputIsLinked, BadItems, TooManyItems; nothing is queued then.
    """
    template = asked.template
    read = submitting.read_asked(template, scope, store)
    items = make_items(read.document, axes=asked.axes, rows=asked.rows)
    body = _body_digest(asked)
    with database.tenant_work(scope) as session:
        prepared = _prepare(session, asked, items, read, body, scope=scope, caller=caller)
    with database.tenant_work(scope) as session:
        group_id, known = _make(session, prepared)
    added = 0
    for start in range(0, len(items.rows), CHUNK):
        added += _add(database, prepared, group_id, start)
    return _answer(database, prepared, group_id, known=known, added=added)


def submit_each(
    database: Database, template: Submission, axis: Axis, *, scope: TenantScope, caller: Caller | None, store: ByteStore
) -> JobId | GroupId:
    """Queue a graph once for each value of an axis: one as a job, more as a group; return which. Raises: as submit."""
    if len(axis.values) > 1:
        asked = GroupAsked(template=template, axes=(axis,))
        return submit_group(database, asked, scope=scope, caller=caller, store=store).group_id
    document = graph_needs.read_prompt(template.prompt).document
    one = dataclasses.replace(template, prompt=json.dumps(make_items(document, axes=(axis,)).document(document, 0)))
    with database.tenant_work(scope) as session:
        return submitting.submit(session, one, scope=scope, caller=caller, store=store, database=database).job_id


def foresee_group(
    database: Database, asked: GroupAsked, *, scope: TenantScope, caller: Caller | None, store: ByteStore
) -> Foreseen:
    """Return what a group would come to, every item of it checked; nothing is written. Raises: as submit_group."""
    read = submitting.read_asked(asked.template, scope, store)
    items = make_items(read.document, axes=asked.axes, rows=asked.rows)
    with database.tenant_work(scope) as session:
        prepared = _prepare(session, asked, items, read, b"", scope=scope, caller=caller)
    total = len(items.rows)
    # The last of them has the others before it.
    found = _last_of(database, prepared, [(math.inf, 0, prepared.ground.cost.cost_ms)] * (total - 1))
    return Foreseen(
        total=total,
        cost_ms=prepared.ground.cost.cost_ms * total,
        ends_p50_s=found.ends_p50_s,
        ends_p90_s=found.ends_p90_s,
        checked=prepared.checked.against,
        notes=submitting.notes_on(
            prepared.checked, prepared.ground, prepared.decision, state=None, idle=found.starts_p50_s is None
        ),
    )


def _prepare(
    session: Session,
    asked: GroupAsked,
    items: Items,
    read: GraphRead,
    body: bytes,
    *,
    scope: TenantScope,
    caller: Caller | None,
) -> _Prepared:
    """Return a group whose every item is checked: the first as a whole, the others by the values that differ."""
    # The key is the group's; its jobs have none of their own.
    template = dataclasses.replace(asked.template, key=None)
    # Judging coerces numbers: the items are made from what was sent.
    first = graph_needs.read_document(copy.deepcopy(items.document(read.document, 0)))
    ground, checked = grounds.look(session, template, first, scope=scope, caller=caller)
    if not template.unchecked:
        take_farm(session)
        knowledge = knowledge_of(session, ground.pool.id, tenant_id=scope.id)
        take_tenant(session, scope)
        _check_values(items, read, knowledge, template)
    decision = _check_models(session, items, read, template, ground)
    return _Prepared(asked=asked, items=items, read=read, ground=ground, checked=checked, decision=decision, body=body)


def _check_models(session: Session, items: Items, read: GraphRead, template: Submission, ground: Ground) -> Decision:
    """Return what happens to the first item by its models' licences, once every set of models that items have may be queued.

    Raises: LicenceRefused, ModelRecalled, ApprovalRefused, naming the item.
    """
    columns = [
        column
        for column, one in enumerate(items.addresses)
        if _names_model(read, one) or any(_may_name_model(row[column]) for row in items.rows)
    ]
    seen: dict[tuple[str, ...], Decision] = {}
    for number, row in enumerate(items.rows):
        values = tuple(str(row[column]) for column in columns)
        if values in seen:
            continue
        one = _item(items, read.document, number)
        models = clearing.models_of(one, template.pins, ground.contents, ground.specs)
        seen[values] = deciding.decide(session, ground.project_id, models, trial=template.trial)
        try:
            deciding.check(seen[values])
        except NotAcceptable as error:
            raise _named(error, number) from None
        if not columns:
            break
    return next(iter(seen.values()))


def _names_model(read: GraphRead, address: Address) -> bool:
    return model_role(str(read.document[address.node]["class_type"]), address.input) is not None


def _may_name_model(value: Json) -> bool:
    """Tell whether a value may name a model wherever it stands: files of loaders nobody knows, embeddings, LoRAs in texts."""
    if not isinstance(value, str):
        return isinstance(value, (dict, list))
    return names_model_file(value) or "embedding:" in value.lower() or "<lora:" in value.lower()


def _check_values(items: Items, read: GraphRead, knowledge: PoolKnowledge, template: Submission) -> None:
    """Return where every value may stand at its place. Raises: PromptInvalid and the like, naming the items."""
    seen: set[tuple[int, str]] = set()
    brought = frozenset(names_of(template.inputs))
    for number, row in enumerate(items.rows):
        for column, (address, value) in enumerate(zip(items.addresses, row, strict=True)):
            mark = (column, f"{type(value).__name__}:{value}")
            if mark in seen:
                continue
            seen.add(mark)
            node = read.document[address.node]
            changed = {**node, "inputs": {address.input: value}}
            try:
                check_seeds({address.node: changed})
            except PromptInvalid as error:
                raise _named(error, number) from None
            if knowledge.rules is None or (isinstance(value, str) and value in brought):
                continue
            errors = judge_node(read.document, address.node, {address.input: value}, knowledge.rules, brought=brought)
            if errors:
                refusal = refusal_of_values(address.node, node["class_type"], errors)
                raise _named(refusal, number)


def _named(error: NotAcceptable, number: int) -> NotAcceptable:
    return type(error)(f"item {number + 1}: {error.detail}", hint=error.hint, item=number, **error.facts)


def _make(session: Session, prepared: _Prepared) -> tuple[GroupId, bool]:
    """Make the group, or find the one that its key names. Raises: KeyReused."""
    asked, ground = prepared.asked, prepared.ground
    key = asked.template.key
    known = _known(session, prepared)
    if known is not None:
        return known, True
    take_farm(session)
    group_id = groups.make(
        session,
        tenant_id=ground.scope.id,
        project_id=ground.project_id,
        person_id=ground.caller.person_id if ground.caller else None,
        name=asked.template.name or submitting.DEFAULT_NAME,
        total=len(prepared.items.rows),
    )
    take_tenant(session, ground.scope)
    made = statements.insert_request(
        session,
        {
            "group_id": group_id,
            "key": storable(key)[0] if key is not None else None,
            "body_sha256": prepared.body,
            "template": zlib.compress(asked.template.prompt.encode("utf-8", "surrogatepass")),
            "inputs": [storable(address.text)[0] for address in prepared.items.addresses],
        },
    )
    if not made:
        raise jobs.KeyReused("the same group is being sent by somebody else just now", hint="send it again")
    facts: dict[str, Json] = {"items": len(prepared.items.rows), "pool": ground.pool.name}
    if ground.project_id is not None:
        facts["project_id"] = str(ground.project_id)
    audit.note(session, ground.caller, "group.submit", f"group:{group_id}", facts)
    outbox.announce(session, "group.made", group_id, facts)
    return group_id, False


def _known(session: Session, prepared: _Prepared) -> GroupId | None:
    key = prepared.asked.template.key
    row = statements.find_request(session, key=storable(key)[0]) if key is not None else None
    if row is None:
        return None
    if bytes(row.body_sha256) != prepared.body:
        raise jobs.KeyReused(
            f"key {str(key)[:80]!r}", hint="send a new key with a new request", group_id=str(row.group_id)
        )
    return GroupId(row.group_id)


def _add(database: Database, prepared: _Prepared, group_id: GroupId, start: int) -> int:
    """Add one chunk of items in one transaction, unless it is there; return how many were added."""
    ground = prepared.ground
    numbers = range(start, min(start + CHUNK, len(prepared.items.rows)))
    made = [_item(prepared.items, prepared.read.document, number) for number in numbers]
    workflows = [run_costs.workflow_of(read.graph) for read in made]
    template = dataclasses.replace(prepared.asked.template, key=None)
    with database.tenant_work(ground.scope) as session:
        statements.lock_group(session, group_id=group_id)
        if statements.has_item(session, group_id=group_id, item_no=start):
            return 0
        costs = _costs(session, made, workflows, prepared)
        epoch = present_epoch(session)
        rows, asked = [], []
        for number, read, workflow, cost in zip(numbers, made, workflows, costs, strict=True):
            job_id = JobId(new_id())
            own = dataclasses.replace(ground, workflow=workflow, cost=cost)
            submission = dataclasses.replace(template, prompt=json.dumps(read.document))
            decision = clearing.decide_or_remember(session, submission, read, own, epoch)
            rows.append(
                {
                    **clearing.cleared(
                        submitting.detail_of(job_id, submission, read, own), decision, trial=submission.trial
                    ),
                    "group_id": group_id,
                    "item_no": number,
                    "item": prepared.items.shown(number),
                }
            )
            one = submitting.job_of(job_id, submission, read, own, decision)
            asked.append(dataclasses.replace(one, group_id=group_id))
        queries.insert_details(session, rows, state=EventState.SUBMITTED)
        keep_words(session, {job.job_id: read.graph for job, read in zip(asked, made, strict=True)})
        facts: dict[str, Json] = {"items": len(rows), "first": start}
        if ground.project_id is not None:
            facts["project_id"] = str(ground.project_id)
        outbox.announce(session, "group.queued", group_id, facts)
        take_farm(session)
        for approval in sorted({one.approval_id for one in asked if one.approval_id is not None}):
            approvals.begin(session, approval, tenant_id=ground.scope.id)
        jobs.enqueue_many(session, asked)
    return len(rows)


def _item(items: Items, document: Mapping[str, Json], number: int) -> GraphRead:
    """Return an item's graph as it is read."""
    return graph_needs.read_document(items.document(document, number))


def _costs(
    session: Session, made: Sequence[GraphRead], workflows: Sequence[bytes | None], prepared: _Prepared
) -> Iterator[RunCost]:
    asked = prepared.asked.template.cost_ms
    known = statements.list_costs(
        session,
        workflows=sorted({workflow for workflow in workflows if workflow is not None}),
        pool=prepared.ground.pool.name,
    )
    for read, workflow in zip(made, workflows, strict=True):
        row = known.get(workflow) if workflow is not None else None
        learned = {"mean_ms": row.mean_ms, "spread_ms": row.spread_ms} if row is not None else None
        yield run_costs.cost_of(read.graph, learned) if asked is None else prepared.ground.cost


def _answer(database: Database, prepared: _Prepared, group_id: GroupId, *, known: bool, added: int) -> GroupSubmitted:
    ground, total = prepared.ground, len(prepared.items.rows)
    found = _last_of(database, prepared)
    return GroupSubmitted(
        group_id=group_id,
        known=known,
        total=total,
        added=added,
        ends_p50_s=found.ends_p50_s,
        ends_p90_s=found.ends_p90_s,
        cost_ms=ground.cost.cost_ms * total,
        checked=prepared.checked.against,
        notes=submitting.notes_on(
            prepared.checked, ground, prepared.decision, state=None, idle=found.starts_p50_s is None
        ),
    )


def _last_of(database: Database, prepared: _Prepared, before: Sequence[tuple[float, int, int]] = ()) -> Estimate:
    """Return when what goes behind all that waits now would run. `before`: (moment, tag, cost) of what comes besides."""
    ground = prepared.ground
    return estimate(
        estimates_of(database).refresh(database, whole=True),
        ground.pool.id,
        CLASS_IDS[prepared.asked.template.urgency],
        2**62,
        ground.cost.cost_ms,
        tenant_id=ground.scope.id,
        spread=ground.cost.spread,
        noted=before,
    )


def _body_digest(asked: GroupAsked) -> bytes:
    """Return what must be equal where a group's key is sent again."""
    return canonical_digest(
        {
            "template": submitting.body_digest(asked.template).hex(),
            "axes": [{"input": axis.input, "values": list(axis.values)} for axis in asked.axes],
            "rows": [dict(row) for row in asked.rows],
        }
    )
