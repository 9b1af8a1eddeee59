"""Asking for a picture larger: what is known already, else a job that enlarges the verified original."""

from __future__ import annotations

import dataclasses
import io
from uuid import uuid5

from memoryd.access import audit
from memoryd.access.facts import Caller, Sees
from memoryd.catalog.asset_view import AssetView
from memoryd.catalog.content import ContentMissing, find_copies, open_copy
from memoryd.catalog.facts import AssetKind
from memoryd.catalog.showing import show_asset
from memoryd.dispatch.facts import FollowUp
from memoryd.dispatch.jobs import KeyReused
from memoryd.dispatch.wire import InputFile
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, take_farm, take_tenant
from memoryd.foundation.errors import NotAcceptable, NotFound, TooLarge
from memoryd.foundation.ids import AssetId, JobId, ProjectId, ReproductionId, new_id
from memoryd.imaging.scaling_back import lost_in_engines, upright_size
from memoryd.reproduction import queries as attempts
from memoryd.reproduction.enlargements import queries
from memoryd.reproduction.enlargements.facts import (
    ANOTHER_PICTURE,
    Answer,
    Enlargement,
    Fit,
    Layout,
    Method,
    Wish,
)
from memoryd.reproduction.enlargements.graphs import SAVING_NODE, own_graph, plain_graph
from memoryd.reproduction.enlargements.larger import codes_of, find_larger, original_of
from memoryd.reproduction.enlargements.sizing import lay_out, read_size
from memoryd.reproduction.facts import Purpose, State, Verdict
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register
from memoryd.submission.facts import Submission
from memoryd.submission.graph_needs import read_prompt
from memoryd.submission.pool_choice import choose_pool, find_usable
from memoryd.submission.pool_knowledge import knowledge_of
from memoryd.submission.submitting import submit

CHORE_KIND = "compare_enlargement"
CHORE_RECIPE = "v1"
ORIGINAL_BYTES_LIMIT = 512 * 1024 * 1024
"""Bytes of a picture that is enlarged: it is read whole to be verified."""
LISTED_LIMIT = 20
SHOWN_MODELS = 10
ENDINGS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/tiff": ".tiff",
    "image/bmp": ".bmp",
}
"""Formats that ComfyUI's LoadImage reads, and how their files must end for it."""


class NotEnlargeable(NotAcceptable):
    """This asset cannot be enlarged."""


class OriginalTooLarge(TooLarge):
    """This picture is too large to be enlarged."""


class UpscaleModelUnknown(NotAcceptable):
    """The pool has no such upscale model."""


class EnlargementNotFound(NotFound):
    """There is no such enlargement."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Original:
    """What an enlargement starts from: bytes that were read and have the hash that the memory knows."""

    view: AssetView
    asset_id: AssetId
    sha256: bytes
    media_type: str
    content: bytes
    size: tuple[int, int]
    notes: tuple[str, ...]


def enlarge(database: Database, store: BlobStore, caller: Caller, asset_id: AssetId, wish: Wish) -> Answer:
    """Return a larger copy that is known, or begin an enlargement of the original. Opens units of work of its own.

    Raises: AssetNotFound, ContentMissing, NotEnlargeable, OriginalTooLarge, BadSize, EnlargementTooLarge, NotLarger,
    ShapeDiffers, UpscaleModelUnknown, NoPlaceForOriginal, KeyReused, and as submit.
    """
    original = _read_original(database, store, caller, asset_id)
    to = read_size(wish.to, *original.size)
    codes = codes_of(original.content)
    with database.tenant_work(caller.tenant) as session:
        own = original.view
        known = find_larger(session, own, codes, size=_seen_size(own, original), to=to, sees=caller.sees)
    larger = tuple(known)
    if not wish.render and any(one.reaches for one in larger):
        return Answer(larger=larger, enlargement=None, notes=(*original.notes, ANOTHER_PICTURE))
    layout = lay_out(*original.size, to, wish.fit)
    begun = _begin(database, store, caller, asset_id, original, layout, wish)
    return Answer(larger=larger, enlargement=begun, notes=(*original.notes, *_lost(original), ANOTHER_PICTURE))


def show_enlargement(session: Session, enlargement: ReproductionId, sees: Sees) -> Enlargement:
    """Return an enlargement as it stands. Raises: EnlargementNotFound, also for what the caller may not see."""
    row = attempts.find_reproduction(session, enlargement)
    seen = row is not None and (sees is None or row.project_id in sees)
    if row is None or not seen or row.purpose != Purpose.ENLARGEMENT.value:
        raise EnlargementNotFound(f"{enlargement}", hint="`memoryd enlarge ASSET --list` lists those of a picture")
    return view_of(row)


def list_enlargements(session: Session, asset_id: AssetId, sees: Sees) -> list[Enlargement]:
    """Return the newest enlargements of an asset that the caller may see, LISTED_LIMIT at most."""
    return [view_of(row) for row in queries.list_enlargements(session, asset_id, sees, LISTED_LIMIT)]


def view_of(row: queries.Found) -> Enlargement:
    """Return a stored enlargement as a value."""
    return Enlargement(
        id=ReproductionId(row.id),
        asset_id=AssetId(row.asset_id),
        state=State(row.state),
        plan=row.plan,
        job_id=JobId(row.job_id) if row.job_id else None,
        made_asset_id=AssetId(row.made_asset_id) if row.made_asset_id else None,
        failed=row.verdict == Verdict.NOT_ATTEMPTED.value,
        measures=row.measures,
        causes=row.causes,
        asked_at=row.at,
        decided_at=row.decided_at,
    )


def _read_original(database: Database, store: BlobStore, caller: Caller, asset_id: AssetId) -> _Original:
    with database.tenant_work(caller.tenant) as session:
        view = show_asset(session, asset_id, caller.sees)
        wanted = original_of(view)
        copies = [find_copies(session, one, caller.sees) for one in dict.fromkeys((wanted, asset_id))]
    if view.kind is not AssetKind.IMAGE:
        raise NotEnlargeable(f"it is no still picture ({view.media_type})", hint="name a picture")
    notes: list[str] = []
    for each in copies:
        if each.size > ORIGINAL_BYTES_LIMIT:
            raise OriginalTooLarge(f"{each.size} bytes", hint=f"{ORIGINAL_BYTES_LIMIT} at most (ORIGINAL_BYTES_LIMIT)")
        try:
            with open_copy(store, caller.tenant, each) as stream:
                content = stream.read()
        except ContentMissing:
            if each is copies[-1]:
                raise
            notes.append("the original's bytes cannot be had: this copy of it is enlarged instead")
            continue
        if each.asset_id != asset_id:
            notes.append(f"what was asked for is a copy: its original is enlarged ({each.sha256.hex()[:12]})")
        width, height, frames = upright_size(content)
        if frames > 1 or each.media_type not in ENDINGS:
            raise NotEnlargeable(
                f"{each.media_type} with {frames} frames",
                hint=f"still pictures of these kinds are enlarged: {', '.join(sorted(ENDINGS))}",
            )
        return _Original(
            view=view,
            asset_id=each.asset_id,
            sha256=each.sha256,
            media_type=each.media_type,
            content=content,
            size=(width, height),
            notes=tuple(notes),
        )
    raise AssertionError("there is always the asset itself")


def _seen_size(view: AssetView, original: _Original) -> tuple[int, int]:
    """How large the asset itself is: of a small copy the original may be the larger one that is asked for."""
    if original.asset_id == view.id or view.width is None or view.height is None:
        return original.size
    return view.width, view.height


def _lost(original: _Original) -> tuple[str, ...]:
    lost = lost_in_engines(original.content)
    if not lost:
        return ()
    return (f"ComfyUI reads red, green and blue and saves 8 bits: {', '.join(lost)} will not be in the enlargement",)


def _begin(
    database: Database,
    store: BlobStore,
    caller: Caller,
    asset_id: AssetId,
    original: _Original,
    layout: Layout,
    wish: Wish,
) -> Enlargement:
    name = f"memoryd-{original.sha256.hex()[:24]}{ENDINGS[original.media_type]}"
    stored = store.put_stream(caller.tenant.slug, io.BytesIO(original.content), sha256=original.sha256)
    enlargement = ReproductionId(uuid5(caller.tenant.id, f"enlargement:{wish.key}") if wish.key else new_id())
    with database.tenant_work(caller.tenant) as session:
        model = _model(session, caller, wish) if wish.method is Method.MODEL and wish.graph is None else None
        if wish.graph is not None:
            prompt = own_graph(read_prompt(wish.graph), name, wish.graph_input)
        else:
            prompt = plain_graph(name, layout, wish.method, model=model, colour=wish.colour)
        plan = _plan(original, layout, wish, model)
        known = attempts.find_reproduction(session, enlargement)
        if known is not None:
            own = caller.sees is None or known.project_id in caller.sees
            if known.plan != plan or known.asset_id != asset_id or not own:
                raise KeyReused("a wish of this key was another one", hint="send a new key with a new wish")
            return view_of(known)
        project = attempts.find_project(session, original.asset_id, caller.sees)
        register(session, [stored])
        attempts.insert_reproduction(
            session,
            {
                "id": enlargement,
                "asset_id": asset_id,
                "project_id": project,
                "by_person": caller.person_id,
                "state": State.RUNNING.value,
                "purpose": Purpose.ENLARGEMENT.value,
                "plan": plan,
            },
        )
        facts: dict[str, Json] = {"enlargement": str(enlargement), "to": f"{layout.width}x{layout.height}"}
        audit.note(session, caller, "asset.enlarge", f"asset:{asset_id}", facts)
        submitted = submit(
            session,
            Submission(
                prompt=prompt,
                project_id=ProjectId(project) if project is not None else None,
                name="enlargement",
                pool=wish.pool,
                urgency=wish.urgency,
                key=wish.key,
                inputs=(
                    InputFile(
                        name=name, subfolder="", type="input", sha256=original.sha256.hex(), size=len(original.content)
                    ),
                ),
                follow_up=FollowUp(kind=CHORE_KIND, recipe=CHORE_RECIPE, subject=enlargement),
            ),
            scope=caller.tenant,
            caller=caller,
            store=store,
            database=database,
        )
        attempts.set_job(session, enlargement, submitted.job_id)
        row = attempts.find_reproduction(session, enlargement)
        assert row is not None
        return view_of(row)


def _plan(original: _Original, layout: Layout, wish: Wish, model: str | None) -> dict[str, Json]:
    return {
        "of_asset": str(original.asset_id),
        "sha256": original.sha256.hex(),
        "from": list(original.size),
        "to": [layout.width, layout.height],
        "fit": layout.fit.value,
        "taken": list(layout.taken),
        "shown": list(layout.shown),
        "colour": wish.colour if layout.fit is Fit.PAD else None,
        "method": "own graph" if wish.graph is not None else wish.method.value,
        "model": model,
        "node": None if wish.graph is not None else SAVING_NODE,
        "lost": list(lost_in_engines(original.content)),
    }


def _model(session: Session, caller: Caller, wish: Wish) -> str:
    """Return the upscale model that is asked for, or the pool's first by name. Session of the tenant, and is it again."""
    take_farm(session)
    try:
        usable = find_usable(session, caller.tenant.id, wish.pool)
        pool, _ = choose_pool(usable, wish.pool, pools=None, regions=None)
        knowledge = knowledge_of(session, pool.id, tenant_id=caller.tenant.id)
    finally:
        take_tenant(session, caller.tenant)
    there = sorted(_offered(knowledge.offered or {}))
    if wish.model is not None and (wish.model in there or knowledge.offered is None):
        return wish.model
    if wish.model is None and there:
        return there[0]
    told = ", ".join(there[:SHOWN_MODELS])
    raise UpscaleModelUnknown(
        f"pool {wish.pool[:80]!r} has {'none' if not there else told}",
        hint="choose one of these with --model" if there else "enlarge by another method, such as --by lanczos",
    )


def _offered(offered: object) -> frozenset[str]:
    found = offered.get("upscale_models") if isinstance(offered, dict) else None
    return frozenset(found or ())
