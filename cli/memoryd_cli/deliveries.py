"""`deliveries`: what is handed to a client at one time."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table
from memoryd_cli.search import AsJson

Delivery = Annotated[str, typer.Argument(metavar="DELIVERY", help="A delivery's name or id.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    deliveries = typer.Typer(help="What is handed to a client at one time.", no_args_is_help=True)
    deliveries.command("create")(create)
    deliveries.command("add")(add)
    deliveries.command("list")(list_deliveries)
    deliveries.command("show")(show)
    deliveries.command("freeze")(freeze)
    app.add_typer(deliveries, name="deliveries")


def create(
    name: Delivery,
    project: Annotated[str, typer.Option("--project", "-p", help="Whose assets it holds.")],
    client: Annotated[str | None, typer.Option("--client", help="To whom; else the project's client.")] = None,
    json: AsJson = False,
) -> None:
    """Begin a delivery of a project."""
    made = server().post("/deliveries", json={"name": name, "project": project, "client": client})
    if json:
        as_json(made)
        return
    say(f"{made['name']} ({made['id']})")
    say(f"Next: memoryd deliveries add {made['id']} ASSET …, then memoryd clearance check --delivery {made['id']}")


def add(
    delivery: Delivery,
    assets: Annotated[list[str] | None, typer.Argument(metavar="ASSET…", help="Ids, SHA-256 or paths.")] = None,
    query: Annotated[str | None, typer.Option("--query", help="All that this search finds.")] = None,
    json: AsJson = False,
) -> None:
    """Add assets of the delivery's project."""
    done = server().post(f"/deliveries/{_named(delivery)}/items", json={"assets": assets or [], "query": query})
    if json:
        as_json(done)
    else:
        say(f"{done['added']} added")


def list_deliveries(
    project: Annotated[str | None, typer.Option("--project", "-p", help="Only this project's.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Continue where a page ended.")] = None,
    json: AsJson = False,
) -> None:
    """Show deliveries, newest first."""
    page = server().get("/deliveries", project=project, cursor=cursor)
    if json:
        as_json(page)
        return
    if not page["items"] and cursor is None:
        say("there is no delivery")
        say("Next: memoryd deliveries create NAME --project PROJECT")
        return
    rows = [
        [one["id"], one["name"], one["project"], one["client"], one["items"], one["state"], one["created_at"]]
        for one in page["items"]
    ]
    table(["id", "name", "project", "client", "assets", "state", "begun"], rows)
    if page["next_cursor"]:
        say(f"More: add --cursor {page['next_cursor']}")


def show(delivery: Delivery, json: AsJson = False) -> None:
    """Show a delivery; `memoryd clearance check --delivery` tells what it may be used for."""
    found = server().get(f"/deliveries/{_named(delivery)}")
    if json:
        as_json(found)
        return
    say(f"{found['name']} ({found['id']}), {found['state']}")
    say(f"project {found['project']}, client {found['client'] or 'not named'}, {found['items']} assets")


def freeze(delivery: Delivery, json: AsJson = False) -> None:
    """Note that it was handed over: nothing is added any more."""
    found = server().post(f"/deliveries/{_named(delivery)}/freeze")
    if json:
        as_json(found)
    else:
        say(f"{found['name']} is {found['state']}: {found['items']} assets")


def _named(delivery: str) -> str:
    return quote(delivery, safe="")
