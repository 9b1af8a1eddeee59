"""What an asset's page shows, gathered for one reader; shared by all that answers with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import cast

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.facts import Caller, Scope
from memoryd.access.roles import narrowed
from memoryd.catalog import attesting, removal
from memoryd.catalog.asset_view import AssetView, Face
from memoryd.catalog.declaring import WAYS
from memoryd.catalog.facts import Succession
from memoryd.catalog.paste_text import PasteText, RecipeNotKnown, paste_text
from memoryd.catalog.showing import show_asset
from memoryd.disclosure import disclosing
from memoryd.disclosure.facts import Undecided
from memoryd.dispatch import pools
from memoryd.dispatch.jobs import JobNotFound
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session, take_farm, take_tenant
from memoryd.foundation.ids import AssetId
from memoryd.reproduction import making
from memoryd.reproduction.facts import Cause, Reproduction, State
from memoryd.submission import viewing
from memoryd.submission.facts import JobView
from memoryd.web.attempt_words import ATTEMPT_WORDS
from memoryd.web.rendering import is_part, page

CAUSES_SHOWN = 3
"""Causes of an attempt that a list of attempts tells."""

VERIFIED_AT_ONCE_BYTES = 64 << 20
"""A file up to here is verified whenever its page is opened; a larger one when somebody asks, since all of it is read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to make the asset again. While it runs: its job, if the caller sees it, and who could do it."""

    made: Reproduction
    job: JobView | None = None
    workers: int = 0

    @property
    def causes(self) -> list[Cause]:
        """The likeliest causes; its own page has them all."""
        return [Cause.of(cast("Mapping[str, Json]", each)) for each in self.made.causes[:CAUSES_SHOWN]]


def asset_page(
    request: Request,
    session: Session,
    caller: Caller,
    asset_id: AssetId,
    *,
    said: str | None = None,
    refused: Undecided | None = None,
) -> Response:
    """Return the page of an asset, or its body alone for a page's own script.

    `said` is a short confirmation; `refused` is why something was not done, and what to do. Raises: AssetNotFound.
    """
    view = show_asset(session, asset_id, caller.sees)
    return page(
        request,
        "asset_body.html" if is_part(request) else "asset.html",
        caller=caller,
        view=view,
        view_id=asset_id,
        title=title_of(view),
        original=original_of(view),
        verified_at_once=view.present and view.size <= VERIFIED_AT_ONCE_BYTES,
        attempts=attempts_of(session, caller, asset_id),
        disclosures=disclosing.list_disclosures(session, asset_id, caller.sees),
        attestations=attesting.list_attestations(session, asset_id, caller.sees),
        removals=removal.standing(session, view.root_id, [on.project_id for on in view.annotations]),
        ways=WAYS,
        has_thumbnail=any(member.face.id == view.id and member.face.has_thumbnail for member in view.line),
        paste=_paste(session, view),
        said=said,
        refused=refused,
        **ATTEMPT_WORDS,
    )


def _paste(session: Session, view: AssetView) -> PasteText | None:
    try:
        return paste_text(session, view)
    except RecipeNotKnown:
        return None


def after_change(request: Request, session: Session, caller: Caller, asset_id: AssetId, *, said: str) -> Response:
    """Return what follows a change: the body as it is now, or, without a script, the way back to the page."""
    if not is_part(request):
        return RedirectResponse(f"/assets/{asset_id}", status_code=303)
    # Who may tag in one project reads in others too: the answer is what they read, not what they may change.
    return asset_page(request, session, narrowed(caller, Scope.READ), asset_id, said=said)


def attempts_of(session: Session, caller: Caller, asset_id: AssetId) -> list[Attempt]:
    """Return the newest attempts to make an asset again. Who may see the asset is for the caller to check."""
    made = making.list_reproductions(session, asset_id, caller.sees)
    if not any(each.state is State.RUNNING for each in made):
        return [Attempt(made=each) for each in made]
    take_farm(session)
    usable = pools.list_pools(session, tenant_id=caller.tenant.id)
    workers = {depth.pool: depth.workers for depth in pools.list_depths(session, usable, tenant_id=caller.tenant.id)}
    take_tenant(session, caller.tenant)
    return [_attempt(session, caller, each, workers) for each in made]


def _attempt(session: Session, caller: Caller, made: Reproduction, workers: dict[str, int]) -> Attempt:
    if made.state is not State.RUNNING or made.job_id is None:
        return Attempt(made=made)
    try:
        job = viewing.job_view(session, made.job_id, scope=caller.tenant, sees=caller.sees)
    except JobNotFound:
        # The asset is in a project of the caller's, the attempt was made in another.
        return Attempt(made=made)
    return Attempt(made=made, job=job, workers=workers.get(job.standing.pool, 0))


def title_of(view: AssetView) -> str:
    """Return what to call an asset: a file name it has or had, else the beginning of its SHA-256."""
    own = next((member.face.name for member in view.line if member.face.id == view.id), None)
    return own or view.sha256.hex()[:16]


def original_of(view: AssetView) -> Face | None:
    """Return what an asset is a signed copy of, or None where it is none."""
    faces = {member.face.id: member.face for member in view.line}
    for member in view.line:
        if member.face.id == view.id and member.succession is Succession.DISCLOSED and member.succeeds_id is not None:
            return faces.get(member.succeeds_id)
    return None
