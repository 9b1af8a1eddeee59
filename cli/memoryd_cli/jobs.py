"""`submit`, `jobs`, `queue`: asking for pictures, and following what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.foundation.canonical_json import NotJson, read_json
from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd_cli.client import Client, server
from memoryd_cli.output import as_json, console, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

EXIT_CODES = {"succeeded": 0, "cancelled": 11, "expired": 12, "dead": 13}
"""Of `submit --wait`, by how the job ended."""


class GraphUnreadable(NotAcceptable):
    """This file holds no graph that can be submitted."""


class FileMissing(NotFound):
    """There is no such file."""


class BadInput(NotAcceptable):
    """An input is named as `NAME=FILE`, or as `FILE`."""


def register(app: typer.Typer) -> None:
    """Add the commands about jobs."""
    app.command()(submit)
    jobs = typer.Typer(no_args_is_help=True, help="Jobs: what was asked for and what became of it.")
    jobs.command("list")(list_jobs)
    jobs.command("show")(show_job)
    jobs.command("follow")(follow_job)
    jobs.command("cancel")(cancel_job)
    jobs.command("dead")(list_dead)
    jobs.command("replay")(replay_job)
    app.add_typer(jobs, name="jobs")
    app.command()(queue)


def submit(
    graph: Annotated[Path, typer.Argument(help="Graph in API format (in ComfyUI: Export (API)).")],
    project: Annotated[str | None, typer.Option(help="Project that it is for.")] = None,
    pool: Annotated[str, typer.Option(help="Pool whose workers run it.")] = "default",
    urgency: Annotated[str, typer.Option(help="realtime, standard or batch.")] = "standard",
    name: Annotated[str | None, typer.Option(help="What to call it; by default the file's name.")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="A file the graph reads: NAME=FILE or FILE; repeatable.")
    ] = None,
    workflow: Annotated[Path | None, typer.Option(help="The editor's own format, to be kept in the pictures.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: sent again, it is the same job.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    json_wanted: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Queue a graph. Exit codes with --wait: 0 succeeded, 11 cancelled, 12 expired, 13 given up."""
    client = server()
    asked: dict[str, Any] = {
        "graph": _read_graph(graph),
        "project": project,
        "pool": pool,
        "urgency": urgency,
        "name": name or graph.stem,
        "inputs": [_send_input(client, one) for one in inputs or []],
        "key": key,
    }
    if workflow is not None:
        # Spelled by us: the text is an object's member, and ComfyUI spells it anew in any case.
        asked["extra_data"] = {"extra_pnginfo": {"workflow": read_json(_text(workflow))}}
    job = client.post("/jobs", json=asked)
    if wait:
        shown = _follow(client, job["id"], quiet=json_wanted)
        if json_wanted:
            as_json(shown)
        else:
            _say_job(shown)
        raise typer.Exit(EXIT_CODES.get(shown["state"], 1))
    if json_wanted:
        as_json(job)
        return
    starts = "no worker is online" if job["starts_in_s"] is None else f"starts in about {job['starts_in_s']:g} s"
    say(f"job {job['id']}: {job['position']} ahead, {starts}")
    say(f"Next: memoryd jobs follow {job['id']}")


def list_jobs(
    project: Annotated[str | None, typer.Option(help="Only this project's.")] = None,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    page = server().get("/jobs", project=project, state=state, limit=limit)
    if json:
        as_json(page)
        return
    table(
        ["id", "name", "state", "progress", "worker", "asked"],
        (
            (one["id"], one["name"], one["state"], _percent(one["progress"]), one["worker"] or "", one["created_at"])
            for one in page["items"]
        ),
    )


def show_job(job: Annotated[str, typer.Argument(help="Id of the job.")], json: AsJson = False) -> None:
    """Show a job: where it stands, and how it ended."""
    shown = server().get(f"/jobs/{job}")
    if json:
        as_json(shown)
    else:
        _say_job(shown)


def follow_job(job: Annotated[str, typer.Argument(help="Id of the job.")]) -> None:
    """Follow a job to its end. Exit codes as `submit --wait`."""
    shown = _follow(server(), job, quiet=False)
    _say_job(shown)
    raise typer.Exit(EXIT_CODES.get(shown["state"], 1))


def cancel_job(job: Annotated[str, typer.Argument(help="Id of the job.")]) -> None:
    """Cancel a job: at once where it waits, within seconds where it runs."""
    answer = server().post(f"/jobs/{job}/cancel")["answer"]
    say(
        {
            "cancelled": f"job {job} is cancelled",
            "requested": f"the worker of job {job} is asked to stop; it may still succeed before",
            "ended": f"job {job} had ended before",
        }[answer]
    )


def list_dead(json: AsJson = False) -> None:
    """List jobs that were given up, and why."""
    page = server().get("/jobs/dead")
    if json:
        as_json(page)
        return
    table(["id", "given up", "reason"], ((one["id"], one["at"], one["reason"]) for one in page["items"]))


def replay_job(job: Annotated[str, typer.Argument(help="Id of a job that was given up.")]) -> None:
    """Let a job that was given up be tried again."""
    say(f"job {job}: {server().post(f'/jobs/{job}/replay')['position']} ahead")


def queue(json: AsJson = False) -> None:
    """Show how busy each pool is, and who works."""
    shown = server().get("/queue")
    if json:
        as_json(shown)
        return
    table(
        ["pool", "waiting", "work s", "running", "to retry", "workers"],
        (
            (one["pool"], one["waiting"], round(one["waiting_s"]), one["running"], one["delayed"], one["workers"])
            for one in shown["pools"]
        ),
    )


def _follow(client: Client, job: str, *, quiet: bool) -> dict[str, Any]:
    """Print a job's story until it ends; return it as it stands then."""
    last = ""
    for event in client.stream(f"/jobs/{job}/events"):
        line = _line(event)
        if not quiet and line and line != last:
            last = line
            say(line)
    shown: dict[str, Any] = client.get(f"/jobs/{job}")
    return shown


def _line(event: dict[str, Any]) -> str:
    if "seq" in event:
        at = " on " + event["worker"] if event["worker"] else ""
        return f"{event['state']}{at}" + (f": {event['reason']}" if event["reason"] else "")
    if event["phase"] is None:
        return ""
    if not console.is_terminal:
        # One line per phase, not one per step: this may be somebody's log.
        return f"  {event['phase']}"
    return f"  {event['phase']} {_percent(event['progress'])}".rstrip()


def _say_job(job: dict[str, Any]) -> None:
    say(f"job {job['id']} ({job['name']}): {job['state']}")
    for failure in job["failures"]:
        error = failure.get("error") or {}
        say(
            f"  try {failure.get('attempt')}: {error.get('kind', failure.get('cause'))} {error.get('message', '')}".rstrip()
        )
    for output in (job["result"] or {}).get("outputs", []):
        say(f"  {output['filename']}  {output['sha256'][:12]}  asset {output['asset_id']}")


def _read_graph(path: Path) -> str:
    text = _text(path)
    try:
        value = read_json(text)
    except NotJson as error:
        raise GraphUnreadable(f"{path}: {error.detail}", hint="in ComfyUI choose Export (API)") from None
    if not isinstance(value, dict):
        raise GraphUnreadable(f"{path} is no JSON object", hint="in ComfyUI choose Export (API)")
    if isinstance(value.get("prompt"), dict):
        # The body of a POST /prompt, as client programs keep it.
        return json.dumps(value["prompt"])
    return text


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GraphUnreadable(f"{path} is not UTF-8 text: byte {error.start}") from None
    except OSError as error:
        raise FileMissing(f"{path}: {error.strerror}") from None


def _send_input(client: Client, named: str) -> dict[str, Any]:
    name, separator, rest = named.partition("=")
    path = Path(rest if separator else name)
    if not path.is_file():
        raise BadInput(f"{named!r}: {path} is no file", hint="--input photo.png=/path/to/photo.png")
    stored = client.upload("/inputs", path)
    return {"name": name if separator else path.name, **stored}


def _percent(progress: float | None) -> str:
    return "" if progress is None else f"{progress:.0%}"
