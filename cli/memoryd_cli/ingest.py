"""`ingest`, `quarantine`: taking files in, and the files that could not be read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from memoryd.catalog.facts import Custody
from memoryd.foundation.errors import MemorydError
from memoryd_cli.client import server
from memoryd_cli.output import as_json, console, fail, say, table
from memoryd_cli.whole_ids import whole_id

POLL_S = 0.2
RUNNING = ("looking", "reading")
RESUMED = ("interrupted", "stopped")
"""States of takings-in that did not come to their end, though nothing was wrong with them."""

quarantine_app = typer.Typer(help="Files that could not be read, and why.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class IngestFailed(MemorydError):
    """Taking in stopped with an error."""


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(ingest)
    app.add_typer(quarantine_app, name="quarantine")


def ingest(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders on the server's machine.")] = None,
    project: Annotated[str | None, typer.Option(help="Project they belong to.")] = None,
    custody: Annotated[
        Custody, typer.Option(help="`reference` remembers where they lie; `keep` copies them into the store.")
    ] = Custody.REFERENCE,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it would mean, and the space it takes.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with those that were interrupted.")] = False,
    runs: Annotated[bool, typer.Option("--runs", help="Show the newest ones and how far they are.")] = False,
    json: Json = False,
) -> None:
    """Take in files and folders. Safe to stop with Ctrl-C: the same again, or `--resume`, goes on where it stopped."""
    if runs:
        _show_runs(json=json)
        return
    if resume:
        _resume(json=json)
        return
    if not paths:
        raise typer.BadParameter("name files or folders, or say --resume or --runs")
    request = {
        "paths": [str(path.expanduser().absolute()) for path in paths],
        "project": project,
        "custody": custody.value,
    }
    if plan:
        planned = server().post("/ingests/plan", json=request)
        if json:
            as_json(planned)
        else:
            _say_plan(planned)
        return
    _see_through(server().post("/ingests", json=request), json=json)


def _see_through(run: dict[str, Any], *, json: bool) -> None:
    try:
        run = _follow(run, quiet=json)
    except KeyboardInterrupt:
        run = _stop(run)
    if json:
        as_json(run)
    else:
        _say_outcome(run)
    if run["state"] == "failed":
        fail(IngestFailed(run["error"], hint=run["hint"]))
    if run["state"] == "stopped":
        raise typer.Exit(130)


def _resume(*, json: bool) -> None:
    interrupted = [run for run in server().get("/ingests")["items"] if run["state"] in RESUMED]
    if not interrupted:
        say("nothing was interrupted")
    for run in reversed(interrupted):
        if not json:
            say(f"going on with {', '.join(run['paths'])}")
        _see_through(server().post(f"/ingests/{run['id']}/resume"), json=json)


def _show_runs(*, json: bool) -> None:
    answer = server().get("/ingests")
    if json:
        as_json(answer)
        return
    table(
        ("id", "state", "done", "of", "files/s", "left", "new", "quarantined", "started", "paths"),
        (
            (
                run["id"],
                run["state"],
                run["done"],
                _total(run["plan"]) if run["plan"] else "",
                run["rate"],
                "" if run["seconds_left"] is None else f"{run['seconds_left']:.0f} s",
                run["new"],
                run["quarantined"],
                run["started_at"],
                ", ".join(run["paths"]),
            )
            for run in answer["items"]
        ),
    )


def _follow(run: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[rate]} files/s"), TextColumn("{task.fields[left]}")),
    )
    told = False
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("looking", total=None, rate="-", left="")
        while run["state"] in RUNNING:
            time.sleep(POLL_S)
            run = server().get(f"/ingests/{run['id']}")
            if run["plan"] is not None:
                if not told and not quiet and run["plan"]["complete"]:
                    _say_plan(run["plan"])
                    told = True
                left = run["seconds_left"]
                progress.update(
                    task,
                    description="reading" if run["plan"]["complete"] else "reading, and still finding files",
                    total=run["plan"]["to_read"],
                    completed=run["done"],
                    rate="-" if run["rate"] is None else f"{run['rate']:.0f}",
                    left="" if left is None else f"{left:.0f} s left",
                )
    return run


def _stop(run: dict[str, Any]) -> dict[str, Any]:
    run = server().delete(f"/ingests/{run['id']}")
    # The present batch is recorded whole; a second Ctrl-C leaves without waiting for it.
    while run["state"] in RUNNING:
        time.sleep(POLL_S)
        run = server().get(f"/ingests/{run['id']}")
    return run


def _total(plan: dict[str, Any]) -> str:
    # While its files are still being found, there are at least these.
    return f"{plan['to_read']}" if plan["complete"] else f"{plan['to_read']}+"


def _say_plan(plan: dict[str, Any]) -> None:
    say(f"{plan['found']} files found, {plan['known']} known, {plan['to_read']} to read ({_size(plan['size'])})")
    if plan["space_needed"] is not None:
        say(f"keeping them takes at most {_size(plan['space_needed'])}; {_size(plan['space_free'])} are free")


def _say_outcome(run: dict[str, Any]) -> None:
    say(
        f"{run['state']}: {run['new']} new, {run['known']} known, {run['quarantined']} in quarantine, "
        f"{run['vanished']} vanished, {run['findings']} findings"
    )
    if run["quarantined"]:
        say("Next: memoryd quarantine list")
    elif run["state"] == "stopped":
        say("Next: memoryd ingest --resume")
    elif run["new"]:
        say("Next: memoryd search")


def _size(size: int) -> str:
    value = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


@quarantine_app.command("list")
def list_quarantine(
    resolved: Annotated[bool, typer.Option("--all", help="Those that left quarantine, too.")] = False,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 50,
    json: Json = False,
) -> None:
    """Show the files that could not be read, newest first."""
    answer = server().get("/quarantine", resolved=resolved, limit=limit)
    if json:
        as_json(answer)
        return
    table(
        ("id", "reason", "path", "detail", "tries", "next try"),
        (
            (file["id"], file["reason"], file["path"], file["detail"], file["tries"], file["next_try_at"])
            for file in answer["items"]
        ),
    )


@quarantine_app.command("retry")
def retry(
    files: Annotated[list[str] | None, typer.Argument(help="Ids; nothing means all.")] = None, json: Json = False
) -> None:
    """Read files in quarantine again now."""
    ids = [whole_id(file, shown_by="memoryd quarantine list") for file in files or ()] or [
        file["id"] for file in _whole_quarantine()
    ]
    outcomes = [server().post(f"/quarantine/{file}/retry") for file in ids]
    if json:
        as_json({"items": outcomes})
        return
    for outcome in outcomes:
        file = outcome["file"]
        became = "recorded" if outcome["recorded"] else "gone" if outcome["vanished"] else f"still {file['reason']}"
        say(f"{file['path']}: {became}")
    if not outcomes:
        say("nothing is in quarantine")


def _whole_quarantine() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = server().get("/quarantine", cursor=cursor, limit=500)
        found += answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None:
            return found
