"""`jobs` and `queue`: what was asked for, and what became of it."""

from __future__ import annotations

import datetime
import time
from typing import Annotated, Any

import typer

from memoryd.foundation.errors import NotAcceptable, Unavailable
from memoryd_cli.client import AGAIN_S, Client, Patience, server
from memoryd_cli.groups import say_more
from memoryd_cli.output import as_json, console, errors, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

EXIT_CODES = {"succeeded": 0, "cancelled": 11, "expired": 12, "dead": 13}
"""Of `submit --wait`, by how the job ended."""


class NothingNamed(NotAcceptable):
    """It is not said which jobs are meant."""


def register(app: typer.Typer) -> None:
    """Add the commands about jobs."""
    jobs = typer.Typer(no_args_is_help=True, help="Jobs: what was asked for and what became of it.")
    jobs.command("list")(list_jobs)
    jobs.command("show")(show_job)
    jobs.command("watch")(watch_job)
    jobs.command("follow", hidden=True)(watch_job)
    jobs.command("cancel")(cancel_job)
    jobs.command("retry")(retry_job)
    jobs.command("move")(move_job)
    jobs.command("document")(show_document)
    jobs.command("dead")(list_dead)
    jobs.command("replay")(replay_jobs)
    jobs.command("discard")(discard_jobs)
    app.add_typer(jobs, name="jobs")
    app.command()(queue)


def list_jobs(
    project: Annotated[str | None, typer.Option(help="Only this project's.")] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only those that are ready, leased (they run), delayed, held, succeeded, cancelled, expired or dead."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    page = server().listed("/jobs", project=project, state=state, limit=limit)
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
    say_more(page)


def show_job(job: Annotated[str, typer.Argument(help="Id of the job.")], json: AsJson = False) -> None:
    """Show a job: where it stands, and how it ended."""
    shown = server().get(f"/jobs/{job}")
    if json:
        as_json(shown)
    else:
        say_job(shown)


def watch_job(job: Annotated[str, typer.Argument(help="Id of the job.")]) -> None:
    """Follow a job to its end. Exit codes as `submit --wait`."""
    shown = follow(server(), job, quiet=False)
    say_job(shown)
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


def retry_job(job: Annotated[str, typer.Argument(help="Id of a job that ended without a result.")]) -> None:
    """Let a job run after all: a given-up one as itself, a cancelled or expired one as a new job like it."""
    again = server().post(f"/jobs/{job}/retry")
    say(f"job {again['id']}: {again['position']} ahead at most")
    say(f"Next: memoryd jobs watch {again['id']}")


def move_job(
    job: Annotated[str, typer.Argument(help="Id of one of your jobs that waits.")],
    before: Annotated[
        str | None, typer.Option(help="Id of another of your jobs that waits: it goes before that.")
    ] = None,
    first: Annotated[bool, typer.Option("--first", help="Before all your others.")] = False,
) -> None:
    """Let one of your waiting jobs go before another of yours, or before all of them. Nobody else's place changes."""
    if (before is None) is not first:
        raise NothingNamed("neither a place nor two", hint="give --before JOB, or --first")
    moved = server().post(f"/jobs/{job}/move", json={"before": before})["moved"]
    say(f"{moved} of your jobs changed places")


def show_document(job: Annotated[str, typer.Argument(help="Id of the job.")]) -> None:
    """Print a job as a document (schemas/job.v1.schema.json)."""
    as_json(server().get(f"/jobs/{job}/document"))


Pool = Annotated[str | None, typer.Option(help="Only those of this pool.")]
Since = Annotated[str | None, typer.Option(help="Only those given up since: 2026-11-21, or 2026-11-21T08:00+01:00.")]
Model = Annotated[str | None, typer.Option(help="Only those that need this large model, as their graphs name it.")]
Project = Annotated[str | None, typer.Option(help="Only this project's.")]


def list_dead(
    pool: Pool = None, since: Since = None, model: Model = None, project: Project = None, json: AsJson = False
) -> None:
    """List jobs that were given up, and why."""
    page = server().get("/jobs/dead", **_choice(pool, since, model, project))
    if json:
        as_json(page)
        return
    table(
        ["id", "pool", "given up", "reason"],
        ((one["id"], one["pool"], one["at"], one["reason"]) for one in page["items"]),
    )


def replay_jobs(
    job: Annotated[str | None, typer.Argument(help="Id of a job that was given up.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that fit, as batch work.")] = False,
    pool: Pool = None,
    since: Since = None,
    model: Model = None,
    project: Project = None,
) -> None:
    """Let a job that was given up be tried again, or all that fit."""
    if job is not None:
        say(f"job {job}: {server().post(f'/jobs/{job}/replay')['position']} ahead at most")
        return
    choice = _choice_of_many(every, pool, since, model, project)
    say(f"{server().post('/jobs/dead/replay', json=choice)['jobs']} jobs are tried again")


def discard_jobs(
    job: Annotated[str | None, typer.Argument(help="Id of a job that was given up.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that fit.")] = False,
    pool: Pool = None,
    since: Since = None,
    model: Model = None,
    project: Project = None,
) -> None:
    """Give a given-up job up for good, or all that fit: they no longer count as waiting for somebody to look."""
    if job is not None:
        server().post(f"/jobs/{job}/discard")
        say(f"job {job} is discarded")
        return
    choice = _choice_of_many(every, pool, since, model, project)
    say(f"{server().post('/jobs/dead/discard', json=choice)['jobs']} jobs are discarded")


def _choice_of_many(every: bool, pool: str | None, since: str | None, model: str | None, project: str | None) -> Any:
    choice = _choice(pool, since, model, project)
    if not every and not any(choice.values()):
        raise NothingNamed("no job and no filter", hint="name a job, or --pool, --since, --model, --project, or --all")
    return choice


def _choice(pool: str | None, since: str | None, model: str | None, project: str | None) -> dict[str, str | None]:
    return {"pool": pool, "since": _since(since), "model": model, "project": project}


def _since(spelled: str | None) -> str | None:
    if spelled is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(spelled)
    except ValueError:
        raise NothingNamed(
            f"{spelled[:40]!r} is no time", hint="such as 2026-11-21 or 2026-11-21T08:00+01:00"
        ) from None
    return (moment if moment.tzinfo is not None else moment.astimezone()).isoformat()


def queue(json: AsJson = False) -> None:
    """Show how busy each pool is, and who works."""
    shown = server().get("/queue")
    if json:
        as_json(shown)
        return
    table(
        ["pool", "waiting", "work s", "running", "held", "later", "workers"],
        (
            (
                one["pool"],
                one["waiting"],
                round(one["waiting_s"]),
                one["running"],
                one["held"],
                one["delayed"],
                one["workers"],
            )
            for one in shown["pools"]
        ),
    )


def follow(client: Client, job: str, *, quiet: bool) -> dict[str, Any]:
    """Print a job's story until it ends; return it as it stands then.

    A server that goes away meanwhile is waited for. Raises: Unavailable, where it stays away.
    """
    last, after, patience = "", 0, Patience()
    while True:
        try:
            for event in client.stream(f"/jobs/{job}/events", after=after):
                patience.heard()
                after = event.get("seq", after)
                line = _line(event)
                if not quiet and line and line != last:
                    last = line
                    say(line)
            shown: dict[str, Any] = client.get(f"/jobs/{job}")
            if shown["state"] in EXIT_CODES:
                return shown
            time.sleep(AGAIN_S)
        except Unavailable as error:
            patience.wait(error)
        except KeyboardInterrupt:
            errors.print(f"job {job} goes on without this", markup=False)
            errors.print(f"Next: memoryd jobs watch {job}, or memoryd jobs cancel {job}", markup=False)
            raise


def _line(event: dict[str, Any]) -> str:
    if "seq" in event:
        at = " on " + event["worker"] if event["worker"] else ""
        return f"{event['state']}{at}" + (f": {event['reason']}" if event["reason"] else "")
    if event.get("phase") is None:
        # Nothing is under way yet, or there is a new picture to look at, which a terminal cannot show.
        return ""
    if not console.is_terminal:
        # One line per phase, not one per step: this may be somebody's log.
        return f"  {event['phase']}"
    return f"  {event['phase']} {_percent(event['progress'])}".rstrip()


def say_job(job: dict[str, Any]) -> None:
    """Print how a job stands, or how it ended."""
    say(f"job {job['id']} ({job['name']}): {job['state']}{_standing(job)}")
    for failure in job["failures"]:
        error = failure.get("error") or {}
        node = f" in node {error['node_id']} ({error.get('node_type')})" if error.get("node_id") else ""
        kind = error.get("kind", failure.get("cause"))
        # What ends a job that is not running is no try of it: what it was to follow, or somebody who discards it.
        said = "  " if kind in _NO_TRY else f"  try {failure.get('attempt')}: {kind}{node} "
        say(f"{said}{error.get('message', '')}".rstrip())
    for note in (job.get("clearance") or {}).get("notes", []):
        say(f"  {note}")
    for output in (job["result"] or {}).get("outputs", []):
        say(f"  {output['filename']}  {output['sha256'][:12]}  asset {output['asset_id']}")
    if job["state"] == "dead":
        say(f"Next: memoryd jobs replay {job['id']} tries it again, memoryd jobs discard {job['id']} puts it away")


def _standing(job: dict[str, Any]) -> str:
    match job["state"]:
        case "ready" if job["position"] is not None:
            return f", {job['position']} ahead at most, {when_it_runs(job)}"
        case "held" if job["after_job_id"] and job["held_by"] == "after":
            return f", until job {job['after_job_id']} has succeeded"
        case "held" if job["held_by"] == "approval":
            return f", until somebody approves its models: memoryd clearance requests {job['waits_for']}"
        case "held" if job["held_by"]:
            return f" by {_HELD_BY.get(job['held_by'], job['held_by'])}"
        case "delayed" if job["starts_after"] and not job["failures"]:
            return f", not before {job['starts_after']}"
        case "leased":
            asked = ", asked to stop" if job["cancel_requested"] else ""
            phase = f", {job['phase']}" if job["phase"] else ""
            return f" by {job['worker']} since {job['started_at']} {_percent(job['progress'])}".rstrip() + phase + asked
    return ""


_NO_TRY = {"discarded", "predecessor-cancelled", "approval-refused"}
_HELD_BY = {"group": "the pause of its group", "project": "the pause of its project", "cap": "a full cap"}


def when_it_runs(job: dict[str, Any]) -> str:
    """Return in words when a job starts and ends."""
    if job["starts"] is None:
        return "when it starts cannot be told"
    starts, ends = job["starts"], job["ends"]
    return (
        f"starts in about {duration(starts['p50_s'])} (nine of ten: {duration(starts['p90_s'])}), "
        f"ends in about {duration(ends['p50_s'])} (nine of ten: {duration(ends['p90_s'])})"
    )


def duration(seconds: float) -> str:
    """Return seconds as people say them: `4.2 s`, `7 min`, `2 h 5 min`."""
    if seconds < 120:
        return f"{seconds:g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _percent(progress: float | None) -> str:
    return "" if progress is None else f"{progress:.0%}"
