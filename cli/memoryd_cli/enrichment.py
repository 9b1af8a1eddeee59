"""`enrich`: thumbnails, digests, fingerprints, posters and traits of what lacks them, or made again."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from memoryd_cli.client import server
from memoryd_cli.output import as_json, console, say

POLL_S = 0.5


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(enrich)


def enrich(
    redo: Annotated[
        list[str] | None, typer.Option("--redo", help="Recipe to do again: `thumbnail@2`, `fingerprint`, `poster` …")
    ] = None,
    asset: Annotated[list[str] | None, typer.Option("--asset", help="Only this asset: id, SHA-256 or path.")] = None,
    query: Annotated[str | None, typer.Option("--query", help="Only what this search finds.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow it to its end; without, it goes on by itself.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Derive what assets lack (thumbnails, digests, fingerprints), or recipes again. Ctrl-C only stops looking on."""
    order = server().post("/enrichments", json={"redo": redo or [], "assets": asset or [], "query": query})
    if wait:
        try:
            order = _follow(order, quiet=json)
        except KeyboardInterrupt:
            say(f"it goes on by itself: {order['left']} left")
            raise typer.Exit(130) from None
    if json:
        as_json(order)
        return
    what = ", ".join(order["recipes"])
    if not order["subjects"]:
        say("nothing lacks anything" if not redo else "there is nothing to do it for")
    elif order["left"]:
        say(f"{order['subjects']} queued: {what}. `memoryd work` or `memoryd up` does it")
    else:
        say(f"{order['done']} done, {order['given_up']} given up: {what}")
        if order["given_up"]:
            say("Next: memoryd doctor tells why; offline folders are the usual reason")


def _follow(order: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("deriving", total=order["subjects"], completed=order["done"])
        while order["left"]:
            time.sleep(POLL_S)
            order = server().get(f"/enrichments/{order['id']}")
            progress.update(task, completed=order["done"] + order["given_up"])
    return order
