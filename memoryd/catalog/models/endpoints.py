"""Models over HTTP: listed, shown, with the runs that used them, and what drifted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from memoryd.access.guards import Reader
from memoryd.catalog.models import drifting, uses
from memoryd.catalog.models.wire import (
    DriftList,
    DriftShape,
    UsedModelDetailShape,
    UsedModelList,
    UsedModelShape,
    UseList,
    UseShape,
)
from memoryd.model_registry import looking_up
from memoryd.model_registry.licensing.granting import grants_of

router = APIRouter(tags=["model_registry"])

Ref = Annotated[
    str, Path(description="a SHA-256 or its beginning, another stated hash, `folder/path`, or a file's name")
]


@router.get("/models")
def list_models(
    work: Reader,
    kind: Annotated[str | None, Query(description="checkpoint, lora, vae …")] = None,
    folder: Annotated[str | None, Query(description="only models with a present name in this folder")] = None,
    licensed: Annotated[bool | None, Query(description="false: those nobody named a licence for")] = None,
    search: Annotated[str | None, Query(description="a part of a name, a trigger word, or a version's name")] = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> UsedModelList:
    """List models, the newest first."""
    page = looking_up.list_models(
        work.session, kind=kind, folder=folder, licensed=licensed, search=search, cursor=cursor, limit=limit
    )
    sha256s = [model.sha256 for model in page.rows]
    used = uses.count_uses(work.session, sha256s, work.caller.sees)
    grants = grants_of(work.session, sha256s)
    return UsedModelList(
        items=[
            UsedModelShape.of_used(model, used.get(model.sha256, uses.Uses()), grants[model.sha256])
            for model in page.rows
        ],
        next_cursor=page.next_cursor,
    )


@router.get("/models/drift")
def list_drift(work: Reader, cursor: str | None = None, limit: int | None = None) -> DriftList:
    """List names that stood for several contents: where and when for which, and the runs that each content made."""
    page = drifting.list_drift(work.session, work.caller.sees, cursor=cursor, limit=limit)
    return DriftList(items=[DriftShape.of(one) for one in page.rows], next_cursor=page.next_cursor)


@router.get("/models/{ref:path}/generations")
def list_generations(ref: Ref, work: Reader, cursor: str | None = None, limit: int | None = None) -> UseList:
    """List the runs that used a model, as far as the caller sees them, newest first."""
    sha256 = looking_up.find_model(work.session, ref)
    page = uses.list_uses(work.session, sha256, work.caller.sees, cursor=cursor, limit=limit)
    return UseList(items=[UseShape.of(use) for use in page.rows], next_cursor=page.next_cursor)


# Last of all that begin so: a path takes in whatever follows.
@router.get("/models/{ref:path}")
def show_model(ref: Ref, work: Reader) -> UsedModelDetailShape:
    """Show everything that is known about a model."""
    sha256 = looking_up.find_model(work.session, ref)
    detail = looking_up.show_model(work.session, sha256)
    used = uses.count_uses(work.session, [sha256], work.caller.sees, most=uses.SHOWN_RUNS)
    grants = grants_of(work.session, [sha256])[sha256]
    return UsedModelDetailShape.of_used(detail, used.get(sha256, uses.Uses()), grants)
