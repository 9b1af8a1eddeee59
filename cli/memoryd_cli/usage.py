"""`usage`: what jobs cost, by whom and what they were."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from memoryd.foundation.spreadsheet_file import write_csv
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PAGE = 500


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("usage")(usage)


def usage(
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Sum by project, person, pool, worker, model, class, outcome, kind, day or month; up to three."
        ),
    ] = None,
    since: Annotated[str | None, typer.Option(help="A date, or back from now (7d). By default 30 days.")] = None,
    until: Annotated[str | None, typer.Option(help="A date, included. By default now.")] = None,
    words: Annotated[str | None, typer.Option(help="Only jobs whose texts have all these words.")] = None,
    project: Annotated[str | None, typer.Option(help="Only this project.")] = None,
    person: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    pool: Annotated[str | None, typer.Option(help="Only this pool.")] = None,
    model: Annotated[str | None, typer.Option(help="Only jobs of this large model, as the graph names it.")] = None,
    runs: Annotated[bool, typer.Option("--runs", help="The single tries instead of sums.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for a bill or a spreadsheet.")] = False,
    json: AsJson = False,
) -> None:
    """What jobs cost: GPU seconds, waits, loads and failures."""
    asked = {
        "since": since,
        "until": until,
        "words": words,
        "project": project,
        "person": person,
        "pool": pool,
        "model": model,
    }
    if runs:
        _show_runs(asked, as_csv=as_csv, json=json)
        return
    keys = by or ["project"]
    answer = server().get("/usage", by=keys, **asked)
    if json:
        as_json(answer)
    elif as_csv:
        sums = [name for name in answer["total"] if name != "key"]
        rows = ([*map(_name, row["key"]), *[row[name] for name in sums]] for row in answer["items"])
        write_csv(sys.stdout, [*keys, *sums], rows)
    else:
        _show(answer, keys)


def _show(answer: Any, keys: list[str]) -> None:
    rows = [
        *[(*map(_name, one["key"]), one) for one in answer["items"]],
        (*("" for _ in keys[1:]), "all", answer["total"]),
    ]
    table(
        (*keys, "runs", "failed", "lost", "GPU", "loading", "loads", "wait p50", "wait p95"),
        [
            (
                *row[:-1],
                *(row[-1]["runs"], row[-1]["failed"], row[-1]["lost"], _time(row[-1]["gpu_s"])),
                *(_time(row[-1]["loading_s"]), row[-1]["loads"]),
                *(_time(row[-1]["waited_p50_s"]), _time(row[-1]["waited_p95_s"])),
            )
            for row in rows
        ],
    )
    say(f"{answer['since'][:16]} to {answer['until'][:16]} UTC")


def _show_runs(asked: dict[str, str | None], *, as_csv: bool, json: bool) -> None:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = server().get("/usage/runs", limit=PAGE, cursor=cursor, **asked)
        found += answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None or not (as_csv or json):
            break
    if json:
        as_json({"items": found})
    elif as_csv:
        columns = list(found[0]) if found else ["job_id"]
        write_csv(sys.stdout, columns, ([one[name] for name in columns] for one in found))
    else:
        table(
            ("job", "project", "person", "pool", "model", "outcome", "waited", "GPU", "ended"),
            [
                (
                    *(one["job_id"], one["project"], one["person"], one["pool"], one["model"]),
                    one["outcome"] + (f" ({one['kind']})" if one["kind"] else ""),
                    *(_time(one["waited_s"]), _time(one["gpu_s"]), one["ended_at"][:19]),
                )
                for one in found
            ],
        )
        if cursor:
            say("there are more: --csv or --json prints all of them")


def _name(key: str | None) -> str:
    return "(none)" if key in (None, "") else str(key)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"
