"""`clients`: for whom projects work, and what licences ask about them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from memoryd_cli.clearance import Forget, Revenue, Seat, Users, party, show_party
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table
from memoryd_cli.search import AsJson

Client = Annotated[str, typer.Argument(metavar="CLIENT", help="A client's name or id.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    clients = typer.Typer(help="For whom projects work, and what licences ask about them.", no_args_is_help=True)
    clients.command("add")(add)
    clients.command("list")(list_clients)
    clients.command("show")(show)
    clients.command("set")(change)
    app.add_typer(clients, name="clients")


def add(name: Client, revenue: Revenue = None, users: Users = None, seat: Seat = None, json: AsJson = False) -> None:
    """Record a client; what is not told of it asks for reviews."""
    made = server().post("/clients", json={"name": name, **party(revenue, users, seat, None)})
    if json:
        as_json(made)
        return
    say(f"{made['name']} ({made['id']})")
    say(f"Next: memoryd clients set {made['name']!r} --project PROJECT lets a project work for it")


def list_clients(json: AsJson = False) -> None:
    """Show the clients of which you see a project or a delivery."""
    found = server().get("/clients")
    if json:
        as_json(found)
        return
    if not found["items"]:
        say("no client is known")
        say("Next: memoryd clients add NAME --revenue USD --seat DE")
        return
    rows = [
        [
            one["name"],
            one["facts"]["revenue_usd"],
            one["facts"]["users"],
            ", ".join(one["facts"]["seats"]),
            " ".join(one["projects"]),
        ]
        for one in found["items"]
    ]
    table(["client", "revenue (usd)", "users", "seat", "projects"], rows)


def show(name: Client, json: AsJson = False) -> None:
    """Show a client with what is told of it."""
    found = server().get(f"/clients/{quote(name, safe='')}")
    if json:
        as_json(found)
        return
    say(f"{found['name']} ({found['id']})")
    show_party(found["facts"])
    say(f"projects: {', '.join(found['projects']) or 'none'}")


def change(
    name: Client,
    revenue: Revenue = None,
    users: Users = None,
    seat: Seat = None,
    forget: Forget = None,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="This project works for it from now on.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Change what is told of a client, or let a project work for it; its verdicts are looked at again."""
    asked = party(revenue, users, seat, forget) | ({"project": project} if project else {})
    found = server().patch(f"/clients/{quote(name, safe='')}", json=asked)
    if json:
        as_json(found)
        return
    say(found["name"])
    show_party(found["facts"])
