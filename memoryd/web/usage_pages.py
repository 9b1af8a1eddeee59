"""Usage: what jobs cost, summed as a producer bills it, and as a file for a spreadsheet."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from memoryd.access.facts import Caller
from memoryd.access.guards import Reader
from memoryd.access.projects import list_projects
from memoryd.dispatch.usage import UsageSum
from memoryd.foundation.database import Session
from memoryd.foundation.errors import MemorydError
from memoryd.submission.usage.summing import Answer, Question, sum_usage
from memoryd.web.rendering import page

BY = ("project", "person", "pool", "model", "worker", "day", "month", "outcome", "kind")
"""What the page sums by, one or two at once."""

COLUMNS = (
    *("runs", "jobs", "succeeded", "failed", "lost", "cancelled", "gpu_s", "executing_s", "loading_s", "loads"),
    *("waited_s", "waited_p50_s", "waited_p95_s"),
)

FORMULA_SIGNS = ("=", "+", "-", "@", "\t")
"""A cell that begins so would be run by a spreadsheet. Source: OWASP, CSV injection."""

router = APIRouter()
_Word = Annotated[str, Query(max_length=1_000)]


def _question(by: str, then: str, since: str, until: str, words: str, project: str, person: str) -> Question:
    keys = tuple(dict.fromkeys(key for key in (by, then) if key))
    return Question(
        by=keys,
        since=since.strip() or None,
        until=until.strip() or None,
        words=words.strip() or None,
        project=project or None,
        person=person.strip() or None,
    )


@router.get("/usage")
def show_usage(
    request: Request,
    work: Reader,
    by: _Word = "project",
    then: _Word = "",
    since: _Word = "",
    until: _Word = "",
    words: _Word = "",
    project: _Word = "",
    person: _Word = "",
) -> Response:
    """What jobs cost, by what is asked for; a question that cannot be answered is shown with its next step."""
    question = _question(by, then, since, until, words, project, person)
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
def usage_file(
    work: Reader,
    by: _Word = "project",
    then: _Word = "",
    since: _Word = "",
    until: _Word = "",
    words: _Word = "",
    project: _Word = "",
    person: _Word = "",
) -> Response:
    """The same as a file. Raises: as sum_usage."""
    question = _question(by, then, since, until, words, project, person)
    answer = sum_usage(work.session, work.caller, question, now=datetime.datetime.now(datetime.UTC))
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    writer.writerow([*question.by, *COLUMNS])
    writer.writerows(_cells(row) for row in answer.rows)
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


def _cells(row: UsageSum) -> Iterable[object]:
    for key in row.key:
        text = "" if key is None else key
        yield f"'{text}" if text.startswith(FORMULA_SIGNS) else text
    for name in COLUMNS:
        value = getattr(row, name)
        yield round(value, 3) if isinstance(value, float) else value
