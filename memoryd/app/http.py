"""The HTTP application: every room's router under /v1, the pages, health, and the headers that all answers carry."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute

from memoryd import __version__
from memoryd.access.guards import Offices
from memoryd.app import metrics
from memoryd.app.answer_headers import API_PREFIX, AnswerHeaders
from memoryd.app.problems import add_problem_answers, problem
from memoryd.foundation.database import Database, DatabaseDown

API_ROOMS = (
    # Before all others: models may be called anything.
    "submission.stored_models",
    "access",
    "catalog",
    "search",
    "ingest",
    "ingest.enriching",
    "clearance.recalls",
    "reports.recalls",
    "model_registry.licence_desk",
    "model_registry",
    "clearance",
    "clearance.policies",
    "disclosure",
    "reproduction",
    "reproduction.environments",
    "reproduction.canaries",
    "reproduction.from_file",
    "reproduction.plans",
    "reproduction.enlargements",
    "reproduction.variants",
    "reproduction.bundles",
    "submission",
    "submission.grouping",
    "submission.usage",
    "dispatch",
    "reports",
    "reports.bom",
    "events",
    # After all others that show something of a model: its last route takes in whatever follows /models/.
    "catalog.models",
)

ASKED_MOST = {
    ("POST", "/jobs"),
    ("POST", "/work/claim"),
    ("POST", "/work/complete"),
    ("POST", "/work/result"),
}
"""Every route that is looked at before the right one takes its time, and there are hundreds."""


def make_app(offices: Offices) -> FastAPI:
    """Return the application over these offices. Nothing is started or connected here."""
    app = FastAPI(
        title="memoryd",
        version=__version__,
        summary="The memory of a generative studio.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
    )
    app.state.offices = offices
    add_problem_answers(app)
    routers = [importlib.import_module(f"memoryd.{room}.endpoints").router for room in API_ROOMS]
    app.include_router(_asked_most(routers), prefix=API_PREFIX, include_in_schema=False)
    app.include_router(_health())
    app.include_router(metrics.router)
    for router in routers:
        app.include_router(router, prefix=API_PREFIX)
    pages = importlib.import_module("memoryd.web.pages")
    pages.add_pages(app)

    app.add_middleware(AnswerHeaders)
    return app


def _asked_most(routers: Sequence[APIRouter]) -> APIRouter:
    """Return the routes that are asked for many times a second, to be looked at before all others."""
    first = APIRouter()
    first.routes.extend(
        route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and any((method, route.path) in ASKED_MOST for method in route.methods or ())
    )
    return first


def _health() -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health")
    def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "alive", "version": __version__}

    @router.get("/ready", response_model=None)
    def ready(request: Request) -> dict[str, str] | Response:
        """The process can serve: its database answers."""
        database: Database = request.app.state.offices.database
        try:
            with database.farm_work():
                return {"status": "ready", "version": __version__}
        except DatabaseDown as error:
            return problem(503, error.title, error.detail, slug=error.slug, hint=error.hint)

    return router
