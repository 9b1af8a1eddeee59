"""Asking for variations of an asset: its run again with other values, as a job or as a group, each a generation of its own.

The editor's graph does not go along: it shows the values of the original, and what ComfyUI writes beside the prompt would
tell people who open the new file something that did not run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid5

from memoryd.access import audit
from memoryd.access.facts import Caller, Sees
from memoryd.catalog.looking_up import check_seen
from memoryd.dispatch.facts import FollowUp
from memoryd.dispatch.jobs import KeyReused
from memoryd.dispatch.wire import InputFile, Pin
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import MemorydError, NotAcceptable
from memoryd.foundation.ids import AssetId, GroupId, JobId, new_id
from memoryd.reproduction.facts import Cause, Plan
from memoryd.reproduction.making import keep_inputs
from memoryd.reproduction.planning import make_plan
from memoryd.reproduction.variants import queries
from memoryd.reproduction.variants.changing import find_changes, make_rows
from memoryd.reproduction.variants.facts import Change, Variation, VariationId, Varied, Wish
from memoryd.storage.blob_store import BlobStore
from memoryd.submission.facts import Submission
from memoryd.submission.graph_needs import read_document, read_prompt
from memoryd.submission.grouping.asking import foresee_group, submit_group
from memoryd.submission.grouping.facts import GroupAsked
from memoryd.submission.grouping.items import Items, make_items
from memoryd.submission.seed_inputs import SEED_RANGE, fresh_seeds
from memoryd.submission.submitting import submit
from memoryd.workflows.node_roles import model_role
from memoryd.workflows.parameter_places import ParameterPlace, find_parameter_places

CHORE_KIND = "link_variation"
CHORE_RECIPE = "v1"
SEEDS_LIMIT = 1_000
"""Fresh seeds of one wish, for each combination of the other values."""
LISTED_LIMIT = 20
NAME = "variation"
NO_EDITOR_GRAPH = "the editor's graph is left out of the new files: it would show the original's values"
ANOTHER_SIZE = (
    "another size is another picture: the noise is drawn for the size; `memoryd enlarge` keeps the picture and makes it "
    "larger"
)
BY_NAME = "models that change are taken by their names: which files those are, is for the worker to say"
_OF_NO_MATTER = frozenset(("text-not-json",))
"""What is missing for an exact copy, and not for a variation: texts beside the prompt are left out."""


class NotRepeatable(NotAcceptable):
    """This picture's run cannot be repeated."""


class TooManySeeds(NotAcceptable):
    """So many seeds are not drawn at once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    plan: Plan
    template: Submission
    document: dict[str, Any]
    items: Items
    changes: tuple[Change, ...]
    asked: GroupAsked
    notes: tuple[str, ...]


def show_parameters(session: Session, asset_id: AssetId, sees: Sees) -> tuple[ParameterPlace, ...]:
    """Return the parameters of an asset's run that can be varied by name, and where they stand. Raises: AssetNotFound,
    NotRepeatable.
    """
    check_seen(session, asset_id, sees)
    plan = make_plan(session, asset_id, sees)
    if not plan.prompt:
        raise _not_repeatable(plan.missing)
    return _places(plan, read_prompt(plan.prompt.decode("ascii")).document)


def foresee(database: Database, store: BlobStore, caller: Caller, asset_id: AssetId, wish: Wish) -> Varied:
    """Return what a wish would come to: every item, checked, and when it would be done. Nothing is queued.

    Fresh seeds are examples: asked for, others are drawn. Raises: as vary.
    """
    prepared = _prepare(database, store, caller, asset_id, wish)
    foreseen = foresee_group(database, prepared.asked, scope=caller.tenant, caller=caller, store=store)
    return Varied(items=prepared.items, changes=prepared.changes, foreseen=foreseen, notes=prepared.notes)


def vary(database: Database, store: BlobStore, caller: Caller, asset_id: AssetId, wish: Wish) -> Varied:
    """Queue an asset's run with other values: one item as a job, more as a group. Opens units of work of its own.

    Raises: AssetNotFound, NotRepeatable, TooManySeeds, as find_changes, and as submit.
    """
    prepared = _prepare(database, store, caller, asset_id, wish)
    foreseen = foresee_group(database, prepared.asked, scope=caller.tenant, caller=caller, store=store)
    variation = VariationId(uuid5(caller.tenant.id, f"variation:{wish.key}") if wish.key else new_id())
    follow = FollowUp(kind=CHORE_KIND, recipe=CHORE_RECIPE, subject=variation)
    told = Varied(
        items=prepared.items,
        changes=prepared.changes,
        foreseen=foreseen,
        notes=prepared.notes,
        variation_id=variation,
    )
    if foreseen.total == 1:
        job = _submit_one(database, store, caller, asset_id, prepared, variation, follow)
        return dataclasses.replace(told, job_id=job)
    key = wish.key or f"variation:{variation}"
    template = dataclasses.replace(prepared.template, key=key, follow_up=follow)
    with database.tenant_work(caller.tenant) as session:
        # Written first: what ends before this request does is linked already.
        new = _record(session, caller, asset_id, prepared, variation, group_key=key)
    try:
        made = submit_group(
            database,
            dataclasses.replace(prepared.asked, template=template),
            scope=caller.tenant,
            caller=caller,
            store=store,
        )
    except MemorydError as error:
        if new and error.status < 500:
            with database.tenant_work(caller.tenant) as session:
                queries.delete_variation_without_group(session, variation)
        raise
    return dataclasses.replace(told, group_id=made.group_id)


def list_variations(session: Session, asset_id: AssetId, sees: Sees) -> list[Variation]:
    """Return the newest wishes for variations of an asset that the caller may see, LISTED_LIMIT at most."""
    return [
        Variation(
            id=VariationId(row.id),
            asset_id=AssetId(row.asset_id),
            job_id=JobId(row.job_id) if row.job_id else None,
            group_id=GroupId(row.group_id) if row.group_id else None,
            changes=row.changes,
            items=row.items,
            asked_at=row.at,
        )
        for row in queries.list_variations(session, asset_id, sees, LISTED_LIMIT)
    ]


def _prepare(database: Database, store: BlobStore, caller: Caller, asset_id: AssetId, wish: Wish) -> _Prepared:
    if not 0 <= wish.seeds <= SEEDS_LIMIT:
        raise TooManySeeds(f"{wish.seeds} seeds", hint=f"1 to {SEEDS_LIMIT} (SEEDS_LIMIT)")
    with database.tenant_work(caller.tenant) as session:
        check_seen(session, asset_id, caller.sees)
        plan = make_plan(session, asset_id, caller.sees)
    missing = [cause for cause in plan.missing if cause.code not in _OF_NO_MATTER]
    missing = missing or list(keep_inputs(database, store, caller, plan))
    if missing:
        raise _not_repeatable(missing)
    document = read_prompt(plan.prompt.decode("ascii")).document
    changes = find_changes(document, _places(plan, document), wish, fresh=_seeds_of(wish))
    rows = make_rows(changes)
    items = make_items(document, rows=rows)
    template = _template(plan, wish)
    notes = [NO_EDITOR_GRAPH] if plan.extras else []
    if any(change.name in ("width", "height") for change in changes):
        notes.append(ANOTHER_SIZE)
    if _models_change(document, items):
        # Pins are a group's, and would ask each item for the weights of the original.
        template = dataclasses.replace(template, pins=None)
        notes.append(BY_NAME)
    return _Prepared(
        plan=plan,
        template=template,
        document=document,
        items=items,
        changes=changes,
        asked=GroupAsked(template=template, rows=tuple(rows)),
        notes=tuple(notes),
    )


def _seeds_of(wish: Wish) -> Callable[[int], tuple[int, ...]]:
    """Return who draws fresh seeds: a wish that is sent again with its key gets those that it got."""
    if wish.key is None:
        return fresh_seeds
    key = wish.key.encode("utf-8", "surrogatepass")

    def drawn(count: int) -> tuple[int, ...]:
        digests = (hashlib.sha256(b"%d:%s" % (number, key)).digest() for number in range(count))
        return tuple(int.from_bytes(digest, "big") % SEED_RANGE for digest in digests)

    return drawn


def _places(plan: Plan, document: Mapping[str, Any]) -> tuple[ParameterPlace, ...]:
    graph = read_document(dict(document)).graph
    return find_parameter_places(graph, saving=plan.node) if graph is not None else ()


def _not_repeatable(missing: Sequence[Cause]) -> NotRepeatable:
    first = missing[0] if missing else None
    return NotRepeatable(
        first.detail if first else "no graph is known", hint=(first.next_step if first else "") or None
    )


def _models_change(document: Mapping[str, Any], items: Items) -> bool:
    return any(
        model_role(str(document[address.node].get("class_type")), address.input) is not None
        for address in items.addresses
    )


def _submit_one(
    database: Database,
    store: BlobStore,
    caller: Caller,
    asset_id: AssetId,
    prepared: _Prepared,
    variation: VariationId,
    follow: FollowUp,
) -> JobId:
    one = dataclasses.replace(
        prepared.template, prompt=json.dumps(prepared.items.document(prepared.document, 0)), follow_up=follow
    )
    with database.tenant_work(caller.tenant) as session:
        # Once for a key: sent again, it is the job that it was.
        known = queries.find_recorded(session, variation)
        if known is not None:
            if known.changes != [change.as_json() for change in prepared.changes] or known.job_id is None:
                raise KeyReused("a wish of this key was another one", hint="send a new key with a new wish")
            return JobId(known.job_id)
        _record(session, caller, asset_id, prepared, variation)
        job = submit(session, one, scope=caller.tenant, caller=caller, store=store, database=database).job_id
        queries.set_job(session, variation, job)
    return job


def _record(
    session: Session,
    caller: Caller,
    asset_id: AssetId,
    prepared: _Prepared,
    variation: VariationId,
    *,
    group_key: str | None = None,
) -> bool:
    total = len(prepared.items.rows)
    new = queries.insert_variation(
        session,
        {
            "id": variation,
            "asset_id": asset_id,
            "generation_id": prepared.plan.generation_id,
            "project_id": prepared.plan.project_id,
            "by_person": caller.person_id,
            "group_key": group_key,
            "changes": [change.as_json() for change in prepared.changes],
            "items": total,
        },
    )
    if new:
        names: list[Json] = [change.name for change in prepared.changes]
        facts: dict[str, Json] = {"variation": str(variation), "items": total, "changed": names}
        audit.note(session, caller, "asset.vary", f"asset:{asset_id}", facts)
    return new


def _template(plan: Plan, wish: Wish) -> Submission:
    return Submission(
        prompt=plan.prompt.decode("ascii"),
        project_id=plan.project_id,
        name=wish.name or NAME,
        pool=wish.pool,
        urgency=wish.urgency,
        key=wish.key,
        inputs=tuple(
            InputFile(name=i.name, subfolder=i.subfolder, type=i.type, sha256=i.sha256.hex(), size=i.size)
            for i in plan.inputs
        ),
        pins=tuple(Pin(folder=p.folder, name=p.name, sha256=p.sha256.hex() if p.sha256 else None) for p in plan.pins),
    )
