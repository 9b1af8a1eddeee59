"""All pages of the server, under one content security policy."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from memoryd.web import (
    asset_pages,
    bom_pages,
    canary_pages,
    clearance_pages,
    clearance_panel,
    deciding_pages,
    enlargement_pages,
    environment_pages,
    group_pages,
    identify_pages,
    intake_pages,
    job_pages,
    licence_pages,
    making_pages,
    model_pages,
    plan_pages,
    proof_pages,
    queue_pages,
    recall_pages,
    search_pages,
    sign_in_pages,
    submit_pages,
    usage_pages,
    variation_pages,
    verify_pages,
    worker_pages,
)
from memoryd.web.page_policy import PagePolicy
from memoryd.web.rendering import STATIC, page

PAGES = (
    search_pages,
    asset_pages,
    deciding_pages,
    making_pages,
    plan_pages,
    enlargement_pages,
    variation_pages,
    proof_pages,
    queue_pages,
    job_pages,
    group_pages,
    worker_pages,
    environment_pages,
    model_pages,
    recall_pages,
    bom_pages,
    canary_pages,
    clearance_pages,
    clearance_panel,
    licence_pages,
    submit_pages,
    usage_pages,
    verify_pages,
    identify_pages,
    intake_pages,
    sign_in_pages,
)


def add_pages(app: FastAPI) -> None:
    """Add every page, the static files, and the policy that each answer outside the API's own docs carries."""
    for pages in PAGES:
        app.include_router(pages.router, include_in_schema=False)

    @app.get("/docs", include_in_schema=False)
    def api_docs(request: Request) -> Response:
        """The API, to read and to try; from our own files, since a studio's network may have no way out."""
        return page(request, "api.html")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    app.add_middleware(PagePolicy)
