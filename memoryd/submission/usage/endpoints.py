"""Usage over HTTP: sums, and the single tries behind them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from memoryd.access.guards import Reader
from memoryd.foundation.paging import BadCursor, decode_cursor, encode_cursor, page_size
from memoryd.submission.usage import summing, wire
from memoryd.submission.usage.summing import Question

router = APIRouter(tags=["usage"])

_Text = Annotated[str | None, Query(max_length=1_000)]


def _question(
    by: Annotated[
        Sequence[str], Query(description="project, person, pool, worker, model, class, outcome, kind, day, month")
    ] = (),
    since: Annotated[str | None, Query(description="a date, or back from now: 7d; by default 30 days")] = None,
    until: Annotated[str | None, Query(description="a date, which is included; by default now")] = None,
    words: Annotated[
        str | None, Query(max_length=1_000, description="only jobs whose texts have all these words")
    ] = None,
    project: _Text = None,
    person: _Text = None,
    pool: _Text = None,
    model: _Text = None,
) -> Question:
    return Question(
        by=tuple(by),
        since=since,
        until=until,
        words=words,
        project=project,
        person=person,
        pool=pool,
        model=model,
    )


Asked = Annotated[Question, Depends(_question)]


@router.get("/usage")
def sum_usage(work: Reader, asked: Asked) -> wire.Usage:
    """What jobs cost: GPU time, waits, loads and failures, by what is asked for. Artists see their own."""
    answer = summing.sum_usage(work.session, work.caller, asked, now=datetime.datetime.now(datetime.UTC))
    return wire.show_usage(answer, asked.by)


@router.get("/usage/runs")
def list_runs(work: Reader, asked: Asked, cursor: str | None = None, limit: int | None = None) -> wire.Runs:
    """The single tries behind the sums, newest first."""
    size = page_size(limit)
    before = decode_cursor(cursor, 1)[0] if cursor else None
    if before is not None and not isinstance(before, int):
        raise BadCursor("the cursor cannot be read", hint="start again without a cursor")
    runs, names = summing.list_runs(
        work.session,
        work.caller,
        asked,
        now=datetime.datetime.now(datetime.UTC),
        before=before,
        limit=size + 1,
    )
    more = encode_cursor(runs[size - 1].fence) if len(runs) > size else None
    return wire.Runs(items=[wire.show_run(run, names) for run in runs[:size]], next_cursor=more)
