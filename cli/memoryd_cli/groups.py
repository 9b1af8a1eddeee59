"""`groups`: jobs that were asked for together, as one thing."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from memoryd.foundation.errors import Unavailable
from memoryd_cli.client import AGAIN_S, Client, Patience, server
from memoryd_cli.output import as_json, console, errors, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Group = Annotated[str, typer.Argument(help="Id of the group.")]

MISSING_EXIT_CODE = 13
"""Of `groups watch`: some item ended without a result."""

UNDER_WAY = ("ready", "held", "delayed", "leased")
"""States of items that may still make something."""


def register(app: typer.Typer) -> None:
    """Add the commands about groups."""
    groups = typer.Typer(no_args_is_help=True, help="Jobs that were asked for together: a grid, the rows of a table.")
    groups.command("list")(list_groups)
    groups.command("show")(show_group)
    groups.command("items")(list_items)
    groups.command("watch")(watch_group)
    groups.command("pause")(pause_group)
    groups.command("resume")(resume_group)
    groups.command("cancel")(cancel_group)
    groups.command("retry")(retry_group)
    app.add_typer(groups, name="groups")


def list_groups(
    project: Annotated[str | None, typer.Option(help="Only this project's.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only one's own.")] = False,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    json: AsJson = False,
) -> None:
    """List groups, newest first."""
    page = server().listed("/groups", project=project, mine=mine or None, limit=limit)
    if json:
        as_json(page)
        return
    table(
        ["id", "name", "items", "state", "asked"],
        ((one["id"], one["name"], one["total"], _state(one), one["created_at"]) for one in page["items"]),
    )
    say_more(page)


def show_group(group: Group, json: AsJson = False) -> None:
    """Show a group, and how far it is."""
    shown = server().get(f"/groups/{group}")
    if json:
        as_json(shown)
    else:
        say_group(shown)


def list_items(
    group: Group, limit: Annotated[int, typer.Option(help="How many at most.")] = 100, json: AsJson = False
) -> None:
    """List a group's items in order: their values, their states, what they made."""
    page = server().listed(f"/groups/{group}/items", limit=limit)
    if json:
        as_json(page)
        return
    table(
        ["item", "job", "state", "values", "made"],
        (
            (
                one["number"] + 1,
                one["job_id"],
                one["state"],
                ", ".join(f"{name}={str(value)[:40]}" for name, value in one["values"].items()),
                " ".join(str(output["asset_id"]) for output in one["outputs"]),
            )
            for one in page["items"]
        ),
    )
    say_more(page)


def watch_group(group: Group) -> None:
    """Follow a group until nothing of it is left to run. Exit code 13 where an item has no result."""
    shown = follow_to_end(server(), group, quiet=False)
    say_group(shown)
    raise typer.Exit(MISSING_EXIT_CODE if shown["missing"] else 0)


def pause_group(group: Group) -> None:
    """Let a group's jobs wait; what runs goes on."""
    changed = server().post(f"/groups/{group}/pause")["changed"]
    say(f"group {group} {'is paused' if changed else 'was paused before'}")


def resume_group(group: Group) -> None:
    """Let a paused group go on."""
    changed = server().post(f"/groups/{group}/resume")["changed"]
    say(f"group {group} {'goes on' if changed else 'was not paused'}")


def cancel_group(group: Group) -> None:
    """Cancel what of a group has not ended."""
    say(f"{server().post(f'/groups/{group}/cancel')['items']} items are cancelled; what runs stops within seconds")


def retry_group(group: Group) -> None:
    """Let the items run again that ended without a result; what succeeded stays."""
    say(f"{server().post(f'/groups/{group}/retry-missing')['items']} items run again")


def follow_to_end(client: Client, group: str, *, quiet: bool) -> dict[str, Any]:
    """Print how far a group is until nothing of it is left to run; return it as it stands then.

    A server that goes away meanwhile is waited for. Raises: Unavailable, where it stays away.
    """
    last, patience = "", Patience()
    while True:
        try:
            for shown in client.stream(f"/groups/{group}/events"):
                patience.heard()
                line = _line(shown)
                # Somebody's log gets a line for each tenth, a terminal each change.
                told = line if console.is_terminal else f"{shown['done']:.1f}"
                if not quiet and told != last:
                    last = told
                    say(line)
            ended: dict[str, Any] = client.get(f"/groups/{group}")
            if not _under_way(ended):
                return ended
            time.sleep(AGAIN_S)
        except Unavailable as error:
            patience.wait(error)
        except KeyboardInterrupt:
            errors.print(f"group {group} goes on without this", markup=False)
            errors.print(f"Next: memoryd groups watch {group}, or memoryd groups cancel {group}", markup=False)
            raise


def say_more(page: dict[str, Any]) -> None:
    """Say on standard error that a list goes on, where it does: what is printed may be a program's to read."""
    if page["next_cursor"]:
        errors.print(f"these are the first {len(page['items'])}; more with a greater --limit", markup=False)


def say_group(group: dict[str, Any]) -> None:
    """Print a group, and how far it is."""
    state = _state(group) if _under_way(group) else "ended"
    say(f"group {group['id']} ({group['name']}): {group['total']} items, {state}")
    say(f"  {_line(group)}")
    if group["there"] < group["total"]:
        say(f"  {group['total'] - group['there']} items were never sent: send the group again with its key")
    if group["missing"]:
        say(f"Next: memoryd groups retry {group['id']} runs the {group['missing']} without a result again")


def _under_way(group: dict[str, Any]) -> bool:
    return any(group["counts"].get(state) for state in UNDER_WAY)


def _state(group: dict[str, Any]) -> str:
    return "cancelled" if group["cancelled_at"] else "paused" if group["paused_at"] else "open"


def _line(group: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(group["counts"].items()) if count)
    ends = f", about {group['ends_in_s']:g} s left" if group["ends_in_s"] else ""
    return f"{group['done']:.0%} done: {counts or 'nothing there yet'}{ends}"
