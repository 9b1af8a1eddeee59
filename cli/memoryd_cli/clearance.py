"""`clearance`: may it be used? Verdicts, the facts that they rest on, and who approved what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.foundation.canonical_json import NotJson, read_json
from memoryd.foundation.errors import NotAcceptable
from memoryd_cli import policies
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table
from memoryd_cli.search import AsJson

EXIT_CODES = {"allow": 0, "review": 10, "unknown": 11, "block": 12}
"""What `check` ends with; the codes of errors are below. Described in docs/clearance.md."""

Use = Annotated[str | None, typer.Option("--use", help="internal, client-delivery, advertising, resale or training.")]
Territory = Annotated[
    list[str] | None, typer.Option("--territory", "-t", help="Where: DE, US, EU, world; several times, or with commas.")
]
Revenue = Annotated[int | None, typer.Option("--revenue", help="Yearly revenue in US dollars.")]
Users = Annotated[int | None, typer.Option("--users", help="Users a month of the product; 0 where there is none.")]
Seat = Annotated[
    list[str] | None, typer.Option("--seat", help="A country where it works (ISO 3166-1), or EU; several times.")
]
Forget = Annotated[
    list[str] | None, typer.Option("--forget", help="Not known any more: revenue_usd, users, seats, registered.")
]

BASIS = {
    "header": ", as the file itself says",
    "sidecar": ", as a note beside the file says",
    "known-file": ", as published for these bytes",
    "person": ", as a person here stated",
    "known-base": ", inherited from its base",
    "derived": ", inherited from what it was made of",
}
"""What a clause rests on, in words: a licence that only the file states was verified by nobody."""

ITEMS_SHOWN = 50
"""Items of a delivery that are named besides the count, the strictest first; `--json` has all."""


class NoWorkflow(NotAcceptable):
    """This is no workflow."""


def register(app: typer.Typer) -> None:
    """Add the commands about licence verdicts."""
    clearance = typer.Typer(no_args_is_help=True, help="May we use it? Licence verdicts, and who approved what.")
    clearance.command("check")(check)
    clearance.command("list")(list_verdicts)
    clearance.command("reopened")(reopened)
    clearance.command("facts")(facts)
    clearance.command("refresh")(refresh)
    policies.register_on_clearance(clearance)
    app.add_typer(clearance, name="clearance")


def check(
    asset: Annotated[str | None, typer.Argument(help="An asset: id, SHA-256 or path.")] = None,
    workflow: Annotated[
        Path | None, typer.Option("--workflow", "-w", help="A workflow (API format), before it runs.")
    ] = None,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Everything of a project.")] = None,
    delivery: Annotated[str | None, typer.Option("--delivery", "-d", help="A delivery, by name or id.")] = None,
    use: Use = None,
    territory: Territory = None,
    client: Annotated[str | None, typer.Option("--client", help="For whom; else the project's client.")] = None,
    json: AsJson = False,
) -> None:
    """May it be used so? Exit code 0 allow, 10 review, 11 unknown, 12 block."""
    found = server().post(
        "/clearance/checks",
        json={
            "asset": asset,
            "workflow": None if workflow is None else _read(workflow),
            "project": project,
            "delivery": delivery,
            "use": use,
            "territories": territory or None,
            "client": client,
        },
    )
    if json:
        as_json(found)
    else:
        show_verdict(found)
    raise typer.Exit(EXIT_CODES[found["verdict"]])


def list_verdicts(
    state: Annotated[str | None, typer.Option(help="standing, reopened or superseded.")] = None,
    kind: Annotated[str | None, typer.Option(help="asset, workflow, project or delivery.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Continue where a page ended.")] = None,
    json: AsJson = False,
) -> None:
    """Show verdicts that were kept, the last changed first."""
    _page(server().get("/clearance/verdicts", state=state, kind=kind, cursor=cursor), json=json)


def reopened(
    cursor: Annotated[str | None, typer.Option(help="Continue where a page ended.")] = None, json: AsJson = False
) -> None:
    """Show verdicts under which a licence, a grant or a fact changed, and what they come to now."""
    page = server().get("/clearance/reopened", cursor=cursor)
    if json:
        as_json(page)
        return
    rows = [
        [
            row["reopened_at"],
            row["kind"],
            row["name"],
            _occasion(row),
            row["verdict"],
            row["reopened_to"],
            row["reopened_why"],
            row["counts"].get("assets", ""),
        ]
        for row in page["items"]
    ]
    if not rows and cursor is None:
        say("no verdict was reopened")
        return
    table(["when", "kind", "what", "for", "was", "now", "why", "pictures"], rows)
    if page["next_cursor"]:
        say(f"More: add --cursor {page['next_cursor']}")


def facts(
    revenue: Revenue = None,
    users: Users = None,
    seat: Seat = None,
    registered: Annotated[
        list[str] | None,
        typer.Option("--registered", help="A licence under which the studio registered (its id); several times."),
    ] = None,
    forget: Forget = None,
    json: AsJson = False,
) -> None:
    """Show what the studio says of itself, or change it: verdicts are looked at again."""
    asked = party(revenue, users, seat, forget) | ({"registered": registered} if registered else {})
    now = server().patch("/clearance/facts", json=asked) if asked else server().get("/clearance/facts")
    if json:
        as_json(now)
        return
    show_party(now)
    if now["registered"]:
        say(f"registered under: {', '.join(now['registered'])}")


def refresh(
    project: Annotated[str | None, typer.Option("--project", "-p", help="Only this project.")] = None,
    json: AsJson = False,
) -> None:
    """Work out the verdicts of all pictures anew, by and by: of those from before there were verdicts, above all."""
    done = server().post("/clearance/refresh", project=project)
    if json:
        as_json(done)
    else:
        say(f"{done['assets']} pictures queued; `memoryd work` or `memoryd up` does it")


def party(revenue: int | None, users: int | None, seats: list[str] | None, forget: list[str] | None) -> dict[str, Any]:
    """Return the facts that a command names."""
    named = {"revenue_usd": revenue, "users": users, "seats": seats or None, "forget": forget or None}
    return {name: value for name, value in named.items() if value is not None}


def show_party(told: dict[str, Any]) -> None:
    """Print what is known of a studio or a client; what is not told is said."""
    revenue, users = told["revenue_usd"], told["users"]
    say(f"revenue: {'not told' if revenue is None else f'USD {revenue:,} a year'}")
    say(f"users:   {'not told' if users is None else f'{users:,} a month'}")
    say(f"seat:    {', '.join(told['seats']) or 'not told'}")


def show_verdict(found: dict[str, Any]) -> None:
    """Print a verdict with the clauses that decided, then the others, then what is owed."""
    asked = found["occasion"]
    whom = f" for {asked['client']}" if asked["client"] else ""
    say(f"{found['verdict']}: {asked['use']} in {', '.join(asked['territories'])}{whom}")
    for note in found["notes"]:
        say(f"  {note}")
    if found["counts"]:
        say("  " + ", ".join(f"{count} {word}" for word, count in sorted(found["counts"].items())))
    for clause in found["clauses"]:
        licence = f"{clause['licence']} {clause['section']}".strip() if clause["licence"] else "no licence known"
        if clause["term"] == "recalled":
            licence = "recalled"
        basis = BASIS.get(clause["source"] or "", "")
        say(f"{clause['verdict']:>8}  {clause['model_name']}: {licence}{basis}: {clause['says']}")
    for item in [one for one in found["items"] if one["verdict"] != "allow"][:ITEMS_SHOWN]:
        say(f"{item['verdict']:>8}  asset {item['asset_id']}")
    for duty in found["duties"]:
        say(f"    owed  {duty['model_name']}: {duty['kind']}: {duty['text']}")
    if asked["untold"]:
        say(f"not told: {', '.join(asked['untold'])}. Next: memoryd clearance facts, memoryd clients set")


def _occasion(row: dict[str, Any]) -> str:
    asked = row["occasion"]
    whom = f" for {asked['client']}" if asked["client"] else ""
    return f"{asked['use']} in {', '.join(asked['territories'])}{whom}"


def _page(page: dict[str, Any], *, json: bool) -> None:
    if json:
        as_json(page)
        return
    rows = [
        [row["at"], row["kind"], row["name"], row["verdict"], _occasion(row), row["state"]] for row in page["items"]
    ]
    if not rows:
        say("nothing was checked yet")
        say("Next: memoryd clearance check ASSET")
        return
    table(["when", "kind", "what", "verdict", "for", "state"], rows)
    if page["next_cursor"]:
        say(f"More: add --cursor {page['next_cursor']}")


def _read(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path.read_bytes())
    except NotJson:
        document = None
    if not isinstance(document, dict):
        raise NoWorkflow(str(path), hint="in ComfyUI choose Workflow > Export (API), and check that file")
    return document
