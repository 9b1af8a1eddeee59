"""One job: what was asked for, how far it is, what happened to it, and what it made; and jobs that were given up."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from memoryd.access import projects
from memoryd.access.facts import Caller
from memoryd.access.guards import Office, Reader, Submitter, SubmitterCaller
from memoryd.dispatch.facts import DeadFilter
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import JobId
from memoryd.reproduction import making
from memoryd.submission import job_document, repeating, viewing
from memoryd.web.queue_pages import WORDS, done
from memoryd.web.queue_rows import faces_of, job_rows
from memoryd.web.rendering import is_part, page
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.parameters import read_parameters

SHOWN_LETTERS = 50

router = APIRouter()

Back = Annotated[str, Form(max_length=20)]


class NothingChosen(NotAcceptable):
    """It is not said which jobs are meant."""


@router.get("/queue/jobs/{job_id}")
def show_job(job_id: UUID, request: Request, work: Reader) -> Response:
    """The page of a job, or, for its own script, the part of it that changes."""
    caller = work.caller
    view = viewing.job_view(work.session, JobId(job_id), scope=caller.tenant, sees=caller.sees)
    [row] = job_rows(work.session, work.database, [view], caller)
    history = viewing.list_events(work.session, view.job_id)
    faces = faces_of(work.session, [view.result], caller)
    common = {"caller": caller, "row": row, "history": history, "faces": faces, **WORDS}
    if is_part(request):
        return page(request, "job_state.html", **common)
    document = job_document.make_document(work.session, view.job_id, scope=caller.tenant, sees=caller.sees)
    graph, _ = parse_graph(json.dumps(document.graph).encode("utf-8", "surrogatepass"))
    return page(
        request,
        "job.html",
        document=document,
        asked=read_parameters(graph) if graph is not None else None,
        nodes=len(document.graph),
        attempt=making.find_attempt_of_job(work.session, view.job_id, caller.sees),
        person=viewing.person_name(work.session, view),
        **common,
    )


@router.post("/queue/jobs/{job_id}/cancel")
def cancel(job_id: UUID, request: Request, work: Submitter, back: Back = "") -> Response:
    """Cancel a job; the page's next look shows it."""
    viewing.cancel(work.session, JobId(job_id), scope=work.caller.tenant, caller=work.caller)
    return done(request, _way(back, job_id))


@router.post("/queue/jobs/{job_id}/retry")
def retry(job_id: UUID, request: Request, work: Submitter, back: Back = "") -> Response:
    """Let a job run after all that ended without a result."""
    again = repeating.retry(
        work.session,
        JobId(job_id),
        scope=work.caller.tenant,
        caller=work.caller,
        store=work.store,
        database=work.database,
    )
    return done(request, _way(back, again.job_id))


@router.post("/queue/jobs/{job_id}/first")
def move_first(job_id: UUID, request: Request, work: Submitter, back: Back = "") -> Response:
    """Let one of one's own waiting jobs go before one's others."""
    viewing.move(work.session, JobId(job_id), before=None, scope=work.caller.tenant, caller=work.caller)
    return done(request, _way(back, job_id))


@router.post("/queue/jobs/{job_id}/discard")
def discard(job_id: UUID, request: Request, work: Submitter, back: Back = "") -> Response:
    """Give a given-up job up for good."""
    viewing.discard(work.session, JobId(job_id), scope=work.caller.tenant, caller=work.caller)
    return done(request, _way(back, job_id))


def _way(back: str, job_id: UUID) -> str:
    return {"queue": "/queue", "dead": "/queue/dead"}.get(back, f"/queue/jobs/{job_id}")


# --- given up


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which given-up jobs are meant, as they were written."""

    pool: str = ""
    model: str = ""
    project: str = ""
    since: str = ""


@router.get("/queue/dead")
def list_dead(
    request: Request,
    work: Reader,
    pool: str = "",
    model: str = "",
    project: str = "",
    since: str = "",
    cursor: str | None = None,
) -> Response:
    """Jobs that were given up, and why."""
    choice = Choice(pool=pool.strip(), model=model.strip(), project=project.strip(), since=since.strip())
    only = _filter(work.session, work.caller, choice)
    found = viewing.list_dead(work.session, work.caller, only, cursor=cursor, limit=SHOWN_LETTERS)
    views = viewing.list_these(
        work.session, [letter.job_id for letter in found.rows], scope=work.caller.tenant, sees=work.caller.sees
    )
    return page(
        request,
        "dead_list.html" if is_part(request) else "dead.html",
        caller=work.caller,
        letters=found.rows,
        views={view.job_id: view for view in views},
        choice=choice,
        narrowed=any(dataclasses.astuple(choice)),
        cursor=cursor,
        next_cursor=found.next_cursor,
        **WORDS,
    )


@router.post("/queue/dead")
def change_dead(
    request: Request,
    caller: SubmitterCaller,
    office: Office,
    do: Annotated[str, Form(pattern="^(replay|discard)$")],
    pool: Annotated[str, Form(max_length=100)] = "",
    model: Annotated[str, Form(max_length=400)] = "",
    project: Annotated[str, Form(max_length=200)] = "",
    since: Annotated[str, Form(max_length=40)] = "",
    every: Annotated[bool, Form()] = False,
) -> Response:
    """Let given-up jobs that fit be tried again as batch work, or give them up for good."""
    choice = Choice(pool=pool.strip(), model=model.strip(), project=project.strip(), since=since.strip())
    if not every and not any(dataclasses.astuple(choice)):
        raise NothingChosen("no filter", hint="choose by pool, model, project or time, or tick `all of them`")
    with office.database.tenant_work(caller.tenant) as session:
        only = _filter(session, caller, choice)
    act = viewing.replay_all if do == "replay" else viewing.discard_all
    act(office.database, only, caller=caller)
    return done(request, "/queue/dead")


def _filter(session: Session, caller: Caller, choice: Choice) -> DeadFilter:
    project_id = projects.find_project(session, choice.project, caller.sees) if choice.project else None
    return DeadFilter(
        pool=choice.pool or None,
        since=_moment(choice.since) if choice.since else None,
        model_set=choice.model or None,
        project_id=project_id,
    )


def _moment(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise NothingChosen(f"{text[:40]!r} is no time", hint="such as 2026-11-21 or 2026-11-21T08:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
