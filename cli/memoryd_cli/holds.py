"""`holds`: what approved pictures need, who needs a content, and the decision that lets its last copy go."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.foundation.errors import Conflict, NotFound
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table
from memoryd_cli.search import AsJson

CHUNK = 1024 * 1024
_DIGITS = 64


class NoContent(NotFound):
    """This is neither a file nor a SHA-256."""


Content = Annotated[str, typer.Argument(help="A SHA-256 (64 digits), or a file whose content is meant.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    holds = typer.Typer(help="What approved pictures need: its last copy is not removed.", no_args_is_help=True)
    holds.command("list")(list_holds)
    holds.command("check")(check)
    holds.command("release")(release)
    holds.command("again")(again)
    app.add_typer(holds, name="holds")


def list_holds(
    project: Annotated[str | None, typer.Option("--project", "-p", help="Only what this project approved.")] = None,
    limit: Annotated[int, typer.Option(help="Approved pictures of one page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue where a page ended.")] = None,
    json: AsJson = False,
) -> None:
    """Show approved pictures and what each holds: its own bytes, sources, inputs and models."""
    page = server().get("/holds", project=project, limit=limit, cursor=cursor)
    if json:
        as_json(page)
        return
    rows = [
        [
            picture["asset_id"],
            each["kind"],
            each["sha256"],
            each["name"] or each["asset_id"],
            "on workers" if each["copies"] is None else each["copies"],
            f"let go: {each['released']}" if each["released"] else "held",
        ]
        for picture in page["items"]
        for each in picture["contents"]
    ]
    if not rows and cursor is None:
        say("nothing is held: no picture is approved" + (" in this project" if project else ""))
        say("Next: memoryd approve ASSET approves one")
        return
    table(["approved", "what", "sha-256", "name", "copies", "state"], rows)
    if page["next_cursor"]:
        say(f"More: add --cursor {page['next_cursor']}")


def check(content: Content, json: AsJson = False) -> None:
    """Tell whether approved pictures need a content (also a model file): exit code 0 where none does, 6 where some do.

    For whoever cleans up a disk: `memoryd holds check FILE && rm FILE` deletes only what it knows to be free.
    """
    found = server().get(f"/holds/{_digest(content)}")
    if json:
        as_json(found)
    elif found["held"]:
        others = f" and {found['others']} in projects that you do not see" if found["others"] else ""
        say(f"held by {len(found['needed_by'])} approved pictures{others}")
        for asset in found["needed_by"]:
            say(f"  {asset}")
    else:
        say("no approved picture needs it")
    if found["held"]:
        raise typer.Exit(Conflict.exit_code)


def release(
    content: Content,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why its last copy may go; kept in the audit trail.")],
    json: AsJson = False,
) -> None:
    """Let go of a content: its last copy may be removed. Approvals that come later hold it again."""
    done: dict[str, Any] = server().post(f"/holds/{_digest(content)}/release", {"reason": reason})
    if json:
        as_json(done)
    else:
        say("let go; `memoryd holds again` takes that back" if done["released"] else "nothing held it")


def again(content: Content, json: AsJson = False) -> None:
    """Take back that a content was let go."""
    done: dict[str, Any] = server().delete(f"/holds/{_digest(content)}/release")
    if json:
        as_json(done)
    else:
        say("held again" if done["changed"] else "it had not been let go")


def _digest(content: str) -> str:
    path = Path(content)
    if len(content) == _DIGITS and not path.exists():
        return content.lower()
    if not path.exists():
        raise NoContent(repr(content[:200]), hint="name a file that is there, or all 64 digits of a SHA-256")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
