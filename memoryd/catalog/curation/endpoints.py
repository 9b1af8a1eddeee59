"""What people decide: declarations, parents, proposals, removal, whose pictures are, and what other tools knew."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from memoryd.access.facts import Scope
from memoryd.access.guards import (
    Administrator,
    AdministratorCaller,
    Annotator,
    AnnotatorCaller,
    Office,
    Reader,
    person_with,
)
from memoryd.access.roles import sees_with
from memoryd.catalog import attesting, collecting, declaring, emptying, importing, proposals, removal, trashing
from memoryd.catalog.curation.wire import (
    AttestationList,
    AttestationRequest,
    AttestationShape,
    CollectedShape,
    CollectRequest,
    Decision,
    Declared,
    EmptiedShape,
    EmptyRequest,
    ImportedShape,
    ImportRequest,
    MovedShape,
    ParentRequest,
    ProposalList,
    ProposalShape,
    RemovalAnswer,
    RemovalRequest,
    RemovedList,
    RemovedShape,
    Switched,
    TrashedList,
    TrashedShape,
    TrashSwitch,
)
from memoryd.catalog.looking_up import find_asset
from memoryd.catalog.proposals import ProposalState
from memoryd.catalog.removal import RemovalKind
from memoryd.catalog.wire import Changed
from memoryd.foundation.paging import CURSOR_LIMIT, PAGE_DEFAULT, PAGE_LIMIT
from memoryd.storage.blob_store import blob_store

router = APIRouter(tags=["curation"])

OneProject = Annotated[str | None, Query(description="A project's short name, where the asset belongs to several.")]
Cursor = Annotated[str | None, Query(max_length=CURSOR_LIMIT)]
Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT)]


@router.post("/assets/{ref}/attestations", status_code=201)
def attest(ref: str, asked: AttestationRequest, work: Annotator) -> Declared:
    """Declare how a picture was made. It is kept as declared, and never overrides what its file or job says."""
    asset = find_asset(work.session, ref, work.caller.sees)
    return Declared(id=attesting.attest(work.session, work.caller, asset, asked.declaration(), asked.project))


@router.get("/assets/{ref}/attestations")
def list_attestations(ref: str, work: Reader) -> AttestationList:
    """What was declared of a picture, newest first; withdrawn declarations stay listed."""
    asset = find_asset(work.session, ref, work.caller.sees)
    found = attesting.list_attestations(work.session, asset, work.caller.sees)
    return AttestationList(items=[AttestationShape.model_validate(one) for one in found])


@router.delete("/assets/{ref}/attestations/{attestation_id}", status_code=204)
def withdraw_attestation(ref: str, attestation_id: UUID, work: Annotator) -> None:
    """Take a declaration back."""
    attesting.withdraw(work.session, work.caller, find_asset(work.session, ref, work.caller.sees), attestation_id)


@router.post("/assets/{ref}/parents")
def link(ref: str, asked: ParentRequest, work: Annotator) -> Changed:
    """Say that a picture was made from another that you see."""
    child = find_asset(work.session, ref, work.caller.sees)
    parent = find_asset(work.session, asked.parent, sees_with(work.caller, Scope.READ))
    added = declaring.link(work.session, work.caller, child, parent, asked.how, note=asked.note, project=asked.project)
    return Changed(changed=[asked.how] if added else [])


@router.delete("/assets/{ref}/parents")
def unlink(
    ref: str,
    work: Annotator,
    parent: Annotated[str, Query(max_length=5_000)],
    how: str | None = None,
    project: OneProject = None,
) -> Changed:
    """Take back what people of a project said; what files and jobs say stays."""
    child = find_asset(work.session, ref, work.caller.sees)
    other = find_asset(work.session, parent, sees_with(work.caller, Scope.READ))
    return Changed(changed=declaring.unlink(work.session, work.caller, child, other, how, project=project))


@router.get("/proposals")
def list_proposals(
    work: Reader,
    state: ProposalState | None = ProposalState.OPEN,
    every: Annotated[bool, Query(alias="all", description="Decided ones too.")] = False,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> ProposalList:
    """Likenesses that were noticed, newest first."""
    page = proposals.list_proposals(
        work.session, work.caller, state=None if every else state, cursor=cursor, limit=limit
    )
    return ProposalList(items=[ProposalShape.model_validate(one) for one in page.rows], next_cursor=page.next_cursor)


@router.post("/proposals/{proposal_id}/{decision}", status_code=204)
def decide_proposal(proposal_id: UUID, decision: Decision, work: Annotator) -> None:
    """Accept a proposal, which records the parent; or refuse it, and it is never put again."""
    decide = proposals.accept if decision == "accept" else proposals.refuse
    decide(work.session, work.caller, proposal_id)


@router.post("/removals")
def remove(asked: RemovalRequest, caller: AnnotatorCaller, office: Office) -> RemovalAnswer:
    """Take pictures out of a project's sight: reject, hide; or trash, which needs the right to approve."""
    days = office.settings.removal_days
    trashes = asked.kind is RemovalKind.TRASHED
    who = person_with(caller, Scope.APPROVE) if trashes else caller
    with office.database.tenant_work(who.tenant) as session:
        assets = list(dict.fromkeys(find_asset(session, ref, who.sees) for ref in asked.refs))
        if not trashes:
            changed = removal.remove(
                session, who, assets, asked.kind, days=days, reason=asked.reason, project=asked.project
            )
            return RemovalAnswer(
                items=[MovedShape(asset_id=asset, kind=asked.kind, files=0, left=[]) for asset in changed]
            )
    moved = trashing.trash_several(office.database, who, assets, days=days, reason=asked.reason, project=asked.project)
    return RemovalAnswer(items=[MovedShape.model_validate(one) for one in moved])


@router.delete("/assets/{ref}/removal")
def restore(ref: str, caller: AnnotatorCaller, office: Office, project: OneProject = None) -> MovedShape:
    """Bring a picture back into sight, and its files out of the trash."""
    with office.database.tenant_work(caller.tenant) as session:
        asset = find_asset(session, ref, caller.sees)
    return MovedShape.model_validate(trashing.restore(office.database, caller, asset, project))


@router.get("/removals")
def list_removals(
    work: Reader, kind: RemovalKind | None = None, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT
) -> RemovedList:
    """What projects removed, newest first."""
    page = removal.list_removed(work.session, work.caller.sees, kind, cursor, limit)
    return RemovedList(items=[RemovedShape.model_validate(one) for one in page.rows], next_cursor=page.next_cursor)


@router.get("/trash")
def list_trash(work: Reader, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT) -> TrashedList:
    """Files in the trash, oldest first."""
    page = trashing.list_trash(work.session, work.caller.sees, cursor, limit)
    return TrashedList(items=[TrashedShape.model_validate(one) for one in page.rows], next_cursor=page.next_cursor)


@router.post("/trash/empty")
def empty_trash(asked: EmptyRequest, caller: AdministratorCaller, office: Office) -> EmptiedShape:
    """Delete old files in the trash for ever; bytes in the store go where nothing holds them. The record stays."""
    done = emptying.empty(
        office.database,
        blob_store(office.store),
        caller,
        older_than_days=asked.older_than_days,
        days=office.settings.removal_days,
        release=asked.release_hold,
    )
    return EmptiedShape.of(done)


@router.post("/blobs/collect")
def collect_blobs(asked: CollectRequest, caller: AdministratorCaller, office: Office) -> CollectedShape:
    """Delete bytes in the store that nothing refers to: refused uploads, small pictures of older recipes."""
    done = collecting.collect(
        office.database,
        blob_store(office.store),
        caller,
        older_than_days=asked.older_than_days,
        dry_run=asked.dry_run,
    )
    return CollectedShape.model_validate(done)


@router.put("/trash/roots")
def switch_trash(asked: TrashSwitch, work: Administrator) -> Switched:
    """Allow, or no longer allow, that files of a watched folder are moved into its trash."""
    return Switched(root_id=trashing.switch(work.session, work.caller, asked.root, on=asked.on), on=asked.on)


@router.post("/imports")
def take_over(asked: ImportRequest, work: Annotator, office: Office) -> ImportedShape:
    """Take over tags, ratings, favourites and collections of another gallery, or of XMP. What is here is never changed."""
    done = importing.take_over(
        work.session,
        work.caller,
        asked.source,
        [file.file() for file in asked.files],
        days=office.settings.removal_days,
        project=asked.project,
        dry_run=asked.dry_run,
    )
    return ImportedShape.model_validate(done)
