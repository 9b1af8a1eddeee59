"""Asking for an asset to be made again: the plan, the inputs' bytes in the store, the job, and the record of the attempt."""

from __future__ import annotations

import dataclasses
import datetime
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller, Sees
from memoryd.catalog import content
from memoryd.dispatch.facts import FollowUp, Urgency
from memoryd.dispatch.wire import InputFile as WireInput
from memoryd.dispatch.wire import JobKind, Pin
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import MemorydError, NotFound
from memoryd.foundation.ids import AssetId, JobId, ReproductionId, WorkerId, new_id
from memoryd.reproduction import queries
from memoryd.reproduction.comparing import is_held
from memoryd.reproduction.facts import Cause, InputFile, Plan, Purpose, Reproduction, State, Testing, Verdict
from memoryd.reproduction.matching import with_workers
from memoryd.reproduction.planning import extra_data_of, make_plan
from memoryd.reproduction.routing import Chosen, choose
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register
from memoryd.submission.facts import Submission
from memoryd.submission.graph_needs import ModelUnknown
from memoryd.submission.submitting import submit

CHORE_KIND = "compare_reproduction"
CHORE_RECIPE = "v1"
LISTED_LIMIT = 20


class ReproductionNotFound(NotFound):
    """There is no such attempt."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """An attempt as it is asked for, once it is known what it needs and where it goes."""

    caller: Caller
    attempt: ReproductionId
    asset_id: AssetId
    plan: Plan
    chosen: Chosen
    purpose: Purpose
    parent: ReproductionId | None
    tests: bool
    held: bool
    """Whether the original's bytes were there before it was made again: afterwards, equal ones lie in the store."""

    def row(self, state: State) -> dict[str, object]:
        """The attempt's row, without what is not known yet."""
        wanted = self.tests and self.purpose is Purpose.ASKED
        return {
            "id": self.attempt,
            "asset_id": self.asset_id,
            "project_id": self.plan.project_id,
            "by_person": self.caller.person_id,
            "state": state.value,
            "purpose": self.purpose.value,
            "parent_id": self.parent,
            "testing": (Testing.WANTED if wanted and state is State.RUNNING else Testing.OFF).value,
            "plan": {
                **self.plan.as_json(),
                "of_asset": str(self.plan.asset_id),
                "original_held": self.held,
                "route": self.chosen.as_json(),
            },
        }


def make_again(
    database: Database,
    store: BlobStore,
    caller: Caller,
    asset_id: AssetId,
    *,
    pool: str,
    require_identical: bool = False,
    purpose: Purpose = Purpose.ASKED,
    parent: ReproductionId | None = None,
    on_worker: UUID | None = None,
    attempt: ReproductionId | None = None,
    tests: bool = True,
) -> ReproductionId:
    """Begin an attempt and return its id; where something is missing it is decided at once as *not attempted*.

    It goes to the worker whose environment is nearest; `on_worker` to that one alone. `require_identical` refuses rather
    than try on another environment than that of then. `parent` is the attempt that this one helps to explain. `attempt`
    is its id where the caller chose one beforehand: asked for twice, the second time fails and adds no job. `tests`:
    where the verdict falls short of identical pixels, second runs look for the reason.

    Opens its own units of work: the inputs' bytes are copied into the store between them. Raises: AssetNotFound, and
    what submission raises is told as a cause, not raised.
    """
    with database.tenant_work(caller.tenant) as session:
        made = make_plan(session, asset_id, caller.sees)
        held = is_held(session, store, caller.tenant, made.asset_id)
        plan = with_workers(session, made, caller.tenant)
    chosen = choose(
        plan.workers,
        pool=pool,
        require_identical=require_identical,
        on_worker=on_worker,
        in_doubt=purpose is Purpose.CANARY,
    )
    asked = _Asked(
        caller=caller,
        attempt=attempt or ReproductionId(new_id()),
        asset_id=asset_id,
        plan=plan,
        chosen=chosen,
        purpose=purpose,
        parent=parent,
        tests=tests,
        held=held,
    )
    missing = [*plan.missing] or [*keep_inputs(database, store, caller, plan), *chosen.causes]
    if missing:
        with database.tenant_work(caller.tenant) as session:
            _record_not_attempted(session, asked, missing)
        return asked.attempt
    try:
        _begin(database, store, asked)
    except MemorydError as error:
        if error.status >= 500:
            raise
        cause = Cause(code=error.slug, detail=f"{error.title} {error.detail}", next_step=error.hint or "")
        with database.tenant_work(caller.tenant) as session:
            _record_not_attempted(session, asked, [cause])
    return asked.attempt


def keep_inputs(database: Database, store: BlobStore, caller: Caller, plan: Plan) -> list[Cause]:
    """Bring the plan's inputs into the store, in units of work of its own; return what stood in the way."""
    causes = []
    for file in plan.inputs:
        if store.exists(caller.tenant.slug, file.sha256):
            continue
        try:
            with database.tenant_work(caller.tenant) as session:
                asset = _asset_with(session, file)
                stream = content.open_content(session, store, caller.tenant, AssetId(asset))
            with stream:
                stored = store.put_stream(caller.tenant.slug, stream)
            if stored.sha256 != file.sha256:
                causes.append(Cause(code="input-changed", detail=f"{file.name!r} no longer has the content it had"))
                continue
            with database.tenant_work(caller.tenant) as session:
                register(session, [stored])
        except MemorydError as error:
            causes.append(Cause(code="input-unreachable", detail=error.detail, next_step=error.hint or ""))
    return causes


def _asset_with(session: Session, file: InputFile) -> UUID:
    found = queries.find_assets_by_digest(session, [file.sha256])
    if file.sha256 not in found:
        raise NotFound(
            f"{file.name!r} (SHA-256 {file.sha256.hex()}) is no longer in the store",
            hint="take the file in with `memoryd ingest FILE`; its name does not matter, its content does",
        )
    asset: UUID = found[file.sha256].id
    return asset


def _begin(database: Database, store: BlobStore, asked: _Asked) -> None:
    """Record the attempt and queue its job. Raises: as submit."""
    try:
        with database.tenant_work(asked.caller.tenant) as session:
            _record_and_submit(session, store, asked)
    except ModelUnknown:
        # The pool knows the file by another name: its worker links it under the graph's.
        if not asked.chosen.linked:
            raise
        with database.tenant_work(asked.caller.tenant) as session:
            _record_and_submit(session, store, asked, unchecked=True)


def _record_and_submit(session: Session, store: BlobStore, asked: _Asked, *, unchecked: bool = False) -> None:
    plan, caller = asked.plan, asked.caller
    queries.insert_reproduction(session, asked.row(State.RUNNING))
    audit.note(session, caller, "asset.reproduce", f"asset:{asked.asset_id}", {"reproduction": str(asked.attempt)})
    submitted = submit(
        session,
        Submission(
            prompt=plan.prompt.decode("ascii"),
            extra_data=extra_data_of(plan),
            project_id=plan.project_id,
            kind=JobKind.REPRODUCE,
            name="reproduction",
            pool=asked.chosen.pool,
            # Nobody waits for a canary.
            urgency=Urgency.BATCH if asked.purpose is Purpose.CANARY else Urgency.STANDARD,
            recompute=True,
            inputs=tuple(
                WireInput(name=i.name, subfolder=i.subfolder, type=i.type, sha256=i.sha256.hex(), size=i.size)
                for i in plan.inputs
            ),
            pins=tuple(
                Pin(folder=p.folder, name=p.name, sha256=p.sha256.hex() if p.sha256 else None) for p in plan.pins
            ),
            follow_up=FollowUp(kind=CHORE_KIND, recipe=CHORE_RECIPE, subject=asked.attempt),
            unchecked=unchecked,
            trial=asked.purpose is Purpose.CANARY,
            route=asked.chosen.route,
            environments=asked.chosen.environments,
        ),
        scope=caller.tenant,
        caller=caller,
        store=store,
    )
    queries.set_job(session, asked.attempt, submitted.job_id)


def _record_not_attempted(session: Session, asked: _Asked, causes: list[Cause]) -> None:
    queries.insert_reproduction(
        session,
        {
            **asked.row(State.DECIDED),
            "verdict": Verdict.NOT_ATTEMPTED.value,
            "causes": [cause.as_json() for cause in causes],
            "decided_at": datetime.datetime.now(datetime.UTC),
        },
    )
    facts: dict[str, Json] = {"reproduction": str(asked.attempt), "causes": [cause.code for cause in causes]}
    audit.note(session, asked.caller, "asset.reproduce", f"asset:{asked.asset_id}", facts)
    told: dict[str, Json] = {"reproduction": str(asked.attempt), "verdict": Verdict.NOT_ATTEMPTED.value}
    if asked.plan.project_id is not None:
        told["project_id"] = str(asked.plan.project_id)
    outbox.announce(session, "reproduction.decided", asked.attempt, told)


def show_reproduction(session: Session, attempt: ReproductionId, sees: Sees) -> Reproduction:
    """Return an attempt as it stands. Raises: ReproductionNotFound, also for what the caller may not see."""
    row = queries.find_reproduction(session, attempt)
    # An enlargement is no attempt to make the same again: nothing may show or sign it as one.
    other = row is None or row.purpose == Purpose.ENLARGEMENT.value
    if row is None or other or not (sees is None or row.project_id in sees):
        raise ReproductionNotFound(f"{attempt}", hint="`memoryd show ASSET` lists an asset's attempts")
    second = tuple(view_of(each) for each in queries.list_second_runs(session, [attempt]))
    return dataclasses.replace(view_of(row), second_runs=second)


def find_attempt_of_job(session: Session, job_id: JobId, sees: Sees) -> ReproductionId | None:
    """Return the attempt that a job does; None where it does none that the caller may see."""
    row = queries.find_reproduction_of_job(session, job_id)
    if row is None or not (sees is None or row.project_id in sees):
        return None
    return ReproductionId(row.id)


def list_reproductions(session: Session, asset_id: AssetId, sees: Sees) -> list[Reproduction]:
    """Return the newest attempts to make an asset again that the caller may see, LISTED_LIMIT at most.

    Second runs stand under the attempt that they help to explain.
    """
    rows = queries.list_reproductions(session, asset_id, sees, LISTED_LIMIT)
    second: dict[UUID, list[Reproduction]] = {}
    for each in queries.list_second_runs(session, [row.id for row in rows]):
        second.setdefault(each.parent_id, []).append(view_of(each))
    return [dataclasses.replace(view_of(row), second_runs=tuple(second.get(row.id, ()))) for row in rows]


def view_of(row: queries.Found) -> Reproduction:
    """Return a stored attempt as a value."""
    return Reproduction(
        id=ReproductionId(row.id),
        asset_id=AssetId(row.asset_id),
        state=State(row.state),
        plan=row.plan,
        job_id=JobId(row.job_id) if row.job_id else None,
        verdict=Verdict(row.verdict) if row.verdict else None,
        measures=row.measures,
        # What second runs showed of them, where there were any.
        causes=row.causes if row.causes_tested is None else row.causes_tested,
        made_asset_id=AssetId(row.made_asset_id) if row.made_asset_id else None,
        asked_at=row.at,
        decided_at=row.decided_at,
        purpose=Purpose(row.purpose),
        parent_id=ReproductionId(row.parent_id) if row.parent_id else None,
        testing=Testing(row.testing),
        tested_at=row.tested_at,
        worker_id=WorkerId(row.worker_id) if row.worker_id else None,
        tries=row.tries,
        environment=bytes(row.environment) if row.environment is not None else None,
        difference=bytes(row.difference) if row.difference is not None else None,
        has_receipt=row.receipt is not None,
    )
