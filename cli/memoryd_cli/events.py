"""`events`: what happens, as it happens."""

from __future__ import annotations

import json as spelling
import sys
from typing import Annotated, Any

import typer

from memoryd_cli.client import server
from memoryd_cli.output import say


def register(app: typer.Typer) -> None:
    """Add the command about events."""
    app.command()(events)


def events(
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only these kinds: job.dead, or job.* for all that begin so. May be repeated."),
    ] = None,
    since: Annotated[
        int | None, typer.Option(min=0, help="Begin after this event's number; 0: with the oldest that is kept.")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow/--no-follow", help="Go on as things happen, or end when all that happened is told."),
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
) -> None:
    """Tell what happens to jobs, workers, assets, from now on or since an event, in order; Ctrl+C ends it."""
    client, after = server(), since if since is not None or follow else 0
    while True:
        for event in client.stream("/events", after=after, kind=kind, wait=follow):
            after = int(event["seq"])
            _tell(event, json=json)
        # A stream ends after a while, so that rights are proven anew: the next goes on where it stopped.
        if not follow:
            return


def _tell(event: dict[str, Any], *, json: bool) -> None:
    if json:
        sys.stdout.write(spelling.dumps(event, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    if event["kind"] == "missed":
        say(f"{event['seq']}  what happened before is no longer kept")
        return
    facts = " ".join(f"{name}={value}" for name, value in event["body"].items() if value not in (None, "", []))
    say(f"{event['seq']}  {event['at'][:19]}  {event['kind']}  {event['subject'] or ''}  {facts}".rstrip())
