"""One picture: how it was made, what it was made from, where it lies; and what people attach to it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from memoryd.access.guards import Annotator, Approver, Reader
from memoryd.catalog import annotations as attached
from memoryd.catalog.annotations import ApprovalState
from memoryd.catalog.looking_up import find_asset
from memoryd.foundation.ids import AssetId
from memoryd.web.asset_body import after_change, asset_page

router = APIRouter()

Project = Annotated[str, Form(max_length=200)]


@router.get("/assets/{ref}")
def show(ref: str, request: Request, work: Reader) -> Response:
    """The page of an asset, by id or the first digits of its SHA-256."""
    asset_id = find_asset(work.session, ref, work.caller.sees)
    return asset_page(request, work.session, work.caller, asset_id)


@router.post("/assets/{asset}/tags")
def tag(asset: UUID, request: Request, work: Annotator, tag: Annotated[str, Form()], project: Project) -> Response:
    """Hang a tag on the picture."""
    attached.tag(work.session, work.caller, AssetId(asset), [tag], project)
    return after_change(request, work.session, work.caller, AssetId(asset), said="Tagged.")


@router.post("/assets/{asset}/tags/remove")
def untag(asset: UUID, request: Request, work: Annotator, tag: Annotated[str, Form()], project: Project) -> Response:
    """Take a tag off the picture."""
    attached.untag(work.session, work.caller, AssetId(asset), [tag], project)
    return after_change(request, work.session, work.caller, AssetId(asset), said="The tag was taken off.")


@router.post("/assets/{asset}/rating")
def rate(asset: UUID, request: Request, work: Annotator, stars: Annotated[int, Form()], project: Project) -> Response:
    """Give the picture stars; 0 takes them away."""
    attached.rate(work.session, work.caller, AssetId(asset), stars, project)
    return after_change(request, work.session, work.caller, AssetId(asset), said="Rated.")


@router.post("/assets/{asset}/notes")
def note(asset: UUID, request: Request, work: Annotator, text: Annotated[str, Form()], project: Project) -> Response:
    """Add a remark."""
    attached.note(work.session, work.caller, AssetId(asset), text, project)
    return after_change(request, work.session, work.caller, AssetId(asset), said="Noted.")


@router.post("/assets/{asset}/approval")
def approve(
    asset: UUID, request: Request, work: Approver, state: Annotated[ApprovalState, Form()], project: Project
) -> Response:
    """Approve or reject exactly this asset."""
    attached.approve(work.session, work.caller, AssetId(asset), state, project=project)
    return after_change(request, work.session, work.caller, AssetId(asset), said=f"Recorded: {state.value}.")
