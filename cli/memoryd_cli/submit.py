"""`submit`: asking for pictures, one or a whole group of them."""

from __future__ import annotations

import datetime
import decimal
import json
import re
import secrets
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.foundation.canonical_json import NotJson, read_json
from memoryd.foundation.errors import NotAcceptable, NotFound, Unavailable
from memoryd_cli.client import Client, server
from memoryd_cli.groups import follow_to_end as follow_group
from memoryd_cli.groups import say_group
from memoryd_cli.jobs import EXIT_CODES, duration, follow, say_job, when_it_runs
from memoryd_cli.output import as_json, say

RANGE_LIMIT = 10_000
"""Values of one axis; the server takes as many items."""

_NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?)"
_RANGE = re.compile(rf"^{_NUMBER}\.\.{_NUMBER}(?:\.\.{_NUMBER})?$")
_RANDOM = re.compile(r"^random:([0-9]+)$")
_AGO = re.compile(r"^\+([0-9]+)(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class GraphUnreadable(NotAcceptable):
    """This file holds no graph that can be submitted."""


class FileMissing(NotFound):
    """There is no such file."""


class BadInput(NotAcceptable):
    """An input is named as `NAME=FILE`, or as `FILE`."""


class BadAxis(NotAcceptable):
    """An axis is a name and its values: `NODE.INPUT=VALUES`."""


class BadTime(NotAcceptable):
    """This is no time."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(submit)


def submit(
    graph: Annotated[Path, typer.Argument(help="Graph in API format (in ComfyUI: Export (API)).")],
    project: Annotated[str | None, typer.Option(help="Project that it is for.")] = None,
    pool: Annotated[str, typer.Option(help="Pool whose workers run it.")] = "default",
    urgency: Annotated[str, typer.Option(help="realtime, standard or batch.")] = "standard",
    name: Annotated[str | None, typer.Option(help="What to call it; by default the file's name.")] = None,
    after: Annotated[str | None, typer.Option(help="Id of a job that must succeed first.")] = None,
    at: Annotated[
        str | None, typer.Option(help="Not before: 2026-11-22T03:00+01:00, 22:30 (today or tomorrow), or +2h.")
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="An axis: 3.seed=1..50, 3.cfg=5..8..0.5, 3.seed=random:20, 6.text=@prompts.txt (its lines), "
            "3.sampler_name=euler,heun; a node by id or by title; repeatable: every combination."
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="A table: its first line names inputs, each other is an item.")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="A file the graph reads: NAME=FILE or FILE; repeatable.")
    ] = None,
    workflow: Annotated[Path | None, typer.Option(help="The editor's own format, to be kept in the pictures.")] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Let ComfyUI alone decide whether it is right.")
    ] = False,
    key: Annotated[str | None, typer.Option(help="Idempotency key: sent again, it is the same job or group.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    json_wanted: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Queue a graph, or, with --grid or --csv, a group of them.

    Exit codes with --wait: 0 succeeded, 11 cancelled, 12 expired, 13 given up (of a group: something is missing).
    """
    client = server()
    asked: dict[str, Any] = {
        "graph": read_graph(graph),
        "project": project,
        "pool": pool,
        "urgency": urgency,
        "name": name or graph.stem,
        "inputs": [_send_input(client, one) for one in inputs or []],
        "after": after,
        "starts_after": _moment(at, datetime.datetime.now().astimezone()) if at else None,
        "unchecked": unchecked,
        "key": key,
    }
    if workflow is not None:
        # Spelled by us: the text is an object's member, and ComfyUI spells it anew in any case.
        asked["extra_data"] = {"extra_pnginfo": {"workflow": read_json(read_text(workflow))}}
    if grid or csv is not None:
        asked["axes"] = [_axis(one) for one in grid or []]
        asked["csv"] = read_text(csv) if csv is not None else None
        _submit_group(client, asked, wait=wait, json_wanted=json_wanted)
        return
    job = client.post("/jobs", json=asked)
    if not json_wanted:
        say(f"job {job['id']}: {job['position']} ahead at most, {when_it_runs(job)}")
        for note in job["notes"]:
            say(f"  {note}")
    if wait:
        shown = follow(client, job["id"], quiet=json_wanted)
        if json_wanted:
            as_json(shown)
        else:
            say_job(shown)
        raise typer.Exit(EXIT_CODES.get(shown["state"], 1))
    if json_wanted:
        as_json(job)
        return
    say(f"Next: memoryd jobs watch {job['id']}")


def _submit_group(client: Client, asked: dict[str, Any], *, wait: bool, json_wanted: bool) -> None:
    # A group is many transactions: with a key, a sending that broke off is completed by sending it again.
    asked["key"] = asked["key"] or str(uuid.uuid4())
    try:
        made = client.post("/groups", json=asked)
    except Unavailable as error:
        error.hint = f"send it again with --key {asked['key']}: what is there already is not doubled"
        raise
    if not json_wanted:
        ends = made["ends"]
        when = "when it ends cannot be told" if ends is None else f"ends in about {duration(ends['p50_s'])}"
        say(f"group {made['id']}: {made['total']} items, {duration(made['cost_s'])} of work, {when}")
        for note in made["notes"]:
            say(f"  {note}")
    if wait:
        shown = follow_group(client, made["id"], quiet=json_wanted)
        if json_wanted:
            as_json(shown)
        else:
            say_group(shown)
        raise typer.Exit(EXIT_CODES["dead"] if shown["missing"] else 0)
    if json_wanted:
        as_json(made)
        return
    say(f"Next: memoryd groups watch {made['id']}")


def _axis(spelled: str) -> dict[str, Any]:
    """Return an axis as the server takes it. Raises: BadAxis, FileMissing."""
    name, separator, values = spelled.partition("=")
    if not separator or "." not in name:
        raise BadAxis(f"{spelled[:80]!r}", hint="such as --grid 3.seed=1..50 or --grid 6.text=@prompts.txt")
    return {"input": name, "values": axis_values(values)}


def axis_values(spelled: str) -> list[Any]:
    """Return the values of an axis: a range, random seeds, the lines of a file, or those that are named.

    Raises: BadAxis, FileMissing, GraphUnreadable.
    """
    if spelled.startswith("@"):
        lines = [line for line in read_text(Path(spelled[1:])).splitlines() if line.strip()]
        if not lines:
            raise BadAxis(f"{spelled[1:]} has no lines", hint="write one value on each line")
        return lines
    random = _RANDOM.match(spelled)
    if random:
        count = int(random[1])
        if not 1 <= count <= RANGE_LIMIT:
            raise BadAxis(f"{count} random values", hint=f"1 to {RANGE_LIMIT}")
        # As texts: nobody on the way may round them.
        return [str(secrets.randbits(64)) for _ in range(count)]
    found = _RANGE.match(spelled)
    if found:
        return _range(spelled, found[1], found[2], found[3])
    return spelled.split(",")


def _range(spelled: str, first: str, last: str, step: str | None) -> list[Any]:
    try:
        low, high, by = decimal.Decimal(first), decimal.Decimal(last), decimal.Decimal(step or 1)
    except decimal.InvalidOperation:
        raise BadAxis(f"{spelled!r}", hint="a range is 1..50, or 5..8..0.5 with its step") from None
    if by == 0 or (high - low) / by < 0 or (high - low) / by >= RANGE_LIMIT:
        raise BadAxis(f"{spelled!r}", hint=f"a range has 1 to {RANGE_LIMIT} values, and its step leads to its end")
    values = [low + by * number for number in range(int((high - low) / by) + 1)]
    whole = all(value == value.to_integral_value() for value in values)
    return [str(int(value)) if whole else float(value) for value in values]


def _moment(spelled: str, now: datetime.datetime) -> str:
    """Return a moment with its zone. `now` has the zone of this machine. Raises: BadTime."""
    ahead = _AGO.match(spelled)
    if ahead:
        return (now + datetime.timedelta(seconds=int(ahead[1]) * _SECONDS[ahead[2]])).isoformat()
    try:
        if "-" not in spelled:
            clock = datetime.time.fromisoformat(spelled)
            moment = now.replace(hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0)
            return (moment if moment > now else moment + datetime.timedelta(days=1)).isoformat()
        moment = datetime.datetime.fromisoformat(spelled)
    except ValueError:
        hint = "such as 2026-11-22T03:00+01:00, 22:30, or +2h"
        raise BadTime(f"{spelled[:40]!r}", hint=hint) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)).isoformat()


def read_graph(path: Path) -> str:
    """Return the text of a file that holds a graph in API format. Raises: GraphUnreadable, FileMissing."""
    text = read_text(path)
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


def read_text(path: Path) -> str:
    """Return the text of a file. Raises: FileMissing; GraphUnreadable where it is not UTF-8."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GraphUnreadable(f"{path} is not UTF-8 text: byte {error.start}", hint="save it as UTF-8") from None
    except OSError as error:
        raise FileMissing(f"{path}: {error.strerror}", hint="name a file that is there") from None


def _send_input(client: Client, named: str) -> dict[str, Any]:
    name, separator, rest = named.partition("=")
    path = Path(rest if separator else name)
    if not path.is_file():
        raise BadInput(f"{named!r}: {path} is no file", hint="--input photo.png=/path/to/photo.png")
    stored = client.upload("/inputs", path)
    return {"name": name if separator else path.name, **stored}
