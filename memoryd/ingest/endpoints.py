"""Taking files in, the watched folders, quarantine, uploads."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, UploadFile

from memoryd.access import audit, projects
from memoryd.access.facts import Caller, Scope
from memoryd.access.guards import Ingester, IngesterCaller, Office, Offices, Reader
from memoryd.catalog import roots as catalog_roots
from memoryd.catalog.facts import RootState, WatchRoot
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAllowed, NotFound
from memoryd.foundation.ids import ProjectId, WatchRootId
from memoryd.ingest import quarantine, queries, roots
from memoryd.ingest.backlog import NothingThere, Wish, plan
from memoryd.ingest.retrying import try_again
from memoryd.ingest.runs import Runs
from memoryd.ingest.surveying import survey
from memoryd.ingest.uploads import record_upload
from memoryd.ingest.wire import (
    IngestRequest,
    NewRoot,
    PlanShape,
    QuarantineList,
    QuarantineShape,
    RetryShape,
    RootChange,
    RootList,
    RootShape,
    RunShape,
    UploadShape,
)
from memoryd.storage.blob_store import BlobStore

router = APIRouter(tags=["ingest"])

_runs = Runs()


class PathNotAllowed(NotAllowed):
    """This path is not for you to take in."""


class RootElsewhere(Conflict):
    """This folder is watched by another machine."""


@router.post("/ingests", status_code=202)
def start_ingest(request: IngestRequest, caller: IngesterCaller, office: Office) -> RunShape:
    """Begin to take in files and folders of the server's machine; ask `/ingests/{id}` how far it is."""
    wish = _wish(request, caller, office)
    return RunShape.of(_runs.start(office.database, caller.tenant, _store(office), wish, caller))


@router.post("/ingests/plan")
def plan_ingest(request: IngestRequest, caller: IngesterCaller, office: Office) -> PlanShape:
    """What taking them in would mean: files, bytes, and the space that keeping takes. Nothing is read."""
    wish = dataclasses.replace(_wish(request, caller, office), dry=True)
    return PlanShape.of(plan(office.database, caller.tenant, _store(office), wish))


@router.get("/ingests/{run_id}")
def show_ingest(run_id: UUID, caller: IngesterCaller) -> RunShape:
    """How far a taking-in is."""
    return RunShape.of(_runs.find(caller.tenant, run_id))


@router.delete("/ingests/{run_id}")
def stop_ingest(run_id: UUID, caller: IngesterCaller) -> RunShape:
    """Stop after the present batch. What is recorded stays; the same request goes on from there."""
    run = _runs.find(caller.tenant, run_id)
    run.stop.set()
    return RunShape.of(run)


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


@router.post("/roots", status_code=201)
def add_root(request: NewRoot, work: Ingester) -> RootShape:
    """Watch a folder of the server's machine; the same again changes nothing."""
    path = Path(request.path)
    if not _is_trusted(work.caller):
        raise PathNotAllowed(request.path, hint="an administrator adds folders")
    added = roots.ensure_root(
        work.session,
        host=roots.this_host(),
        path=path,
        project_id=_project(work.session, request.project or projects.DEFAULT_PROJECT, work.caller),
        person_id=work.caller.person_id,
        custody=request.custody,
        aliases=request.aliases,
        caller=work.caller,
    )
    return _root(work.session, added)


@router.patch("/roots/{root_id}")
def change_root(root_id: UUID, change: RootChange, caller: IngesterCaller, office: Office) -> RootShape:
    """Change a watched folder: what other machines call it, its project, custody, state."""
    with office.database.tenant_work(caller.tenant) as session:
        root = catalog_roots.show_root(session, WatchRootId(root_id))
        for machine, alias in change.aliases.items():
            catalog_roots.set_alias(session, root.id, machine, alias)
        project_id = _project(session, change.project, caller)
        catalog_roots.change_root(session, root.id, project_id=project_id, custody=change.custody)
        if change.retired is not None:
            catalog_roots.retire_root(session, root.id, retired=change.retired)
        facts = sorted(change.model_fields_set)
        audit.note(session, caller, "root.change", f"root:{root.id}", {"changed": list(facts)})
        _change_state(session, root, change.state, caller)
        root = catalog_roots.show_root(session, root.id)
    if change.state is RootState.ONLINE:
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
        if not _is_trusted(caller):
            # Any other caller reads only what the studio watches anyway: a path must not become a window into the server.
            for path in paths:
                real = Path(os.path.realpath(path))
                if roots.root_containing(session, roots.this_host(), real) is None:
                    raise PathNotAllowed(str(path), hint="name a path in a watched folder, or upload the file")
        for path in paths:
            if not os.path.lexists(path):
                raise NothingThere(f"{path} is not there", hint="name a file or folder on the server's machine")
        return Wish(
            paths=paths,
            project_id=_project(session, request.project, caller),
            otherwise=_project(session, projects.DEFAULT_PROJECT, caller),
            person_id=caller.person_id,
            custody=request.custody,
        )


def _is_trusted(caller: Caller) -> bool:
    return caller.via == "local" or Scope.ADMIN in caller.everywhere


def _project(session: Session, slug: str | None, caller: Caller) -> ProjectId | None:
    return None if slug is None else projects.find_project(session, slug, caller.sees)


def _change_state(session: Session, root: WatchRoot, state: RootState | None, caller: Caller) -> None:
    if state is None:
        return
    if state is RootState.ONLINE:
        if root.host != roots.this_host():
            raise RootElsewhere(f"it lies on {root.host}", hint="ask the server that runs there")
        roots.accept_as_it_is(session, root, caller)
    else:
        roots.go(session, root, state, "by a person's wish", caller)


def _root(session: Session, root: WatchRoot) -> RootShape:
    return RootShape.of(root, queries.count_present(session, root.id))


def _store(office: Offices) -> BlobStore:
    if not isinstance(office.store, BlobStore):
        raise NotFound("this server keeps no blobs", hint="set MEMORYD_HOME to a folder that can be written to")
    return office.store
