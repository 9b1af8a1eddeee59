"""Gathers what a report is about: facts in one unit of work, then the files, verified in none."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Iterator, Sequence

from memoryd.access import projects
from memoryd.access.facts import Caller
from memoryd.catalog.asset_view import AssetView
from memoryd.catalog.attesting import AttestationView, list_attestations
from memoryd.catalog.content import ContentMissing, Copies, find_copies, open_copy
from memoryd.catalog.facts import Succession
from memoryd.catalog.looking_up import find_asset
from memoryd.catalog.showing import show_asset
from memoryd.clearance.asking import verdict_shown
from memoryd.clearance.facts import Cleared
from memoryd.disclosure.disclosing import list_disclosures
from memoryd.disclosure.facts import Disclosed
from memoryd.disclosure.pki import Anchors
from memoryd.disclosure.verifying import verify_stream
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import MemorydError, NotAcceptable
from memoryd.foundation.ids import AssetId, new_id
from memoryd.foundation.paging import PAGE_LIMIT
from memoryd.reports import queries
from memoryd.reports.composing import ASSETS_LIMIT, compose
from memoryd.reports.facts import Occasion, Report, Subject, Verification, WorkflowIdentity
from memoryd.search.finding import find
from memoryd.search.query_language import parse

VERIFIED_BYTES_LIMIT = 20 << 30
"""Bytes of files that one report verifies; beyond it, verification is *not attempted*, and told as a gap."""


class NothingFound(NotAcceptable):
    """There is nothing to report about."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    """What was read of one asset, and where the files lie that will be verified."""

    view: AssetView
    disclosures: tuple[Disclosed, ...]
    copies: tuple[Copies, ...]
    workflows: dict[bytes, WorkflowIdentity]
    declarations: tuple[AttestationView, ...]
    clearance: Cleared


def make_report(
    database: Database,
    store: ByteStore,
    caller: Caller,
    anchors: Anchors,
    *,
    ref: str | None = None,
    query: str | None = None,
    now: datetime.datetime | None = None,
) -> Report:
    """Return the report about one asset (`ref`) or all that a search finds (`query`), at most ASSETS_LIMIT.

    Opens its own unit of work. Raises: NothingFound, AssetNotFound, AssetAmbiguous, and the search's own errors.
    """
    with database.tenant_work(caller.tenant) as session:
        found, complete = _assets(session, caller, ref, query)
        gathered = [_gather(session, caller, asset) for asset in found]
        names = {project.id: project.slug for project in projects.list_projects(session, caller.sees)}
    if not gathered:
        raise NothingFound(f"nothing matches {query!r}", hint="`memoryd search` shows what is found")
    occasion = Occasion(
        report_id=str(new_id()),
        made_at=now or datetime.datetime.now(datetime.UTC),
        made_by=caller.name,
        tenant=caller.tenant.slug,
        asked=ref or query or "",
        complete=complete,
        projects=names,
    )
    return compose(list(_verified(gathered, store, caller, anchors)), occasion)


def _assets(session: Session, caller: Caller, ref: str | None, query: str | None) -> tuple[list[AssetId], bool]:
    if ref is not None:
        return [find_asset(session, ref, caller.sees)], True
    if query is None:
        raise NothingFound("neither an asset nor a search was given", hint="send `ref` or `query`")
    assets: list[AssetId] = []
    cursor: str | None = None
    while len(assets) < ASSETS_LIMIT:
        page = find(session, parse(query), caller.sees, cursor, min(PAGE_LIMIT, ASSETS_LIMIT - len(assets)))
        assets += [hit.face.id for hit in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
    return assets, cursor is None


def _gather(session: Session, caller: Caller, asset: AssetId) -> _Gathered:
    view = show_asset(session, asset, caller.sees)
    own = next((member for member in view.line if member.face.id == asset), None)
    if own is not None and own.succession is Succession.DISCLOSED and own.succeeds_id is not None:
        # A search finds the newest of a line, which is its signed copy: what it tells of is its original.
        view = show_asset(session, own.succeeds_id, caller.sees)
    disclosures = tuple(list_disclosures(session, view.id, caller.sees))
    asked = dict.fromkeys([view.id, *(made.disclosed_id for made in disclosures)])
    exacts = {run.exact for run in view.generations if run.exact}
    return _Gathered(
        view=view,
        disclosures=disclosures,
        copies=tuple(find_copies(session, each, caller.sees) for each in asked),
        workflows=_workflows(queries.list_identities(session, exacts)) if exacts else {},
        declarations=tuple(
            said for said in list_attestations(session, view.id, caller.sees) if said.withdrawn_at is None
        ),
        clearance=verdict_shown(session, caller, view.id),
    )


def _workflows(rows: Iterable[tuple[bytes, str, str | None, bytes | None]]) -> dict[bytes, WorkflowIdentity]:
    found: dict[bytes, WorkflowIdentity] = {}
    for exact, recipe, level, digest in rows:
        known = found.get(exact) or WorkflowIdentity(recipe=recipe, exact=exact.hex(), workflow=None, structure=None)
        if digest is not None and level == "workflow":
            known = dataclasses.replace(known, workflow=digest.hex())
        if digest is not None and level == "structure":
            known = dataclasses.replace(known, structure=digest.hex())
        found[exact] = known
    return found


def _verified(gathered: Sequence[_Gathered], store: ByteStore, caller: Caller, anchors: Anchors) -> Iterator[Subject]:
    left = VERIFIED_BYTES_LIMIT
    for one in gathered:
        verifications = {}
        for copies in one.copies:
            left -= copies.size
            verifications[copies.asset_id] = (
                _verify(store, caller, copies, anchors)
                if left >= 0
                else Verification(verdict=None, not_attempted=f"{VERIFIED_BYTES_LIMIT} bytes (VERIFIED_BYTES_LIMIT)")
            )
        yield Subject(
            view=one.view,
            disclosures=one.disclosures,
            verifications=verifications,
            workflows=one.workflows,
            declarations=one.declarations,
            clearance=one.clearance,
        )


def _verify(store: ByteStore, caller: Caller, copies: Copies, anchors: Anchors) -> Verification:
    try:
        with open_copy(store, caller.tenant, copies) as file:
            return Verification(verdict=verify_stream(file, anchors))
    except ContentMissing:
        return Verification(verdict=None, not_attempted="its bytes cannot be had now")
    except MemorydError as error:
        return Verification(verdict=None, not_attempted=error.detail)
