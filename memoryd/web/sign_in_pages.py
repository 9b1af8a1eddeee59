"""Signing in with a one-time link, and out again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access import audit, people, sessions
from memoryd.access.guards import AnyCaller, Office, refuse_foreign_origin
from memoryd.foundation.errors import NotRecognised
from memoryd.web.rendering import page

router = APIRouter()


@router.get(sessions.SIGN_IN_PATH)
def ask_to_sign_in(request: Request, token: str = "") -> Response:
    """A page with one button: a previewer of links that opens the address does not use the link up."""
    return page(request, "sign_in.html", token=token, caller=None, problem=None)


@router.post(sessions.SIGN_IN_PATH)
def sign_in(request: Request, office: Office, token: Annotated[str, Form()]) -> Response:
    """Use the link up and go on to the search, with a session's cookie."""
    refuse_foreign_origin(request)
    try:
        started = sessions.redeem_sign_in_link(office.database, token)
    except NotRecognised as error:
        return page(request, "sign_in.html", status=error.status, token="", caller=None, problem=error)
    with office.database.tenant_work(started.tenant) as session:
        person = people.show_person_by_id(session, started.person_id)
        caller = sessions.caller_for(session, started.tenant, started.person_id, person.login, via="session")
        audit.note(session, caller, "session.begin", str(started.person_id), {})
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(
        sessions.SESSION_COOKIE,
        started.cookie,
        max_age=int(started.life.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https" or office.settings.proxy is not None,
    )
    return answer


@router.post("/sign-out")
def sign_out(request: Request, caller: AnyCaller, office: Office) -> Response:
    """End the session."""
    cookie = request.cookies.get(sessions.SESSION_COOKIE)
    if cookie:
        with office.database.tenant_work(caller.tenant) as session:
            sessions.end_session(session, cookie)
            audit.note(session, caller, "session.end", str(caller.person_id), {})
    answer = RedirectResponse(sessions.SIGN_IN_PATH, status_code=303)
    answer.delete_cookie(sessions.SESSION_COOKIE)
    return answer
