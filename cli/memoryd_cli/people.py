"""`tenants`, `people`, `projects`, `keys`: who works here, on what, and how they prove it. `audit` is beside."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any
from urllib.parse import quote

import typer

from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.settings import Settings
from memoryd_cli import audit_trail, policies, pools
from memoryd_cli.client import local_server, server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_DURATION = re.compile(r"(\d{1,5})([hdw])")
_UNITS = {"h": datetime.timedelta(hours=1), "d": datetime.timedelta(days=1), "w": datetime.timedelta(weeks=1)}


class BadDuration(NotAcceptable):
    """This is no length of time."""


def register(app: typer.Typer) -> None:
    """Add the commands about tenants, people, projects, keys and the audit trail."""
    tenants = typer.Typer(no_args_is_help=True, help="Studios that share this installation, isolated from each other.")
    tenants.command("add")(add_tenant)
    tenants.command("list")(list_tenants)
    tenants.command("admin")(add_admin)
    pools.register_on_tenants(tenants)
    app.add_typer(tenants, name="tenants")
    people = typer.Typer(no_args_is_help=True, help="People, their roles, and how they sign in.")
    people.command("add")(add_person)
    people.command("list")(list_people)
    people.command("link")(make_link)
    people.command("erase")(erase_person)
    app.add_typer(people, name="people")
    projects = typer.Typer(no_args_is_help=True, help="What assets are made for.")
    projects.command("add")(add_project)
    projects.command("list")(list_projects)
    projects.command("place")(place_project)
    pools.register_on_projects(projects)
    policies.register_on_projects(projects)
    app.add_typer(projects, name="projects")
    keys = typer.Typer(no_args_is_help=True, help="API keys for programs.")
    keys.command("add")(add_key)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke_key)
    app.add_typer(keys, name="keys")
    audit_trail.register(app)


# --- tenants: on the server's machine, with the owner's rights


def add_tenant(
    slug: Annotated[str, typer.Argument(help="Short name: lower-case letters, digits, hyphens.")],
    name: Annotated[str | None, typer.Option(help="Name to show.")] = None,
    admin: Annotated[
        str | None, typer.Option(help="Login of its first administrator, who gets a sign-in link.")
    ] = None,
) -> None:
    """Make a tenant: its schema, its role, a default project, the local person. Runs on the server's machine."""
    from memoryd.access import directory
    from memoryd.app.connecting import owner_url

    owner = owner_url(Settings())
    scope = directory.add_tenant(owner, slug, name or slug)
    say(f"tenant {scope.slug}: schema {scope.schema}, role {scope.role}")
    if admin:
        _link_for_admin(owner, slug, admin)
    else:
        say(f"Next: MEMORYD_TENANT={slug} memoryd up …, or an administrator: memoryd tenants admin {slug} LOGIN")


def list_tenants(json: AsJson = False) -> None:
    """List the tenants of this installation. Runs on the server's machine."""
    from memoryd.access import directory
    from memoryd.app.connecting import server_database

    database = server_database(Settings())
    try:
        with database.farm_work() as session:
            found = directory.show_tenants(session)
    finally:
        database.close()
    if json:
        items = [
            {"slug": t.scope.slug, "name": t.name, "state": t.state, "schema": t.scope.schema, "at": t.created_at}
            for t in found
        ]
        as_json({"items": items})
        return
    table(("tenant", "name", "state", "schema"), [(t.scope.slug, t.name, t.state, t.scope.schema) for t in found])


def add_admin(slug: str, login: str) -> None:
    """Make somebody administrator of a tenant, and print their sign-in link. Runs on the server's machine.

    For the first administrator, and after a lock-out.
    """
    from memoryd.app.connecting import owner_url

    _link_for_admin(owner_url(Settings()), slug, login)


def _link_for_admin(owner: str, slug: str, login: str) -> None:
    from memoryd.access import directory, sessions

    settings = Settings()
    person = directory.add_admin(owner, slug, login, login)
    link = sessions.make_sign_in_link_as_owner(owner, slug, person)
    running = local_server(settings) or {}
    base = str(settings.url or running.get("url") or f"http://{settings.host}:{settings.port}").rstrip("/")
    say(f"{login} administers {slug}. Sign-in link, good once and until {link.expires_at:%Y-%m-%d %H:%M} UTC:")
    say(f"{base}{link.path}")


# --- people


def add_person(
    login: Annotated[str, typer.Argument(help="Login: a name or an address.")],
    name: Annotated[str | None, typer.Option(help="Name to show.")] = None,
    role: Annotated[str, typer.Option(help="viewer, artist, producer, officer or admin.")] = "artist",
    project: Annotated[str | None, typer.Option(help="Project the role holds in; without, in all.")] = None,
    email: Annotated[str | None, typer.Option(help="Address, kept sealed.")] = None,
    json: AsJson = False,
) -> None:
    """Record a person with a role, and print a one-time sign-in link for them."""
    body = {"login": login, "display_name": name, "role": role, "project": project, "email": email}
    person = server().post("/people", json=body)
    link = _make_link(str(person["login"]))
    if json:
        as_json({"person": person, "sign_in": link})
        return
    say(f"{person['login']}: {_roles(person)}")
    _say_link(link)


def list_people(json: AsJson = False) -> None:
    """List everybody, with their roles."""
    answer = server().get("/people")
    if json:
        as_json(answer)
        return
    table(("login", "name", "roles"), [(p["login"], p["display_name"], _roles(p)) for p in answer["items"]])


def make_link(login: str, json: AsJson = False) -> None:
    """Print a new one-time sign-in link for a person."""
    link = _make_link(login)
    if json:
        as_json(link)
        return
    _say_link(link)


def erase_person(login: str, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Erase a person for good: name, address, keys, sessions. What they did stays, and no longer says who did it."""
    if not yes:
        typer.confirm(f"Erase {login}? It cannot be undone", abort=True)
    server().delete(f"/people/{quote(login, safe='')}")
    say(f"{login} is erased")


def _make_link(login: str) -> Any:
    return server().post(f"/people/{quote(login, safe='')}/sign-in-links")


def _say_link(link: Any) -> None:
    say(f"Sign-in link, good once and until {link['expires_at'][:16].replace('T', ' ')} UTC:")
    say(str(link["url"]))


def _roles(person: Any) -> str:
    return ", ".join(r["role"] + (f" in {r['project']}" if r["project"] else "") for r in person["roles"]) or "no role"


# --- projects


def add_project(
    slug: Annotated[str, typer.Argument(help="Short name, as in `project:film`.")],
    name: Annotated[str | None, typer.Option(help="Name to show.")] = None,
    json: AsJson = False,
) -> None:
    """Make a project; one that is there stays as it is."""
    project = server().post("/projects", json={"slug": slug, "name": name})
    if json:
        as_json(project)
        return
    say(f"project {project['slug']}: {project['name']}")


def place_project(
    slug: Annotated[str, typer.Argument(help="Short name of the project.")],
    pools: Annotated[list[str] | None, typer.Option("--pool", help="A pool that its jobs may use; repeatable.")] = None,
    regions: Annotated[
        list[str] | None, typer.Option("--region", help="A region in which its jobs may run; repeatable.")
    ] = None,
    any_pool: Annotated[bool, typer.Option("--any-pool", help="Its jobs may use every pool.")] = False,
    any_region: Annotated[bool, typer.Option("--any-region", help="Its jobs may run in every region.")] = False,
) -> None:
    """Say in which pools and regions a project's jobs may run. Anything else is refused when a job is submitted."""
    asked: dict[str, list[str] | None] = {}
    if pools or any_pool:
        asked["pools"] = None if any_pool else pools
    if regions or any_region:
        asked["regions"] = None if any_region else regions
    project = server().patch(f"/projects/{slug}", json=asked)
    for name, everywhere in (("pools", "every pool"), ("regions", "every region")):
        listed = project[name]
        say(f"{name}: {everywhere if listed is None else ', '.join(listed) or 'none'}")


def list_projects(json: AsJson = False) -> None:
    """List the projects that you see."""
    answer = server().get("/projects")
    if json:
        as_json(answer)
        return
    table(("project", "name", "since"), [(p["slug"], p["name"], p["created_at"][:10]) for p in answer["items"]])


# --- keys


def add_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scopes: Annotated[
        list[str],
        typer.Option("--scope", help="read, annotate, approve, submit, ingest, disclose, report, admin; repeatable."),
    ],
    person: Annotated[str | None, typer.Option(help="Whose key; without, yours.")] = None,
    expires: Annotated[str | None, typer.Option(help="For how long: 12h, 90d, 52w. Without, until revoked.")] = None,
    json: AsJson = False,
) -> None:
    """Make an API key and print it, this one time. It carries what of its scopes its person may do."""
    body = {
        "name": name,
        "scopes": scopes,
        "person": person,
        "expires_at": (datetime.datetime.now(datetime.UTC) + read_duration(expires)).isoformat() if expires else None,
    }
    made = server().post("/keys", json=body)
    if json:
        as_json(made)
        return
    say(str(made["token"]))
    say("It is shown only now. Use it as MEMORYD_KEY, or as `Authorization: Bearer …`.")


def list_keys(json: AsJson = False) -> None:
    """List the API keys, without their secrets."""
    answer = server().get("/keys")
    if json:
        as_json(answer)
        return
    table(
        ("prefix", "name", "person", "scopes", "last used", "state"),
        [
            (k["prefix"], k["name"], k["person"] or "(worker)", " ".join(k["scopes"]), k["last_used_on"], _state(k))
            for k in answer["items"]
        ],
    )


def revoke_key(prefix: Annotated[str, typer.Argument(help="The key's prefix, as `keys list` shows it.")]) -> None:
    """Revoke an API key for good."""
    server().delete(f"/keys/{quote(prefix, safe='')}")
    say(f"key {prefix} is revoked")


def read_duration(text: str) -> datetime.timedelta:
    """Return the length of time that `12h`, `90d` or `52w` names. Raises: BadDuration."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadDuration(f"{text[:40]!r}", hint="write 12h, 90d or 52w")
    return int(match[1]) * _UNITS[match[2]]


def _state(key: Any) -> str:
    if key["revoked_at"]:
        return "revoked"
    expires = key["expires_at"]
    if expires and datetime.datetime.fromisoformat(expires) <= datetime.datetime.now(datetime.UTC):
        return "expired"
    return f"until {expires[:10]}" if expires else "in use"
