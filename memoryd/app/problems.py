"""Errors as application/problem+json. Source: RFC 9457."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import MemorydError, NotAcceptable, NotFound
from memoryd.foundation.logging import log_for
from memoryd.web.rendering import page

PROBLEM_TYPE = "application/problem+json"
_log = log_for(__name__)

_WORDS = {"uuid_parsing": "is no id; ids are whole, such as 01a1fee5-72e6-758e-afad-b77ed022033a"}
"""What is said instead of pydantic's words on how a thing is spelled that people copy."""


class ServerFault(MemorydError):
    """The server met a fault of its own."""


def problem(status: int, title: str, detail: str, *, slug: str, hint: str | None = None, **more: Json) -> JSONResponse:
    """Return one problem as an answer. `slug` names the kind of problem for programs."""
    body: dict[str, Json] = {"type": f"about:memoryd#{slug}", "title": title, "status": status, "detail": detail}
    if hint:
        body["hint"] = hint
    body.update(more)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(body, status_code=status, media_type=PROBLEM_TYPE, headers=headers)


def add_problem_answers(app: FastAPI) -> None:
    """Let the application answer every error as a problem, also its own and the framework's."""

    @app.exception_handler(MemorydError)
    def _named(request: Request, error: MemorydError) -> Response:
        if _is_page(request):
            return _page(request, error.status, error)
        facts: dict[str, Json] = {name: _shown(value) for name, value in error.facts.items()}
        return problem(error.status, error.title, error.detail, slug=error.slug, hint=error.hint, **facts)

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        detail = f"{_where(first['loc'])}: {_WORDS.get(first['type'], first['msg'])}"
        if _is_page(request):
            return _page(request, 422, NotAcceptable(detail, hint="go back and change what was entered"))
        # What was sent is not echoed: it may be a secret.
        errors: list[Json] = [{"where": _where(each["loc"]), "message": str(each["msg"])} for each in error.errors()]
        title = "This input cannot be used."
        hint = "see /docs for what this address takes"
        return problem(422, title, detail, slug="invalid-input", errors=errors, hint=hint)

    @app.exception_handler(HTTPException)
    def _framework(request: Request, error: HTTPException) -> Response:
        if _is_page(request):
            return _page(request, error.status_code, NotFound(str(error.detail), hint="begin at the search"))
        title, asked = str(error.detail), f"{request.method} {request.url.path}"
        return problem(
            error.status_code, title, asked, slug=f"http-{error.status_code}", hint="/docs shows what can be asked"
        )

    @app.exception_handler(Exception)
    def _fault(request: Request, error: Exception) -> Response:
        _log.error("fault at %s %s", request.method, request.url.path, exc_info=error)
        if _is_page(request):
            return _page(request, 500, ServerFault(type(error).__name__, hint="the server's log tells more"))
        title = "The server met a fault of its own."
        return problem(500, title, type(error).__name__, slug="fault", hint="the server's log tells more")


def _where(place: Sequence[object]) -> str:
    return ".".join(str(part) for part in place)


def _page(request: Request, status: int, error: MemorydError) -> Response:
    return page(request, "problem.html", status=status, problem=error, caller=None)


def _is_page(request: Request) -> bool:
    # A person who follows a link gets a page; a program, and a page's own script, get the document.
    wants_page = "text/html" in request.headers.get("accept", "") and request.headers.get("HX-Request") != "true"
    return wants_page and not request.url.path.startswith("/v1/")


def _shown(value: object) -> Json:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _shown(member) for name, member in value.items()}
    return str(value)
