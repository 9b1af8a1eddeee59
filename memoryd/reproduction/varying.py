"""An asset's run once more with other seeds: new pictures of the same recipe, which nobody compares with the first."""

from __future__ import annotations

import dataclasses
import json

from memoryd.access.facts import Caller
from memoryd.catalog.looking_up import check_seen
from memoryd.dispatch.wire import InputFile, Pin
from memoryd.foundation.database import Database
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import AssetId, GroupId, JobId
from memoryd.reproduction.facts import Plan
from memoryd.reproduction.making import keep_inputs
from memoryd.reproduction.planning import make_plan
from memoryd.storage.blob_store import BlobStore
from memoryd.submission.facts import Submission
from memoryd.submission.graph_needs import read_prompt
from memoryd.submission.grouping.asking import submit_group
from memoryd.submission.grouping.facts import GroupAsked
from memoryd.submission.grouping.items import Axis, make_items
from memoryd.submission.seed_inputs import find_seed_input, fresh_seeds
from memoryd.submission.submitting import submit

SEEDS_LIMIT = 200
"""Seeds that one wish from a page asks for; a table of more is a group of its own."""


class NotRepeatable(NotAcceptable):
    """This picture's run cannot be repeated."""


class NoSeed(NotAcceptable):
    """This graph has no seed of its own."""


def vary(
    database: Database, store: BlobStore, caller: Caller, asset_id: AssetId, *, count: int, pool: str
) -> JobId | GroupId:
    """Queue an asset's graph with `count` fresh seeds: one as a job, more as a group; return which.

    The editor's graph does not go along: it would tell the old seed. Opens units of work of its own.
    Raises: AssetNotFound, NotRepeatable, NoSeed, and as submit.
    """
    if not 1 <= count <= SEEDS_LIMIT:
        raise NotAcceptable(f"{count} seeds", hint=f"1 to {SEEDS_LIMIT} (SEEDS_LIMIT)")
    with database.tenant_work(caller.tenant) as session:
        check_seen(session, asset_id, caller.sees)
        plan = make_plan(session, asset_id, caller.sees)
    missing = plan.missing or keep_inputs(database, store, caller, plan)
    if missing:
        raise NotRepeatable(missing[0].detail, hint=missing[0].next_step or None)
    template = _submission(plan, pool)
    document = read_prompt(template.prompt).document
    seed = find_seed_input(document)
    if seed is None:
        raise NoSeed(f"{len(document)} nodes", hint="download its graph, change it, and ask for it on the queue's page")
    return submit_seeds(database, store, caller, template, Axis(input=seed, values=fresh_seeds(count)))


def submit_seeds(
    database: Database, store: BlobStore, caller: Caller, template: Submission, axis: Axis
) -> JobId | GroupId:
    """Queue a graph once for each value of an axis: one as a job, more as a group; return which. Raises: as submit."""
    if len(axis.values) > 1:
        asked = GroupAsked(template=template, axes=(axis,))
        return submit_group(database, asked, scope=caller.tenant, caller=caller, store=store).group_id
    document = read_prompt(template.prompt).document
    one = dataclasses.replace(template, prompt=json.dumps(make_items(document, axes=(axis,)).document(document, 0)))
    with database.tenant_work(caller.tenant) as session:
        return submit(session, one, scope=caller.tenant, caller=caller, store=store, database=database).job_id


def _submission(plan: Plan, pool: str) -> Submission:
    return Submission(
        prompt=plan.prompt.decode("ascii"),
        project_id=plan.project_id,
        name="variation",
        pool=pool,
        inputs=tuple(
            InputFile(name=i.name, subfolder=i.subfolder, type=i.type, sha256=i.sha256.hex(), size=i.size)
            for i in plan.inputs
        ),
        pins=tuple(Pin(folder=p.folder, name=p.name, sha256=p.sha256.hex() if p.sha256 else None) for p in plan.pins),
    )
