"""Taking files in, the watched folders, quarantine, uploads."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, UploadFile

from memoryd.access import audit, people, projects
from memoryd.access.facts import Caller, Scope
from memoryd.access.guards import IngesterCaller, Office, Offices, Reader, SenderCaller
from memoryd.catalog import roots as catalog_roots
from memoryd.catalog.facts import RootState, RootWatcher, WatchRoot
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAllowed, NotFound
from memoryd.foundation.ids import ProjectId, WatchRootId
from memoryd.ingest import quarantine, queries, roots
from memoryd.ingest.asset_wire import AssetsAnswer
from memoryd.ingest.attributing import explain
from memoryd.ingest.backlog import NothingThere, Wish, plan
from memoryd.ingest.folder_rules import checked_rules
from memoryd.ingest.guards import SENT_BODY, Sent
from memoryd.ingest.retrying import try_again
from memoryd.ingest.runs import SERVER_RUNS, is_trusted
from memoryd.ingest.sent_assets import place_of, record_sent
from memoryd.ingest.surveying import survey
from memoryd.ingest.uploads import record_upload
from memoryd.ingest.wire import (
    PATH_LIMIT,
    AttributionShape,
    IngestRequest,
    NewRoot,
    PlanShape,
    QuarantineList,
    QuarantineShape,
    RetryShape,
    RootChange,
    RootList,
    RootShape,
    RunList,
    RunShape,
    UploadShape,
)
from memoryd.storage.blob_store import BlobStore

router = APIRouter(tags=["ingest"])


class PathNotAllowed(NotAllowed):
    """This path is not for you to take in."""


class RootElsewhere(Conflict):
    """This folder is watched by another machine."""


@router.post("/ingests", status_code=202)
def start_ingest(request: IngestRequest, caller: IngesterCaller, office: Office) -> RunShape:
    """Begin to take in files and folders of the server's machine; ask `/ingests/{id}` how far it is."""
    wish = _wish(request, caller, office)
    return RunShape.of(SERVER_RUNS.start(office.database, caller.tenant, _store(office), wish, caller))


@router.post("/ingests/plan")
def plan_ingest(request: IngestRequest, caller: IngesterCaller, office: Office) -> PlanShape:
    """What taking them in would mean: files, bytes, and the space that keeping takes. Nothing is read."""
    wish = dataclasses.replace(_wish(request, caller, office), dry=True)
    return PlanShape.of(plan(office.database, caller.tenant, _store(office), wish))


@router.get("/ingests")
def list_ingests(caller: IngesterCaller, office: Office) -> RunList:
    """The newest takings-in, newest first: all of them for an administrator, one's own for anybody else."""
    return RunList(items=[RunShape.of(run) for run in SERVER_RUNS.list_for(office.database, caller)])


@router.get("/ingests/{run_id}")
def show_ingest(run_id: UUID, caller: IngesterCaller, office: Office) -> RunShape:
    """How far a taking-in is."""
    return RunShape.of(SERVER_RUNS.find_for(office.database, caller, run_id))


@router.delete("/ingests/{run_id}")
def stop_ingest(run_id: UUID, caller: IngesterCaller, office: Office) -> RunShape:
    """Stop after the present batch. What is recorded stays; the same request goes on from there."""
    run = SERVER_RUNS.find_for(office.database, caller, run_id)
    run.stop.set()
    return RunShape.of(run)


@router.post("/ingests/{run_id}/resume", status_code=202)
def resume_ingest(run_id: UUID, caller: IngesterCaller, office: Office) -> RunShape:
    """Go on with a taking-in that was interrupted, stopped or failed: what is recorded is passed by."""
    run = SERVER_RUNS.find_for(office.database, caller, run_id)
    with office.database.tenant_work(caller.tenant) as session:
        _check_paths(session, run.wish.paths, caller)
    return RunShape.of(SERVER_RUNS.resume(office.database, caller.tenant, _store(office), run.id, caller))


@router.post("/uploads", status_code=201)
def upload(
    file: UploadFile, caller: IngesterCaller, office: Office, project: Annotated[str | None, Form()] = None
) -> UploadShape:
    """Keep and record one file that is sent along."""
    with office.database.tenant_work(caller.tenant) as session:
        project_id = _project(session, project or projects.DEFAULT_PROJECT, caller)
    recorded = record_upload(
        office.database,
        caller.tenant,
        _store(office),
        file.file,
        filename=file.filename or "upload",
        project_id=project_id,
        caller=caller,
    )
    return UploadShape.of(recorded)


@router.post("/assets", openapi_extra={"requestBody": SENT_BODY})
def send_assets(caller: SenderCaller, office: Office, sent: Sent) -> AssetsAnswer:
    """Record files that were read on another machine: by their facts alone, or with their bytes.

    The same again changes nothing.
    """
    facts, files = sent
    return record_sent(office.database, caller.tenant, _store(office), facts, files, caller)


@router.get("/roots")
def list_roots(work: Reader, retired: bool = False) -> RootList:
    """The watched folders."""
    sees = work.caller.sees
    found = [
        root
        for root in catalog_roots.list_roots(work.session, retired=retired)
        if sees is None or root.project_id in sees
    ]
    return RootList(items=[_root(work.session, root) for root in found])


@router.get("/roots/{root_id}")
def show_root(root_id: UUID, work: Reader) -> RootShape:
    """One watched folder, and how it is watched."""
    return _root(work.session, _seen_root(work.session, root_id, work.caller))


@router.get("/roots/{root_id}/attribution")
def explain_attribution(
    root_id: UUID, work: Reader, place: Annotated[str, Query(min_length=1, max_length=PATH_LIMIT)]
) -> AttributionShape:
    """How a file at a place (its path below the folder) would be attributed, and why. It need not be there."""
    root = _seen_root(work.session, root_id, work.caller)
    return AttributionShape.of(place, explain(work.session, root, place_of(place)))


@router.post("/roots", status_code=201)
def add_root(request: NewRoot, caller: SenderCaller, office: Office) -> RootShape:
    """Watch a folder of the server's machine, or register one that is watched on another (`host`). The same again changes
    nothing; another project, person or rules are those of the files to come."""
    with office.database.tenant_work(caller.tenant) as session:
        wish = _root_wish(session, request, caller)
        if request.host is not None:
            added = roots.ensure_sending_root(session, host=request.host, path=request.path, wish=wish, caller=caller)
        else:
            if not is_trusted(caller):
                raise PathNotAllowed(request.path, hint="an administrator adds folders")
            added = roots.ensure_root(
                session,
                host=roots.this_host(),
                path=Path(request.path),
                project_id=wish.project_id,
                person_id=wish.person_id,
                custody=wish.custody,
                aliases=request.aliases,
                rules=wish.rules,
                makes_projects=wish.makes_projects,
                home=office.home,
                caller=caller,
            )
        if request.project is not None or request.person is not None:
            # Named again with other names: they count for the files to come.
            person_id = wish.person_id if request.person is not None else None
            catalog_roots.change_root(session, added.id, project_id=wish.project_id, person_id=person_id)
            added = catalog_roots.show_root(session, added.id)
        return _root(session, added)


@router.patch("/roots/{root_id}")
def change_root(root_id: UUID, change: RootChange, caller: IngesterCaller, office: Office) -> RootShape:
    """Change a watched folder: what other machines call it, its project, person, rules, custody, state."""
    with office.database.tenant_work(caller.tenant) as session:
        root = catalog_roots.show_root(session, WatchRootId(root_id))
        for machine, alias in change.aliases.items():
            catalog_roots.set_alias(session, root.id, machine, alias)
        project_id = _project(session, change.project, caller)
        person_id = None if change.person is None else people.find_person(session, change.person)
        catalog_roots.change_root(session, root.id, project_id=project_id, person_id=person_id, custody=change.custody)
        if change.rules is not None or change.create_projects is not None:
            rules = root.rules if change.rules is None else checked_rules([rule.fact() for rule in change.rules])
            catalog_roots.set_rules(session, root.id, rules, makes_projects=change.create_projects)
        if change.retired is not None:
            catalog_roots.retire_root(session, root.id, retired=change.retired)
        facts = sorted(change.model_fields_set)
        audit.note(session, caller, "root.change", f"root:{root.id}", {"changed": list(facts)})
        _change_state(session, root, change.state, caller)
        root = catalog_roots.show_root(session, root.id)
    if change.state is RootState.ONLINE and root.watched_by is RootWatcher.SERVER:
        survey(office.database, caller.tenant, root, accept_vanished=True)
    with office.database.tenant_work(caller.tenant) as session:
        return _root(session, catalog_roots.show_root(session, root.id))


@router.get("/quarantine")
def list_quarantine(
    work: Reader,
    cursor: str | None = None,
    limit: Annotated[int | None, Query()] = None,
    resolved: bool = False,
) -> QuarantineList:
    """Files that could not be read, newest first, each with its reason."""
    page = quarantine.list_quarantine(
        work.session, sees=work.caller.sees, cursor=cursor, limit=limit, resolved=resolved
    )
    return QuarantineList(items=[QuarantineShape.of(file) for file in page.rows], next_cursor=page.next_cursor)


@router.post("/quarantine/{quarantine_id}/retry")
def retry(quarantine_id: UUID, caller: IngesterCaller, office: Office) -> RetryShape:
    """Read a quarantined file again now."""
    with office.database.tenant_work(caller.tenant) as session:
        file = quarantine.find(session, quarantine_id)
    outcome = try_again(office.database, caller.tenant, _store(office), file, caller)
    with office.database.tenant_work(caller.tenant) as session:
        return RetryShape.of(outcome, quarantine.find(session, quarantine_id))


def _wish(request: IngestRequest, caller: Caller, office: Offices) -> Wish:
    paths = tuple(Path(path).expanduser().absolute() for path in request.paths)
    with office.database.tenant_work(caller.tenant) as session:
        _check_paths(session, paths, caller)
        return Wish(
            paths=paths,
            project_id=_project(session, request.project, caller),
            otherwise=_project(session, projects.DEFAULT_PROJECT, caller),
            person_id=caller.person_id,
            custody=request.custody,
        )


def _check_paths(session: Session, paths: Sequence[Path], caller: Caller) -> None:
    if not is_trusted(caller):
        # Any other caller reads only what the studio watches anyway: a path must not become a window into the server.
        for path in paths:
            real = Path(os.path.realpath(path))
            if roots.root_containing(session, roots.this_host(), real) is None:
                raise PathNotAllowed(str(path), hint="name a path in a watched folder, or upload the file")
    for path in paths:
        if not os.path.lexists(path):
            raise NothingThere(f"{path} is not there", hint="name a file or folder on the server's machine")


def _project(session: Session, slug: str | None, caller: Caller) -> ProjectId | None:
    return None if slug is None else projects.find_project(session, slug, caller.sees)


def _change_state(session: Session, root: WatchRoot, state: RootState | None, caller: Caller) -> None:
    if state is None:
        return
    if root.watched_by is RootWatcher.OUTPOST:
        roots.go(session, root, state, None if state is RootState.ONLINE else "by a person's wish", caller)
    elif state is RootState.ONLINE:
        if root.host != roots.this_host():
            raise RootElsewhere(f"it lies on {root.host}", hint="ask the server that runs there")
        roots.accept_as_it_is(session, root, caller)
    else:
        roots.go(session, root, state, "by a person's wish", caller)


def _root(session: Session, root: WatchRoot) -> RootShape:
    return RootShape.of(root, queries.count_present(session, root.id))


def _seen_root(session: Session, root_id: UUID, caller: Caller) -> WatchRoot:
    root = catalog_roots.show_root(session, WatchRootId(root_id))
    if caller.sees is not None and root.project_id not in caller.sees:
        raise catalog_roots.RootNotFound(f"root {root_id}", hint="`memoryd watch list` shows yours")
    return root


def _root_wish(session: Session, request: NewRoot, caller: Caller) -> roots.RootWish:
    if (request.create_projects or request.person is not None) and Scope.INGEST not in caller.everywhere:
        raise PathNotAllowed(request.path, hint="an administrator says for whom else, and lets folders make projects")
    return roots.RootWish(
        project_id=_project(session, request.project or projects.DEFAULT_PROJECT, caller),
        person_id=caller.person_id if request.person is None else people.find_person(session, request.person),
        custody=request.custody,
        rules=checked_rules([rule.fact() for rule in request.rules]),
        makes_projects=request.create_projects,
    )


def _store(office: Offices) -> BlobStore:
    if not isinstance(office.store, BlobStore):
        raise NotFound("this server keeps no blobs", hint="set MEMORYD_HOME to a folder that can be written to")
    return office.store
