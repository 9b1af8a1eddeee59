"""What the page of one attempt shows, gathered for one reader: the two sides, how far it is, who ran it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, cast

from memoryd.access.facts import Caller
from memoryd.catalog import content
from memoryd.catalog.asset_view import Face
from memoryd.catalog.faces import list_faces
from memoryd.catalog.facts import AssetKind
from memoryd.dispatch import pools
from memoryd.dispatch.jobs import JobNotFound
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, take_farm, take_tenant
from memoryd.foundation.ids import AssetId, parse_id
from memoryd.reproduction.comparing import is_held
from memoryd.reproduction.facts import Cause, Reproduction, State, Testing, WorkerMatch
from memoryd.reproduction.matching import with_workers
from memoryd.reproduction.planning import make_plan
from memoryd.storage.blob_store import BlobStore
from memoryd.submission import viewing
from memoryd.web.queue_rows import JobRow, job_rows

BROWSER_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"})
"""What a browser shows as it is; of other pictures the stored preview is shown."""
BROWSER_FILMS = frozenset({"video/mp4", "video/webm"})
BROWSER_SOUNDS = frozenset({"audio/flac", "audio/mpeg", "audio/ogg"})

WHOLE_PIXELS = 24_000_000
"""Pixels of a picture that a page loads as it is: a larger one takes a browser seconds, and gigabytes with three of it."""
WHOLE_BYTES = 32 << 20
"""Bytes of it."""

COMPARING_PATIENCE = datetime.timedelta(minutes=1)
"""Longer than this no comparison waits, unless nobody does the follow-up work."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: what it is, how it can be shown, and where. `present`: its bytes can be had.

    `shown`: `image` (as it is), `preview` (its stored small picture), `video`, `audio`, or nothing.
    """

    sha256: str | None
    face: Face | None = None
    size: int | None = None
    present: bool = False
    shown: str = ""
    source: str = ""
    preview: str = ""

    @property
    def asset_id(self) -> AssetId | None:
        """The asset it is; None where it is none, or one that the reader may not see."""
        return self.face.id if self.face is not None else None

    @property
    def edges(self) -> tuple[int, int] | None:
        """Width and height, where they are known."""
        face = self.face
        return (face.width, face.height) if face is not None and face.width and face.height else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A worker as the plan named it, and its environment. `label` None: nobody knows."""

    label: str | None
    environment: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """All of one attempt. `same`: what came out is the original itself. `slides`: both can be laid over each other.

    `late`: its run ended, and nobody compares it.
    """

    made: Reproduction
    name: str
    original: Side
    output: Side | None
    same: bool
    slides: bool
    causes: tuple[Cause, ...]
    worker: Ran
    second: tuple[tuple[Reproduction, Ran], ...]
    row: JobRow | None
    workers: int
    late: bool

    @property
    def settled(self) -> bool:
        """Whether nothing of it changes any more."""
        return self.made.state is State.DECIDED and self.made.testing not in (Testing.WANTED, Testing.RUNNING)

    @property
    def whole(self) -> bool:
        """Whether the difference picture is small enough to be loaded with the page."""
        drawn = self.made.measures.get("difference_picture")
        if not isinstance(drawn, dict):
            return False
        return int(str(drawn.get("width", 0))) * int(str(drawn.get("height", 0))) <= WHOLE_PIXELS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Where it could be made again: pools by name, and workers, the nearest first."""

    pools: tuple[str, ...]
    workers: tuple[WorkerMatch, ...]


def view_attempt(
    session: Session, database: Database, store: BlobStore, caller: Caller, made: Reproduction
) -> AttemptView:
    """Return what a page shows of an attempt that the caller may see. `session` is a unit of work of the tenant."""
    of_asset = parse_id(str(made.plan.get("of_asset"))) or made.asset_id
    wanted = {of_asset, made.asset_id} | ({made.made_asset_id} if made.made_asset_id else set())
    faces = list_faces(session, wanted, caller.sees)
    original = _side(session, store, caller, faces.get(of_asset), _text(made.measures, "original_sha256"))
    output = _output(session, store, caller, made, faces)
    same = output is not None and output.sha256 is not None and output.sha256 == original.sha256
    if output is not None and {original.shown, output.shown} == {"image", "preview"}:
        original, output = _as_preview(original), _as_preview(output)
    row, workers = _job(session, database, caller, made)
    asked = faces.get(made.asset_id)
    ended = row.view.standing.ended_at if row is not None else None
    return AttemptView(
        made=made,
        name=(asked.name if asked else None) or (asked.sha256.hex()[:16] if asked else str(made.asset_id)),
        original=original,
        output=output,
        same=same,
        slides=not same and _lie_over_each_other(original, output, made.measures),
        causes=tuple(Cause.of(cast("Mapping[str, Json]", each)) for each in made.causes),
        worker=_ran(made, made.plan),
        second=tuple((each, _ran(each, made.plan)) for each in made.second_runs),
        row=row,
        workers=workers,
        late=ended is not None and datetime.datetime.now(datetime.UTC) - ended > COMPARING_PATIENCE,
    )


def choices_of(session: Session, caller: Caller, asset_id: AssetId) -> Choices:
    """Return where an asset could be made again. `session` is a unit of work of the tenant, and is one afterwards."""
    plan = with_workers(session, make_plan(session, asset_id, caller.sees), caller.tenant)
    take_farm(session)
    usable = tuple(pool.name for pool in pools.list_pools(session, tenant_id=caller.tenant.id))
    take_tenant(session, caller.tenant)
    return Choices(pools=usable, workers=tuple(match for match in plan.workers if match.pools))


def _side(session: Session, store: BlobStore, caller: Caller, face: Face | None, sha256: str | None) -> Side:
    if face is None:
        return Side(sha256=sha256)
    copies = content.find_copies(session, face.id, caller.sees)
    present = is_held(session, store, caller.tenant, face.id)
    preview = f"/v1/assets/{face.id}/thumbnail?size=1024" if face.has_thumbnail else ""
    shown = _shown(face, copies.size) if present else ""
    shown = shown or ("preview" if preview else "")
    source = preview if shown == "preview" else f"/v1/assets/{face.id}/content" if shown else ""
    return Side(
        sha256=face.sha256.hex(),
        face=face,
        size=copies.size,
        present=present,
        shown=shown,
        source=source,
        preview=preview,
    )


def _shown(face: Face, size: int) -> str:
    if face.kind is AssetKind.IMAGE and face.media_type in BROWSER_IMAGES:
        small = size <= WHOLE_BYTES and (face.width or 0) * (face.height or 0) <= WHOLE_PIXELS
        return "image" if small else ""
    if face.media_type in BROWSER_FILMS:
        return "video"
    return "audio" if face.media_type in BROWSER_SOUNDS else ""


def _as_preview(side: Side) -> Side:
    """Return a side by its preview where it has one: a small picture beside a large one would be no comparison."""
    return dataclasses.replace(side, shown="preview", source=side.preview) if side.preview else side


def _output(
    session: Session, store: BlobStore, caller: Caller, made: Reproduction, faces: Mapping[Any, Face]
) -> Side | None:
    sha256 = _text(made.measures, "made_sha256")
    if made.made_asset_id is not None:
        return _side(session, store, caller, faces.get(made.made_asset_id), sha256)
    if sha256 is None:
        return None
    # What was only shown is no asset: its bytes lie in the store alone.
    if not store.exists(caller.tenant.slug, bytes.fromhex(sha256)):
        return Side(sha256=sha256)
    return Side(sha256=sha256, present=True, shown="image", source=f"/reproductions/{made.id}/made")


def _lie_over_each_other(original: Side, output: Side | None, measures: Mapping[str, Json]) -> bool:
    if output is None or original.shown not in ("image", "preview") or output.shown != original.shown:
        return False
    apart = original.edges and output.edges and original.edges != output.edges
    return not apart and measures.get("comparable") is not False


def _job(session: Session, database: Database, caller: Caller, made: Reproduction) -> tuple[JobRow | None, int]:
    """Return how the job of a running attempt stands, and how many workers of its pool there are."""
    if made.state is not State.RUNNING or made.job_id is None:
        return None, 0
    try:
        view = viewing.job_view(session, made.job_id, scope=caller.tenant, sees=caller.sees)
    except JobNotFound:
        return None, 0
    [row] = job_rows(session, database, [view], caller)
    take_farm(session)
    usable = pools.list_pools(session, tenant_id=caller.tenant.id)
    depths = pools.list_depths(session, usable, tenant_id=caller.tenant.id)
    take_tenant(session, caller.tenant)
    return row, next((depth.workers for depth in depths if depth.pool == view.standing.pool), 0)


def _ran(made: Reproduction, plan: Mapping[str, Json]) -> Ran:
    listed = plan.get("workers")
    named: Sequence[Json] = listed if isinstance(listed, list) else []
    own = next((one for one in named if isinstance(one, dict) and one.get("worker_id") == str(made.worker_id)), None)
    label = own.get("label") if own is not None else None
    return Ran(
        label=str(label) if label else None,
        environment=made.environment.hex() if made.environment is not None else None,
    )


def _text(measures: Mapping[str, Json], name: str) -> str | None:
    value = measures.get(name)
    return value if isinstance(value, str) else None
