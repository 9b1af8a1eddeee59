"""`db`, `doctor`, `backup`, `restore`: looking after an installation, on its own machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memoryd.foundation.errors import Conflict
from memoryd.foundation.settings import Settings
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

UNWELL_EXIT_CODE = 1


class NotOursToDestroy(Conflict):
    """This database is not memoryd's own."""


def register(app: typer.Typer) -> None:
    """Add the commands that look after an installation."""
    db = typer.Typer(no_args_is_help=True, help="The database's tables, and the embedded Postgres.")
    db.command("upgrade")(upgrade)
    db.command("status")(status)
    db.command("destroy")(destroy)
    app.add_typer(db, name="db")
    app.command()(doctor)
    app.command()(backup)
    app.command()(restore)


def upgrade(json: AsJson = False) -> None:
    """Bring every schema to this version of memoryd; makes them where there are none. Safe to repeat and interrupt."""
    from memoryd.app import connecting

    states = connecting.upgrade(Settings())
    if json:
        items = [{"schema": s.schema, "line": s.line, "revision": s.revision, "head": s.head} for s in states]
        as_json({"items": items})
        return
    table(("schema", "revision"), [(state.schema, state.revision) for state in states])


def status(json: AsJson = False) -> None:
    """Show where the database is, whether it answers, and where its schemas stand. Starts and changes nothing."""
    from memoryd.app.connecting import addresses, embedded_cluster
    from memoryd.foundation.migrations import schema_states

    settings = Settings()
    cluster = embedded_cluster(settings)
    running = cluster is None or (cluster.is_made() and cluster.is_running())
    # An embedded Postgres that is down stays down: looking must not start anything.
    states = schema_states(cluster.owner_url() if cluster else addresses(settings).owner) if running else []
    place = str(cluster.data) if cluster else "external (MEMORYD_DATABASE_URL)"
    if json:
        shown = [{"schema": s.schema, "revision": s.revision, "head": s.head, "current": s.current} for s in states]
        as_json({"place": place, "embedded": cluster is not None, "answers": running, "items": shown})
        return
    say(f"{place}: {'answers' if running else 'is not running' if cluster and cluster.is_made() else 'not made yet'}")
    if states:
        rows = [(s.schema, s.revision, "current" if s.current else f"wants {s.head}: {s.next_step}") for s in states]
        table(("schema", "revision", "state"), rows)
    elif running:
        say("no tables yet: `memoryd db upgrade`")


def destroy(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Remove the embedded Postgres with all that it holds, for good. Keys and blobs stay."""
    from memoryd.app.connecting import embedded_cluster

    settings = Settings()
    cluster = embedded_cluster(settings)
    if cluster is None:
        raise NotOursToDestroy(
            "MEMORYD_DATABASE_URL names an external database", hint="drop it with that server's own means"
        )
    if (settings.home / "local.json").exists():
        raise NotOursToDestroy(f"a server runs from {settings.home}", hint="stop `memoryd up` first")
    if not yes:
        typer.confirm(f"Remove everything recorded in {cluster.data}? It cannot be undone", abort=True)
    cluster.destroy()
    say("the embedded Postgres is removed")


def doctor(json: AsJson = False) -> None:
    """Examine the installation: each line is well or says what to do. Ends with exit code 1 where something fails."""
    from memoryd_cli.doctor import State, examine

    findings = []
    for finding in examine(Settings()):
        findings.append(finding)
        if not json:
            say(f"{finding.state.value:<5} {finding.check}: {finding.said}")
            if finding.next_step:
                say(f"      next: {finding.next_step}")
    if json:
        items = [{"check": f.check, "state": f.state, "said": f.said, "next_step": f.next_step} for f in findings]
        as_json({"items": items})
    if any(finding.state is State.FAIL for finding in findings):
        raise typer.Exit(UNWELL_EXIT_CODE)


def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder, or one of an earlier backup, which is renewed.")],
    manifest_only: Annotated[
        bool, typer.Option("--manifest-only", help="List the blobs instead of copying them.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Copy the installation into a folder: database, keys, blobs. The server may go on working meanwhile."""
    from memoryd_cli.backups import make_backup
    from memoryd_cli.embedded import borrowed_postgres

    settings = Settings()
    with borrowed_postgres(settings):
        made = make_backup(settings, folder, manifest_only=manifest_only, say=_quiet if json else say)
    if json:
        as_json(made)
        return
    say(f"{folder}: {len(made['tenants'])} tenants, {made['blobs']['count']} blobs, {len(made['keys'])} key files")
    say("It holds the keys: keep it as safe as the server. Back again: MEMORYD_HOME=NEW memoryd restore " + str(folder))


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `memoryd backup` wrote.")], json: AsJson = False
) -> None:
    """Make an installation from a backup, in an empty MEMORYD_HOME and an empty database."""
    from memoryd_cli.backups import restore_backup
    from memoryd_cli.embedded import borrowed_postgres

    settings = Settings()
    with borrowed_postgres(settings):
        description = restore_backup(settings, folder, say=_quiet if json else say)
    if json:
        as_json({"home": str(settings.home), "backup": description["id"], "at": description["at"]})
        return
    say(f"{settings.home} is as it was at {description['at']}. Next: memoryd doctor")


def _quiet(_: str) -> None:
    return None
