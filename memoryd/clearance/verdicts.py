"""May it be used so? For an asset, a workflow before it runs, a project, a delivery: judged now, and kept."""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from memoryd.access.clients.deliveries import items_of
from memoryd.access.clients.facts import DeliveryView
from memoryd.access.facts import Caller, Sees
from memoryd.catalog.looking_up import find_asset
from memoryd.clearance import standing
from memoryd.clearance.facts import (
    UNKNOWN_MAKING,
    Cleared,
    ItemVerdict,
    Kind,
    ModelInUse,
    Occasion,
    Verdict,
    VerdictState,
)
from memoryd.clearance.gathering import Entry, ModelsOf, entry_set, in_use, models_of
from memoryd.clearance.judging import judge
from memoryd.clearance.keeping import keep, read
from memoryd.clearance.queries import making
from memoryd.clearance.queries import verdicts as queries
from memoryd.clearance.telling import told
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import AssetId, ProjectId, parse_id
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.model_registry.naming import resolve_names
from memoryd.workflows.facts import Graph, Parameters
from memoryd.workflows.loaded_models import loaded_by
from memoryd.workflows.parameters import read_parameters

NOT_WORKED_OUT = "how some of its pictures were made is not worked out yet"
WORKFLOW_NOTE = (
    "models by the names that the workflow writes; what its input files were made with counts once it has run"
)
STRICTNESS_SHOWN = {verdict: place for place, verdict in enumerate(reversed(Verdict))}


class NothingToClear(Conflict):
    """There is nothing in it."""


def clear_asset(session: Session, caller: Caller, ref: str, occasion: Occasion) -> Cleared:
    """Return the verdict on an asset, as far back as its lineage is known. Raises: AssetNotFound, AssetAmbiguous."""
    asset = find_asset(session, ref, caller.sees)
    found = models_of(session, _pairs(session, asset, caller.sees))
    entries, _ = entry_set(entry for one in found.values() for entry in one.entries)
    models = in_use(session, entries)
    projects = [project for _, project in found if project is not None]
    return told(
        keep(
            session,
            kind=Kind.ASSET,
            subject=asset.bytes,
            name=str(asset),
            project_id=projects[0] if len(projects) == 1 else None,
            person_id=caller.person_id,
            occasion=occasion,
            judgement=judge(models, occasion),
            models=models,
            notes=_reach(found.values(), models),
        ),
        caller.sees,
    )


def clear_graph(
    session: Session, caller: Caller, graph: Graph, exact: bytes, occasion: Occasion, project: ProjectId | None
) -> Cleared:
    """Return the verdict on what a workflow would make, by the files that its names stand for now.

    `exact` names the graph's document. Inputs are not judged: the notes say so.
    """
    models = in_use(session, graph_entries(session, graph))
    return keep(
        session,
        kind=Kind.WORKFLOW,
        subject=exact,
        name="workflow",
        project_id=project,
        person_id=caller.person_id,
        occasion=occasion,
        judgement=judge(models, occasion),
        models=models,
        notes=(WORKFLOW_NOTE,),
    )


def graph_entries(session: Session, graph: Graph) -> tuple[Entry, ...]:
    """Return the models that a graph names, with the content that each name has now where it has one."""
    read_: Parameters | None = read_parameters(graph)
    uses: list[tuple[str, str]] = []
    while read_ is not None:
        uses += [(use.role, use.name) for use in read_.models]
        read_ = read_.rest_of_run
    # What saves nothing may still run; a graph that is judged whole is judged strictly.
    loaded = loaded_by(graph)
    named = sorted({*uses, *loaded.models})
    contents = resolve_names(session, named) if named else {}
    entries = [Entry(sha256=contents.get((role, name)), role=role, name=name) for role, name in named]
    entries += [Entry(sha256=None, role=UNKNOWN_MAKING, name=why) for why in loaded.unread]
    return entry_set(entries)[0]


def clear_project(session: Session, caller: Caller, project: ProjectId, name: str, occasion: Occasion) -> Cleared:
    """Return the verdict on everything of a project, by the sets of models behind it. Who may see it is checked before."""
    counted = making.count_sets(session, project)
    sets = standing.read_sets(session, [digest for digest, _ in counted if digest is not None])
    counts: Counter[str] = Counter()
    waiting = sum(assets for digest, assets in counted if digest is None)
    for digest, assets in counted:
        verdict = Verdict.UNKNOWN if digest is None else judge(sets[digest], occasion).verdict
        counts[verdict.value] += assets
    models = _union(sets.values())
    if waiting:
        models = (*models, ModelInUse(sha256=None, role=UNKNOWN_MAKING, name=NOT_WORKED_OUT))
    notes = [f"{counts.total()} pictures, {len(sets)} sets of models"]
    if waiting:
        notes.append(f"{waiting} pictures are not worked out yet: `memoryd clearance refresh`, then ask again")
    return told(
        keep(
            session,
            kind=Kind.PROJECT,
            subject=project.bytes,
            name=name,
            project_id=project,
            person_id=caller.person_id,
            occasion=occasion,
            judgement=judge(models, occasion),
            models=models,
            notes=notes,
            counts=counts,
        ),
        caller.sees,
    )


def clear_delivery(session: Session, caller: Caller, delivery: DeliveryView, occasion: Occasion) -> Cleared:
    """Return the verdict on a delivery, with one for each asset in it. Raises: NothingToClear."""
    listed = list(items_of(session, delivery.id))
    if not listed:
        raise NothingToClear(f"{delivery.name[:80]!r} is empty", hint="`memoryd deliveries add` puts assets into it")
    found = models_of(session, [(item.asset_id, delivery.project_id) for item in listed])
    by_digest = {one.digest: one.entries for one in found.values()}
    judged = {digest: judge(in_use(session, entries), occasion).verdict for digest, entries in by_digest.items()}
    items = [
        ItemVerdict(
            asset_id=item.asset_id,
            root_id=item.root_id,
            verdict=judged[found[item.asset_id, delivery.project_id].digest],
        )
        for item in listed
    ]
    items.sort(key=lambda item: (STRICTNESS_SHOWN[item.verdict], item.asset_id))
    models = in_use(session, entry_set(entry for entries in by_digest.values() for entry in entries)[0])
    return told(
        keep(
            session,
            kind=Kind.DELIVERY,
            subject=delivery.id.bytes,
            name=delivery.name,
            project_id=delivery.project_id,
            person_id=caller.person_id,
            occasion=occasion,
            judgement=judge(models, occasion),
            models=models,
            notes=_reach(found.values(), models),
            counts=Counter(item.verdict.value for item in items),
        ),
        caller.sees,
        items=tuple(items),
    )


def verdict_of(session: Session, asset: AssetId, sees: Sees, occasion: Occasion) -> Cleared:
    """Return the verdict on an asset that the caller sees without keeping it: for a page and a report."""
    found = models_of(session, _pairs(session, asset, sees))
    models = in_use(session, entry_set(entry for one in found.values() for entry in one.entries)[0])
    judged = Cleared(
        id=UUID(int=0),
        kind=Kind.ASSET,
        subject=asset.bytes,
        name=str(asset),
        project_id=None,
        occasion=occasion,
        judgement=judge(models, occasion),
        at=datetime.datetime.now(datetime.UTC),
        notes=_reach(found.values(), models),
    )
    return told(judged, sees)


def list_kept(
    session: Session,
    sees: Sees,
    *,
    state: VerdictState | None = None,
    kind: Kind | None = None,
    subject: bytes | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[Cleared]:
    """Return a page of kept verdicts, the last changed first. Raises: BadCursor, BadPageSize."""
    size = page_size(limit)
    rows = queries.list_verdicts(
        session,
        None if sees is None else sorted(sees),
        state=None if state is None else state.value,
        kind=None if kind is None else kind.value,
        subject=subject,
        before=None if cursor is None else _read_cursor(cursor),
        limit=size + 1,
    )
    shown = rows[:size]
    digests = [row.subject for row in shown if row.kind == Kind.SET]
    assets = making.count_assets(session, digests, None if sees is None else sorted(sees)) if digests else {}
    return Page(
        rows=[told(read(row), sees, assets=assets.get(row.subject)) for row in shown],
        next_cursor=encode_cursor((shown[-1].reopened_at or shown[-1].at).isoformat(), str(shown[-1].id))
        if len(rows) > size
        else None,
    )


def graph_name(document: bytes) -> bytes:
    """Return what a graph that nobody recorded is kept under: the SHA-256 of its document."""
    return hashlib.sha256(document).digest()


def _pairs(session: Session, asset: AssetId, sees: Sees) -> list[making.Pair]:
    pairs = making.list_pairs(session, [asset], None if sees is None else sorted(sees))
    return pairs or [(asset, None)]


def _union(sets: Iterable[Sequence[ModelInUse]]) -> tuple[ModelInUse, ...]:
    best: dict[tuple[bytes | None, str, str], ModelInUse] = {}
    for models in sets:
        for model in models:
            key = (model.sha256, model.role, "" if model.sha256 is not None else model.name)
            if key not in best or best[key].elsewhere:
                best[key] = model
    return tuple(sorted(best.values(), key=lambda one: (one.sha256 or b"", one.role, one.name)))


def _reach(found: Iterable[ModelsOf], models: Sequence[ModelInUse]) -> tuple[str, ...]:
    ancestors = sum(one.ancestors for one in found)
    notes = ["by its own making" + (f" and that of {ancestors} pictures it was made from" if ancestors else "")]
    notes += [model.name for model in models if model.role == UNKNOWN_MAKING]
    return tuple(notes)


def _read_cursor(cursor: str) -> tuple[datetime.datetime, UUID]:
    at, last = decode_cursor(cursor, 2)
    id_ = parse_id(last) if isinstance(last, str) else None
    try:
        moment = datetime.datetime.fromisoformat(at) if isinstance(at, str) else None
    except ValueError:
        moment = None
    if moment is None or id_ is None or moment.tzinfo is None:
        raise BadCursor("the cursor cannot be read", hint="start again without a cursor")
    return moment, id_
