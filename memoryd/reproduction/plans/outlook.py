"""Before the client calls: what of a project, or of a search, can no longer be made, and why. No GPU is needed.

Lines are looked at some thousands at a time, each step in one statement for all of them; a workflow is read once, and
each set of needs is held against the workers once. It says of each line what its own plan says, except that only the plan
of one asset reads every text that goes along with it.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from memoryd.access.facts import Caller, Sees
from memoryd.access.projects import find_project
from memoryd.catalog.faces import list_faces
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import AssetId, TenantId
from memoryd.foundation.paging import decode_id, encode_cursor, page_size
from memoryd.reproduction.facts import Cause, ModelPin
from memoryd.reproduction.matching import Needs, environment_of, lacking, read_fleet
from memoryd.reproduction.planning import NO_GRAPH, missing_input, unknown_input
from memoryd.reproduction.plans import queries, readings
from memoryd.reproduction.plans.facts import Counted, Outlook, Prospect, Show, hindrances
from memoryd.search.facts import All, Filter
from memoryd.search.finding import find_all
from memoryd.search.query_language import parse
from memoryd.workflows.documents import load_document

AT_ONCE = 2_500
"""Lines of one unit of work. Source: measured; more of them make no page quicker."""
LINES_LIMIT = 100_000
"""Lines of one question; beyond it the counts say that they are not of all."""


class NothingAsked(NotAcceptable):
    """An outlook is about a project or a search."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Of what: a project's lines, those that a search finds, or of both those in the project; `approved` ones alone."""

    project: str | None = None
    search: str | None = None
    approved: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Sight:
    """What the memory says of one asset, before any worker is looked at."""

    asset: UUID
    needs: Needs | None
    missing: tuple[Cause, ...]
    notices: tuple[Cause, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    asset: UUID
    missing: tuple[Cause, ...]
    notices: tuple[Cause, ...]

    def is_shown(self, show: Show) -> bool:
        match show:
            case Show.ALL:
                return True
            case Show.NOTICED:
                return bool(self.missing or self.notices)
            case Show.HINDERED:
                return bool(hindrances(self.missing, self.notices))


def look_ahead(
    database: Database,
    caller: Caller,
    asked: Asked,
    *,
    show: Show = Show.HINDERED,
    cursor: str | None = None,
    limit: int | None = None,
) -> Outlook:
    """Return a page of what can no longer be made, or may come out otherwise, and why; with counts on the first page.

    Opens its own units of work. Raises: NothingAsked, ProjectNotFound, QueryNotUnderstood, BadCursor, BadPageSize.
    """
    size = page_size(limit)
    after = decode_id(cursor)
    found: list[_Judged] = []
    counts: collections.Counter[str] = collections.Counter()
    lines = possible = 0
    for lines_now in _chunks(database, caller, asked, after):
        for judged in _judge(database, caller, lines_now):
            lines += 1
            possible += not hindrances(judged.missing, judged.notices)
            counts.update({cause.code for cause in (*judged.missing, *judged.notices)})
            if judged.is_shown(show) and len(found) <= size:
                found.append(judged)
        # What comes after this page is looked at for the counts alone, which come with the first.
        if after is not None and len(found) > size:
            break
    shown = found[:size]
    with database.tenant_work(caller.tenant) as session:
        faces = list_faces(session, [AssetId(one.asset) for one in shown], caller.sees)
    counted = Counted(
        lines=lines, possible=possible, by_cause=dict(counts.most_common()), truncated=lines >= LINES_LIMIT
    )
    return Outlook(
        rows=tuple(
            Prospect(face=faces[one.asset], missing=one.missing, notices=one.notices)
            for one in shown
            if one.asset in faces
        ),
        next_cursor=encode_cursor(str(shown[-1].asset)) if len(found) > size else None,
        counted=counted if after is None else None,
    )


def _chunks(database: Database, caller: Caller, asked: Asked, after: UUID | None) -> Iterator[list[UUID]]:
    """Yield assets, one of each line, some at a time."""
    if asked.search is not None:
        yield from _searched(database, caller, asked, after)
        return
    if asked.project is None:
        raise NothingAsked("neither project nor search", hint="--project NAME, or --search WORDS")
    looked_at = 0
    while looked_at < LINES_LIMIT:
        with database.tenant_work(caller.tenant) as session:
            project = find_project(session, asked.project, caller.sees)
            found = queries.list_lines_of_project(session, project, approved=asked.approved, after=after, limit=AT_ONCE)
        yield found
        looked_at += len(found)
        if len(found) < AT_ONCE:
            return
        after = found[-1]


def _searched(database: Database, caller: Caller, asked: Asked, after: UUID | None) -> Iterator[list[UUID]]:
    words = (asked.search or "").strip()
    with database.tenant_work(caller.tenant) as session:
        query = parse(words)
        if asked.project is not None:
            find_project(session, asked.project, caller.sees)
            within = Filter(field="project", value=asked.project)
            query = dataclasses.replace(query, part=All(parts=(within, query.part)) if query.part else within)
        found = sorted(find_all(session, query, caller.sees, LINES_LIMIT))
        if asked.approved:
            approved = queries.list_approved(session, found, caller.sees)
            found = [asset for asset in found if asset in approved]
    left = [asset for asset in found if after is None or asset > after]
    for first in range(0, len(left), AT_ONCE):
        yield list(left[first : first + AT_ONCE])


def _judge(database: Database, caller: Caller, assets: Sequence[UUID]) -> list[_Judged]:
    if not assets:
        return []
    with database.tenant_work(caller.tenant) as session:
        sights = _see(session, assets, caller.sees)
    pins = {pin for sight in sights if sight.needs is not None for pin in sight.needs.pins}
    with database.farm_work() as session:
        fleet = read_fleet(session, TenantId(caller.tenant.id), pins)
    said: dict[Needs, tuple[Cause, ...]] = {}
    judged = []
    for sight in sights:
        more: tuple[Cause, ...] = ()
        if sight.needs is not None:
            if sight.needs not in said:
                said[sight.needs] = lacking(fleet, sight.needs)
            more = said[sight.needs]
        judged.append(_Judged(asset=sight.asset, missing=sight.missing, notices=(*sight.notices, *more)))
    return judged


def _see(session: Session, assets: Sequence[UUID], sees: Sees) -> list[_Sight]:
    """Return what the memory says of assets, in their order."""
    runs = queries.list_runs(session, assets, sees)
    generations = [row.generation_id for row in runs.values()]
    known: dict[UUID, dict[tuple[str, str], bytes]] = {}
    for row in queries.list_models(session, generations):
        known.setdefault(row.generation_id, {})[row.role, row.name] = bytes(row.sha256)
    inputs = _missing_inputs(session, generations)
    reading = _reader(session)
    # Thousands of pictures of one workflow share one value: what the workers lack is worked out for it once.
    needed: dict[tuple[frozenset[str], tuple[ModelPin, ...]], Needs] = {}
    sights = []
    for asset in assets:
        run = runs.get(asset)
        if run is None:
            sights.append(_Sight(asset=asset, needs=None, missing=(NO_GRAPH,), notices=()))
            continue
        read = reading(run)
        of_run = known.get(run.generation_id, {})
        pins = tuple(ModelPin(folder=f, name=n, sha256=of_run.get((f, n))) for f, n in read.models)
        needs = needed.setdefault((read.classes, pins), Needs(classes=read.classes, pins=pins))
        sights.append(
            _Sight(
                asset=asset,
                needs=None if read.missing else needs,
                missing=(*read.missing, *inputs.get(run.generation_id, ())),
                notices=read.notices,
            )
        )
    return sights


def _missing_inputs(session: Session, generations: Sequence[UUID]) -> dict[UUID, list[Cause]]:
    rows = queries.list_inputs(session, generations)
    contents = sorted({bytes(row.sha256) for row in rows if row.sha256 is not None})
    kept, known = queries.list_kept(session, contents, generations) if contents else (set[bytes](), set[bytes]())
    missing: dict[UUID, list[Cause]] = {}
    for row in rows:
        if row.sha256 is None:
            missing.setdefault(row.generation_id, []).append(unknown_input(row.class_type, row.name))
        elif (sha256 := bytes(row.sha256)) not in kept:
            missing.setdefault(row.generation_id, []).append(missing_input(row.name, sha256, was_here=sha256 in known))
    return missing


def _reader(session: Session) -> Callable[[queries.Found], readings.Reading]:
    """Return a function that tells of a run what its workflow needs: read once, and remembered."""

    def reading(run: queries.Found) -> readings.Reading:
        environment = bytes(run.environment) if run.environment is not None else None
        workflow = bytes(run.workflow) if run.workflow is not None else None
        found = readings.remembered(workflow, environment) if workflow is not None else None
        if found is None:
            found = readings.read(load_document(session, run.prompt_document), environment_of(session, environment))
            if workflow is not None:
                readings.keep(workflow, environment, found)
        return found

    return reading
