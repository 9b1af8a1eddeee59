"""`watch`: the watched folders, the rules that say whose their files are, and the watchers themselves, here and elsewhere."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from memoryd.catalog.facts import Custody
from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

TOKEN_VARIABLE = "MEMORYD_KEY"  # noqa: S105 - the name of a variable, no token

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Root = Annotated[str, typer.Argument(help="The folder, or its id.")]
Rules = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        help="`{project}/{person}/**`, or with names: `clients/acme/** => project=acme, person=bea`. Several: first match.",
    ),
]


class BadRule(NotAcceptable):
    """This rule cannot be understood."""


class NoSuchRoot(NotFound):
    """This folder is not watched."""


class _FolderOrCommand(TyperGroup):
    """`watch add …` is a command; `watch DIR …` watches a folder of this machine for a server elsewhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["folder", *args]
        return super().parse_args(ctx, args)


watch_app = typer.Typer(
    cls=_FolderOrCommand,
    invoke_without_command=True,
    help="Watch folders. Without more: run the watcher over every folder that is remembered for this machine. "
    "`memoryd watch DIR --server URL`: watch a folder of this machine for a server elsewhere.",
)


roots_app = typer.Typer(help="The watched folders: an older name for `watch`.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.add_typer(watch_app, name="watch")
    app.add_typer(roots_app, name="roots")


@watch_app.callback()
def watch(context: typer.Context) -> None:
    """Run the watcher alone, over every folder that is remembered for this machine."""
    if context.invoked_subcommand is not None:
        return
    from memoryd.app.supervising import die_with_supervisor
    from memoryd.app.watching import Watch
    from memoryd_cli.processes import on_stop, settings_for

    die_with_supervisor()
    watching = Watch(settings_for())
    on_stop(watching.stop_soon)
    watching.run()


@watch_app.command("folder", hidden=True)
def folder(
    folder: Annotated[Path, typer.Argument(help="Folder of this machine.")],
    server: Annotated[str, typer.Option(help="Address of the memoryd server.", envvar="MEMORYD_URL")],
    token: Annotated[
        str | None, typer.Option(help="API key; other people of this machine can see it here: rather use MEMORYD_KEY.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the key, which only you can read.")] = None,
    project: Annotated[str | None, typer.Option(help="Project that its files belong to.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Send the bytes too: the server keeps a copy.")] = False,
    host: Annotated[str | None, typer.Option(help="This machine's name at the server.")] = None,
    state: Annotated[Path | None, typer.Option(help="Folder for what waits to be sent.")] = None,
    ca: Annotated[Path | None, typer.Option(help="Certificates to trust (PEM).", envvar="MEMORYD_TLS_CA")] = None,
    once: Annotated[bool, typer.Option("--once", help="Read and send what is new, then end.")] = False,
    json: Json = False,
) -> None:
    """Watch a folder of this machine for a server elsewhere, until Ctrl-C. Needs no database here."""
    from memoryd.foundation.logging import begin_logging
    from memoryd.outpost.outpost import NoToken, Options, Outpost, read_token
    from memoryd_cli.processes import on_stop

    begin_logging(os.environ.get("MEMORYD_LOG_LEVEL", "INFO"))
    key = read_token(token_file) if token_file is not None else token or os.environ.get(TOKEN_VARIABLE)
    if not key:
        raise NoToken("none was given", hint=f"set {TOKEN_VARIABLE}, or name a file with --token-file")
    home = Path(os.environ.get("MEMORYD_HOME") or Path.home() / ".memoryd")
    outpost = Outpost(
        Options(
            folder=folder,
            server=server,
            token=key,
            host=host or socket.gethostname(),
            state=state or home / "outpost",
            project=project,
            keep=keep,
            certificates=ca,
        )
    )
    on_stop(outpost.stop_soon)
    counts = outpost.run_once() if once else outpost.run()
    if json:
        as_json({"sent": counts.sent, "waiting": counts.waiting, "refused": counts.refused})
    else:
        say(f"{counts.sent} files sent, {counts.waiting} wait, {counts.refused} not sent")


@watch_app.command("add")
@roots_app.command("add")
def add(
    folder: Annotated[Path, typer.Argument(help="Folder on the server's machine.")],
    project: Annotated[str | None, typer.Option(help="Project that its files belong to.")] = None,
    person: Annotated[str | None, typer.Option(help="Login of the person whose they are.")] = None,
    rule: Rules = None,
    create_projects: Annotated[
        bool, typer.Option("--create-projects", help="Make projects that a rule names and that do not exist.")
    ] = False,
    custody: Annotated[Custody, typer.Option(help="Who holds the bytes.")] = Custody.REFERENCE,
    json: Json = False,
) -> None:
    """Watch a folder; a small marker file is put in it, by which it is known again."""
    request = {
        "path": str(folder.expanduser().absolute()),
        "project": project,
        "person": person,
        "rules": [read_rule(text) for text in rule or ()],
        "create_projects": create_projects,
        "custody": custody.value,
    }
    root = server().post("/roots", json=request)
    if json:
        as_json(root)
    else:
        say(f"watching {root['path']} ({root['id']})")


@watch_app.command("list")
@roots_app.command("list")
def list_folders(
    retired: Annotated[bool, typer.Option("--all", help="Those no longer watched, too.")] = False, json: Json = False
) -> None:
    """Show the watched folders, and how they are watched."""
    answer = server().get("/roots", retired=retired)
    if json:
        as_json(answer)
        return
    table(
        ("id", "host", "path", "state", "watched by", "how", "files", "rules", "aliases", "why"),
        (
            (
                root["id"],
                root["host"],
                root["path"],
                "removed" if root["retired"] else root["state"],
                root["watched_by"],
                root["watching"],
                root["files"],
                len(root["rules"]),
                ", ".join(f"{machine}={path}" for machine, path in root["aliases"].items()),
                root["state_reason"] or root["watching_why"],
            )
            for root in answer["items"]
        ),
    )


@watch_app.command("show")
@roots_app.command("show")
def show(root: Root, json: Json = False) -> None:
    """Show one watched folder: how it is watched, and whose its files are."""
    found = named_root(root)
    if json:
        as_json(found)
        return
    for name in (
        "id",
        "host",
        "path",
        "state",
        "state_reason",
        "watched_by",
        "watching",
        "watching_why",
        "custody",
        "files",
    ):
        if found[name] is not None:
            say(f"{name.replace('_', ' ')}: {found[name]}")
    for rule in found["rules"]:
        say(f"rule: {_spelled(rule)}")
    if found["create_projects"]:
        say("projects that a rule names and that do not exist are made")


@watch_app.command("rules")
def rules(
    root: Root,
    rule: Rules = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take all rules away.")] = False,
    create_projects: Annotated[bool | None, typer.Option(help="Make projects that do not exist.")] = None,
    json: Json = False,
) -> None:
    """Show a folder's rules, or replace them. What is recorded stays as it is."""
    found = named_root(root)
    if rule or clear or create_projects is not None:
        change: dict[str, Any] = {} if create_projects is None else {"create_projects": create_projects}
        if rule or clear:
            change["rules"] = [read_rule(text) for text in rule or ()]
        found = server().patch(f"/roots/{found['id']}", json=change)
    if json:
        as_json({"rules": found["rules"], "create_projects": found["create_projects"]})
        return
    for one in found["rules"]:
        say(_spelled(one))
    if not found["rules"]:
        say("no rules: every file is the folder's project's")


@watch_app.command("test")
def explain(
    path: Annotated[str, typer.Argument(help="A file in a watched folder; it need not be there.")],
    root: Annotated[str | None, typer.Option("--root", help="The folder, where PATH is below it already.")] = None,
    json: Json = False,
) -> None:
    """Say how a file would be attributed, and why."""
    found, inside = (named_root(root), path) if root is not None else _containing(path)
    told = server().get(f"/roots/{found['id']}/attribution", place=inside)
    if json:
        as_json(told)
        return
    why = {"folder-rule": f"by the rule {told['rule']}", "folder": "by the folder's default"}.get(
        told["by"], "by nothing"
    )
    say(f"project {told['project'] or '-'}, person {told['person'] or '-'}: {why}")
    if told["would_make"]:
        say(f"the project {told['would_make']} would be made")
    for missing in told["missing"]:
        say(f"there is no {missing}")


@watch_app.command("alias")
@roots_app.command("alias")
def alias(
    root: Root,
    machine: Annotated[str, typer.Argument(help="Name of the machine that has another path.")],
    path: Annotated[str | None, typer.Argument(help="The folder's path there (`Z:\\out`); nothing forgets it.")] = None,
    json: Json = False,
) -> None:
    """Say what another machine calls a folder, so that each person copies a path that works."""
    _change(root, {"aliases": {machine: path}}, json=json)


@watch_app.command("pause")
@roots_app.command("pause")
def pause(root: Root, json: Json = False) -> None:
    """Stop watching a folder for now; `resume` begins again."""
    _change(root, {"state": "paused"}, json=json)


@watch_app.command("resume")
@roots_app.command("accept")
def resume(root: Root, json: Json = False) -> None:
    """Watch a folder again, as it is now: what is gone from it is then gone."""
    _change(root, {"state": "online", "retired": False}, json=json)


@watch_app.command("remove")
@roots_app.command("retire")
def remove(root: Root, json: Json = False) -> None:
    """Watch a folder no more. What was recorded from it stays."""
    _change(root, {"retired": True}, json=json)


def read_rule(text: str) -> dict[str, Any]:
    """Return a rule as the server takes it, from `PATTERN` or `PATTERN => project=P, person=U`. Raises: BadRule."""
    pattern, arrow, names = text.partition("=>")
    rule: dict[str, Any] = {"pattern": pattern.strip()}
    for given in names.split(",") if arrow else ():
        name, equals, value = (part.strip() for part in given.partition("="))
        if name not in ("project", "person") or not equals or not value:
            raise BadRule(f"{text!r}", hint="write it as `clients/acme/** => project=acme, person=bea`")
        rule[name] = value
    return rule


def _spelled(rule: dict[str, Any]) -> str:
    names = [f"{name}={rule[name]}" for name in ("project", "person") if rule[name]]
    return str(rule["pattern"]) + (f" => {', '.join(names)}" if names else "")


def named_root(ref: str) -> dict[str, Any]:
    """Return the watched folder of an id or a path, also a path relative to here. Raises: NoSuchRoot."""
    wanted = {ref, ref.rstrip("/"), str(Path(ref).expanduser().absolute()), str(Path(ref).expanduser().resolve())}
    roots = server().get("/roots", retired=True)["items"]
    found: list[dict[str, Any]] = [root for root in roots if root["id"] == ref or root["path"] in wanted]
    if not found:
        raise NoSuchRoot(ref, hint="`memoryd watch list` shows them")
    return found[0]


def _containing(path: str) -> tuple[dict[str, Any], str]:
    spelled = [path, str(Path(path).expanduser().absolute()), str(Path(path).expanduser().resolve())]
    for root in server().get("/roots")["items"]:
        for one in spelled:
            plain, base = one.replace("\\", "/"), root["path"].replace("\\", "/").rstrip("/") + "/"
            if plain.startswith(base) and len(plain) > len(base):
                return root, plain[len(base) :]
    raise NoSuchRoot(path, hint="name a path in a folder that `memoryd watch list` shows")


def _change(ref: str, change: dict[str, Any], *, json: bool) -> None:
    changed = server().patch(f"/roots/{named_root(ref)['id']}", json=change)
    if json:
        as_json(changed)
    else:
        say(f"{changed['path']}: {'removed' if changed['retired'] else changed['state']}")
