"""Usage: what jobs cost, summed as a producer bills it, and as a file for a spreadsheet."""

from __future__ import annotations

import dataclasses
import datetime
import io
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from memoryd.access.facts import Caller
from memoryd.access.guards import Reader
from memoryd.access.projects import list_projects
from memoryd.dispatch.usage import UsageSum
from memoryd.foundation.database import Session
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.spreadsheet_file import write_csv
from memoryd.submission.usage.summing import Answer, Question, sum_usage
from memoryd.web.rendering import page

BY = ("project", "person", "pool", "model", "worker", "day", "month", "outcome", "kind")
"""What the page sums by, one or two at once."""

SUMS = tuple(field.name for field in dataclasses.fields(UsageSum) if field.name != "key")

router = APIRouter()
_Word = Annotated[str, Query(max_length=1_000)]


def _question(
    by: _Word = "project",
    then: _Word = "",
    since: _Word = "",
    until: _Word = "",
    words: _Word = "",
    project: _Word = "",
    person: _Word = "",
) -> Question:
    keys = tuple(dict.fromkeys(key for key in (by, then) if key))
    return Question(
        by=keys,
        since=since.strip() or None,
        until=until.strip() or None,
        words=words.strip() or None,
        project=project or None,
        person=person.strip() or None,
    )


_Asked = Annotated[Question, Depends(_question)]


@router.get("/usage")
def show_usage(request: Request, work: Reader, question: _Asked) -> Response:
    """What jobs cost, by what is asked for; a question that cannot be answered is shown with its next step."""
    answer, problem = _asked(work.session, work.caller, question)
    return page(
        request,
        "usage.html",
        caller=work.caller,
        answer=answer,
        problem=problem,
        question=question,
        keys=BY,
        projects=[one.slug for one in list_projects(work.session, work.caller.sees)],
        query=request.url.query,
    )


@router.get("/usage.csv")
def usage_file(work: Reader, question: _Asked) -> Response:
    """The same as a file. Raises: as sum_usage."""
    answer = sum_usage(work.session, work.caller, question, now=datetime.datetime.now(datetime.UTC))
    written = io.StringIO(newline="")
    write_csv(
        written, [*question.by, *SUMS], ([*row.key, *(getattr(row, name) for name in SUMS)] for row in answer.rows)
    )
    return Response(
        written.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="usage.csv"', "Cache-Control": "no-store"},
    )


def _asked(session: Session, caller: Caller, question: Question) -> tuple[Answer | None, MemorydError | None]:
    try:
        return sum_usage(session, caller, question, now=datetime.datetime.now(datetime.UTC)), None
    except MemorydError as error:
        if error.status >= 500:
            raise
        return None, error
