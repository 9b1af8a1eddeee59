"""`canaries`: approved pictures that workers make again, to learn whether they still make what they made."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

import typer

from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import parse_id
from memoryd_cli.client import Client, server
from memoryd_cli.output import as_json, say, table
from memoryd_cli.whole_ids import whole_id
from memoryd_cli.workers import id_of

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Project = Annotated[str, typer.Argument(metavar="PROJECT", help="Slug of the project.")]

SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
LOOK_EVERY_S = 0.5
DRIFTED_EXIT_CODE = 11
NOT_ATTEMPTED_EXIT_CODE = 12
"""As `reproduce` tells them."""
SHOWN_LIMIT = 8
"""Differences of an environment that are spelled out; of the others the number."""


class NoSpan(NotAcceptable):
    """This is no span of time."""


class NoDecision(NotAcceptable):
    """It must be said what is decided."""


def register(app: typer.Typer) -> None:
    """Add the commands about canaries."""
    canaries = typer.Typer(no_args_is_help=True, help="Do workers still make what they made?")
    canaries.command("set")(set_policy)
    canaries.command("off")(drop_policy)
    canaries.command("list")(list_canaries)
    canaries.command("show")(show)
    canaries.command("run")(run)
    canaries.command("decide")(decide)
    app.add_typer(canaries, name="canaries")


def set_policy(
    project: Project,
    every: Annotated[str | None, typer.Option(help="Time between two runs of a worker: 12h, 1d, 2w.")] = None,
    after_change: Annotated[bool, typer.Option("--after-change", help="When a worker's environment changed.")] = False,
    assets: Annotated[
        str, typer.Option(help="How many approved assets, one of each workflow; or a collection's name.")
    ] = "3",
    keep_out: Annotated[
        bool,
        typer.Option(
            "--keep-out/--only-flag", help="Whether a worker that drifts gets no reproduction work meanwhile."
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Let a project keep canaries so from now on. Off until it is said."""
    number = int(assets) if assets.isdecimal() else None
    asked: dict[str, Any] = {
        "every_s": read_span(every) if every is not None else None,
        "after_change": after_change,
        "keep_out": keep_out,
        **({"assets": number} if number is not None else {"collection": assets, "assets": 50}),
    }
    policy = server().put(f"/canaries/policies/{project}", json=asked)
    if json:
        as_json(policy)
        return
    say(f"project {project}: {_policy(policy)}")
    say(f"Next: memoryd canaries run {project} does not wait for it")


def drop_policy(project: Project) -> None:
    """Let a project keep no canaries any more. What was found stays."""
    server().delete(f"/canaries/policies/{project}")
    say(f"project {project} keeps no canaries")


def list_canaries(json: AsJson = False) -> None:
    """List who keeps canaries, which workers are in doubt, and the newest run of each worker and asset."""
    seen = server().get("/canaries")
    if json:
        as_json(seen)
        return
    for policy in seen["policies"]:
        say(f"project {policy['project']}: {_policy(policy)}")
    if not seen["policies"]:
        say("no project keeps canaries")
        say("Next: memoryd canaries set PROJECT --every 1d --after-change")
    for doubt in seen["doubts"]:
        say()
        _say_doubt(doubt)
    for other in seen["others"]:
        say()
        say(f"worker {other['worker']} is doubted by somebody else since {other['first_bad_at']}")
    if seen["runs"]:
        say()
        _table(seen["runs"])


def show(
    which: Annotated[str, typer.Argument(metavar="DOUBT|WORKER", help="Id of a doubt; id or label of a worker.")],
    json: AsJson = False,
) -> None:
    """Show a doubt with the runs that showed it, or all that canaries showed of a worker."""
    client = server()
    doubt = _doubt(client, which)
    if doubt is not None:
        if json:
            as_json(doubt)
            return
        _say_doubt(doubt)
        _table(doubt["runs"])
        return
    worker = id_of(client, which)
    found = client.get("/canaries/doubts", worker_id=worker, standing=False)
    runs = client.get("/canaries/runs", worker_id=worker)
    if json:
        as_json({"doubts": found["items"], "others": found["others"], "runs": runs["items"]})
        return
    for one in found["items"]:
        _say_doubt(one)
    for other in found["others"]:
        say(f"doubted by somebody else since {other['first_bad_at']}")
    if runs["items"]:
        _table(runs["items"])
    elif not found["items"]:
        # An id is taken as it is given: it may be nobody's.
        shown = client.get(f"/workers/{worker}")
        say(f"canaries ran nothing on worker {shown['label']} yet")


def run(
    project: Project,
    worker: Annotated[str | None, typer.Option(help="Id or label of one worker; by default all.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for what they show; the exit code tells it.")] = False,
    json: AsJson = False,
) -> None:
    """Run a project's canaries now, on each worker one at a time.

    Exit codes with --wait: 0 as before, 11 a worker drifted, 12 none drifted, but some could not be run, or none was
    due: no approved asset tells its graph, or no worker is there.
    """
    client = server()
    named = id_of(client, worker) if worker is not None else None
    asked = client.post("/canaries/runs", json={"project": project, "worker_id": named})
    runs = _open(client, project, named)
    if not runs and not asked["due"]:
        if json:
            as_json({**asked, "runs": []})
        else:
            say("nothing to run: the project has no approved asset that tells its graph, or no worker is there")
            say("Next: memoryd approve ASSET approves one; memoryd workers list shows who is there")
        if wait:
            raise typer.Exit(NOT_ATTEMPTED_EXIT_CODE)
        return
    if not wait:
        if json:
            as_json({**asked, "runs": runs})
            return
        say(f"{len(runs)} {'run is' if len(runs) == 1 else 'runs are'} due or under way")
        say("Next: memoryd canaries list shows what they showed")
        return
    ended = _wait(client, project, named, {one["id"] for one in runs})
    if json:
        as_json({**asked, "runs": ended})
    else:
        _table(ended)
    outcomes = {one["outcome"] for one in ended}
    if outcomes & {"drifted", "file drifted"}:
        raise typer.Exit(DRIFTED_EXIT_CODE)
    if "not attempted" in outcomes:
        raise typer.Exit(NOT_ATTEMPTED_EXIT_CODE)


def decide(
    doubt: Annotated[str, typer.Argument(metavar="DOUBT", help="Its id, as `memoryd canaries list` prints it.")],
    accept: Annotated[bool, typer.Option("--accept", help="What it makes now is right, and the new baseline.")] = False,
    keep_out: Annotated[bool, typer.Option("--keep-out", help="It gets no reproduction work.")] = False,
    clear: Annotated[
        bool, typer.Option("--clear", help="It is mended, or was nothing; the baseline stays as it was.")
    ] = False,
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
    json: AsJson = False,
) -> None:
    """Decide about a worker in doubt."""
    said = [word for word, meant in (("accept", accept), ("keep-out", keep_out), ("clear", clear)) if meant]
    if len(said) != 1:
        raise NoDecision(f"{len(said)} decisions", hint="name one of --accept, --keep-out, --clear")
    at = whole_id(doubt, shown_by="memoryd canaries list")
    decided = server().post(f"/canaries/doubts/{at}/decision", json={"decision": said[0], "note": note})
    if json:
        as_json(decided)
        return
    _say_doubt(decided)


def read_span(text: str) -> int:
    """Return the seconds that `12h`, `1d` or `2w` say. Raises: NoSpan."""
    match = re.fullmatch(r"(\d{1,6})\s*([mhdw])", text.strip())
    if match is None:
        raise NoSpan(repr(text), hint="write 30m, 12h, 1d or 2w")
    return int(match[1]) * SECONDS[match[2]]


def _span(seconds: int) -> str:
    word = max((unit for unit in SECONDS if seconds % SECONDS[unit] == 0), key=lambda unit: SECONDS[unit], default=None)
    return f"{seconds // SECONDS[word]}{word}" if word is not None else f"{seconds}s"


def _policy(policy: dict[str, Any]) -> str:
    times = [
        *([f"every {_span(policy['every_s'])}"] if policy["every_s"] is not None else []),
        *(["after each change of a worker's environment"] if policy["after_change"] else []),
    ]
    which = (
        f"approved assets of collection {policy['collection']!r}"
        if policy["collection"] is not None
        else f"{policy['assets']} approved assets at most, one of each workflow"
    )
    then = "kept from reproduction work until somebody decides" if policy["keep_out"] else "flagged"
    return f"{' and '.join(times)}; {which}; a worker that drifts is {then}"


def _say_doubt(doubt: dict[str, Any]) -> None:
    what = (
        "no longer makes the pixels it made"
        if doubt["reason"] == "pixels-drifted"
        else "writes other files around equal pixels"
    )
    say(f"worker {doubt['worker']} {what} (doubt {doubt['id']})")
    since = f"last good {doubt['last_good_at']}, " if doubt["last_good_at"] else "no good run of its own before, "
    say(f"  since: {since}first bad {doubt['first_bad_at']}; {doubt['bad_runs']} bad so far")
    if doubt["changed"] is False:
        say("  change: none in its environment; hardware, or a workflow that does not repeat itself")
    elif doubt["changed"] is None:
        say("  change: one of the two environments is not known")
    for one in doubt["change"][:SHOWN_LIMIT]:
        say(
            f"  change: {one['name']}: {_value(one['then'])} then, {_value(one['now'])} now (bears on {one['bearing']})"
        )
    if len(doubt["change"]) > SHOWN_LIMIT:
        say(f"  change: {len(doubt['change']) - SHOWN_LIMIT} more")
    if doubt["good_again_at"]:
        say(f"  good again since {doubt['good_again_at']}")
    if doubt["decision"]:
        say(f"  decided {doubt['decided_at']}: {doubt['decision']}{': ' + doubt['note'] if doubt['note'] else ''}")
    if doubt["closed_at"] is None:
        say(f"  {'kept from reproduction work' if doubt['keeps_out'] else 'only flagged: it gets reproduction work'}")
        say(f"  Next: memoryd canaries decide {doubt['id']} --accept | --keep-out | --clear")


def _value(value: object) -> str:
    return "none" if value in (None, [], "") else str(value)


def _table(runs: list[dict[str, Any]]) -> None:
    table(
        ["worker", "project", "asset", "outcome", "against the original", "reason", "ended", "why not"],
        (
            (
                one["worker"],
                one["project"],
                one["asset_id"],
                one["outcome"] or one["state"],
                one["verdict"] or "",
                one["reason"],
                one["ended_at"] or "",
                one["causes"][0]["detail"] if one["outcome"] == "not attempted" and one["causes"] else "",
            )
            for one in runs
        ),
    )


def _open(client: Client, project: str, worker: str | None) -> list[dict[str, Any]]:
    asked = {"project": project, **({"worker_id": worker} if worker is not None else {})}
    return [one for one in client.listed("/canaries/runs", limit=500, **asked)["items"] if one["state"] != "over"]


def _wait(client: Client, project: str, worker: str | None, ids: set[str]) -> list[dict[str, Any]]:
    while any(one["id"] in ids for one in _open(client, project, worker)):
        time.sleep(LOOK_EVERY_S)
    return [one for one in client.listed("/canaries/runs", project=project, limit=500)["items"] if one["id"] in ids]


def _doubt(client: Client, named: str) -> dict[str, Any] | None:
    """The doubt of this id, None where it names none: a worker may have it."""
    if parse_id(named) is None:
        return None
    if not any(named == one["id"] for one in client.get("/canaries/doubts", standing=False)["items"]):
        return None
    found: dict[str, Any] = client.get(f"/canaries/doubts/{named}")
    return found
