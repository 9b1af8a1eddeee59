"""`projects policy` and `clearance requests|approve|refuse`: what is done with the verdicts on a job's models."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept, and told to whoever waits.")]
Request = Annotated[str, typer.Argument(metavar="REQUEST", help="Id of the request, as `clearance requests` shows it.")]
LISTED = 500
"""Rows that are listed at most, the newest."""
_ACTIONS = "pass, warn, ask or refuse."


def register_on_projects(projects: typer.Typer) -> None:
    """Add what is about one project's policy."""
    projects.command("policy")(policy)


def register_on_clearance(clearance: typer.Typer) -> None:
    """Add what is about approvals."""
    clearance.command("requests")(requests)
    clearance.command("approve")(approve)
    clearance.command("refuse")(refuse)


def policy(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="Slug of the project.")],
    use: Annotated[str | None, typer.Option(help="internal, client-delivery, advertising, resale or training.")] = None,
    territories: Annotated[
        list[str] | None, typer.Option("--territory", help="A country (DE), EU or world; repeatable.")
    ] = None,
    client: Annotated[str | None, typer.Option(help="For whom; empty for nobody.")] = None,
    on_review: Annotated[str | None, typer.Option(help=f"Terms that a person has to read: {_ACTIONS}")] = None,
    on_unknown: Annotated[str | None, typer.Option(help=f"Terms that nobody knows: {_ACTIONS}")] = None,
    on_block: Annotated[str | None, typer.Option(help=f"Terms that forbid it: {_ACTIONS}")] = None,
    ask_role: Annotated[str | None, typer.Option(help="Who is asked: producer, officer or admin.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is set so.")] = None,
    versions: Annotated[bool, typer.Option("--versions", help="Show every version it ever had.")] = False,
    json: AsJson = False,
) -> None:
    """Show what a project does with the licence verdicts on its jobs, or set the next version of it."""
    at = f"/projects/{quote(project, safe='')}/policy"
    asked = {
        "use": use,
        "territories": territories or None,
        "client": client,
        "on_review": on_review,
        "on_unknown": on_unknown,
        "on_block": on_block,
        "ask_role": ask_role,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if versions:
        _say_versions(server().listed(f"{at}/versions", limit=LISTED)["items"], json=json)
        return
    found = server().put(at, json={**given, "reason": reason or ""}) if given or reason else server().get(at)
    if json:
        as_json(found)
        return
    _say_policy(project, found)


def requests(
    request: Annotated[str | None, typer.Argument(metavar="[REQUEST]", help="One of them, with its clauses.")] = None,
    project: Annotated[str | None, typer.Option(help="Only of this project.")] = None,
    state: Annotated[str, typer.Option(help="asked, approved, refused, or all.")] = "asked",
    json: AsJson = False,
) -> None:
    """List what waits for an approval, or show one request with the clauses that decided."""
    if request is not None:
        found = server().get(f"/clearance/requests/{quote(request, safe='')}")
        if json:
            as_json(found)
        else:
            _say_request(found)
        return
    items = server().listed(
        "/clearance/requests", limit=LISTED, project=project, state=None if state == "all" else state
    )["items"]
    if json:
        as_json({"items": items})
        return
    rows = [(r["id"], r["project"], r["verdict"], r["state"], r["waiting"], ", ".join(r["asked_by"])) for r in items]
    table(("request", "project", "verdict", "state", "jobs", "asked by"), rows)
    if any(r["may_decide"] and r["state"] == "asked" for r in items):
        say("Next: memoryd clearance requests REQUEST shows the clauses, then approve or refuse it with --reason")


def approve(
    request: Request,
    reason: Reason,
    judged: Annotated[
        str | None, typer.Option(help="The judgement that you looked at, where licences changed since it was asked.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Approve: what waits goes on, and later jobs with the same models pass until the policy or a licence changes."""
    _answer(request, "approve", {"reason": reason, "judged": judged}, json=json)


def refuse(request: Request, reason: Reason, json: AsJson = False) -> None:
    """Refuse: what waits is cancelled and says why."""
    _answer(request, "refuse", {"reason": reason}, json=json)


def _answer(request: str, verb: str, body: dict[str, Any], *, json: bool) -> None:
    found = server().post(f"/clearance/requests/{quote(request, safe='')}/{verb}", json=body)
    if json:
        as_json(found)
        return
    say(f"request {found['id']} is {found['state']}")


def _say_policy(project: str, found: dict[str, Any]) -> None:
    by = f", by {found['by']}" if found["by"] else ""
    said = (
        f"version {found['version']}{by}: {found['reason']}"
        if found["version"]
        else "none was set: this is the default"
    )
    say(f"policy of {project}, {said}")
    whom = f" for {found['client']}" if found["client"] else ""
    say(f"  use: {found['use']} in {', '.join(found['territories'])}{whom}")
    for name in ("review", "unknown", "block"):
        action = found[f"on_{name}"]
        say(f"  on {name}: {action}" + (f" a {found['ask_role']}" if action == "ask" else ""))
    say("  a recalled model is always refused")


def _say_versions(items: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        as_json({"items": items})
        return
    table(
        ("version", "use", "review", "unknown", "block", "asks", "by", "reason"),
        [
            (
                p["version"],
                p["use"],
                p["on_review"],
                p["on_unknown"],
                p["on_block"],
                p["ask_role"],
                p["by"],
                p["reason"],
            )
            for p in items
        ],
    )


def _say_request(found: dict[str, Any]) -> None:
    say(f"request {found['id']} in {found['project']}: {found['state']}, {found['verdict']} for {found['use']}")
    say(
        f"  asked by {', '.join(found['asked_by']) or 'the server'}, of a {found['ask_role']}; {found['waiting']} jobs wait"
    )
    for model in found["models"]:
        say(f"  {model['role']}/{model['name']}  {(model['sha256'] or 'no hash')[:12]}")
    for clause in found["clauses"]:
        where = " ".join(part for part in (clause["licence"], clause["section"]) if part)
        say(f"  {clause['verdict']}: {clause['model_name']}: {clause['says']}" + (f" [{where}]" if where else ""))
    now = found.get("now")
    if now:
        say(
            f"licences, facts or the policy changed since it was asked: {now['verdict']} now, the policy says {now['action']}"
        )
        for clause in now["clauses"]:
            say(f"  {clause['verdict']}: {clause['model_name']}: {clause['says']}")
        for recall in now["recalls"]:
            say(f"  {recall}")
    if found["decided_by"] or found["reason"]:
        say(f"  {found['state']} by {found['decided_by'] or 'the server'}: {found['reason']}")
    elif found["may_decide"]:
        seen = f" --judged {now['judged']}" if now else ""
        say(f"Next: memoryd clearance approve {found['id']} --reason …{seen}")
        say(f"  or: memoryd clearance refuse {found['id']} --reason …")
