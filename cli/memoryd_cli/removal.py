"""`reject`, `hide`, `trash`, `bring-back`: pictures out of sight, and back.

`restore` is a backup's word.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from memoryd.catalog.emptying import checked_days
from memoryd.foundation.errors import Conflict, MemorydError, NotFound
from memoryd_cli.client import server
from memoryd_cli.output import as_json, explain, say, table
from memoryd_cli.search import AsJson, asset_of, at
from memoryd_cli.watching import named_root

Refs = Annotated[list[str], typer.Argument(help="Pictures: ids, 8 or more digits of a SHA-256, or files.")]
Project = Annotated[str | None, typer.Option("--project", "-p", help="For which project, where there are several.")]
Reason = Annotated[str | None, typer.Option("--reason", "-m", help="Why.")]

NAMED_LIMIT = 5
"""Approved pictures that one line names."""
_PART = 100
"""Pictures of one request."""


class _PutByDefault(TyperGroup):
    """`trash PICTURE` is `trash put PICTURE`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # What typer calls a context is its own copy of click's.
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["put", *args]
        return super().resolve_command(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the commands that remove and bring back."""
    app.command("reject")(reject)
    app.command("hide")(hide)
    app.command("bring-back")(restore)
    trash_app = typer.Typer(
        cls=_PutByDefault,
        help="Move files into their folder's trash, where it is switched on: `trash PICTURE...`.",
        no_args_is_help=True,
    )
    trash_app.command("put")(trash)
    trash_app.command("restore")(restore)
    trash_app.command("list")(trash_list)
    trash_app.command("empty")(trash_empty)
    trash_app.command("collect")(trash_collect)
    trash_app.command("on")(trash_on)
    trash_app.command("off")(trash_off)
    app.add_typer(trash_app, name="trash")


def reject(refs: Refs, reason: Reason = None, project: Project = None, json: AsJson = False) -> None:
    """Sort pictures out: they no longer show by themselves; `search is:rejected` finds them."""
    _remove("rejected", refs, reason, project, json)


def hide(refs: Refs, reason: Reason = None, project: Project = None, json: AsJson = False) -> None:
    """Keep pictures out of sight; `search is:hidden` finds them."""
    _remove("hidden", refs, reason, project, json)


def trash(refs: Refs, reason: Reason = None, project: Project = None, json: AsJson = False) -> None:
    """Move pictures' files into the trash of their folders; `bring-back` undoes it."""
    _remove("trashed", refs, reason, project, json)


def _remove(kind: str, refs: list[str], reason: str | None, project: str | None, json: bool) -> None:
    assets = [asset_of(ref) for ref in refs]
    items: list[dict[str, Any]] = []
    for first in range(0, len(assets), _PART):
        body = {"refs": assets[first : first + _PART], "kind": kind, "reason": reason, "project": project}
        items += server().post("/removals", body)["items"]
    if json:
        as_json({"items": items})
        return
    files = sum(item["files"] for item in items)
    moved = f", {files} files moved" if kind == "trashed" else ""
    say(f"{len(items)} {kind}{moved}. `memoryd bring-back` undoes it." if items else "Nothing to change.")
    _say_left([left for item in items for left in item["left"]])


def restore(refs: Refs, project: Project = None, json: AsJson = False) -> None:
    """Bring rejected, hidden or trashed pictures back."""
    items: list[dict[str, Any]] = []
    kept: MemorydError | None = None
    for ref, asset in [(ref, asset_of(ref)) for ref in refs]:
        try:
            item = server().delete(at(asset, "removal"), project=project)
        except (Conflict, NotFound) as error:
            # One that cannot be brought back keeps no other from it.
            if kept is not None:
                explain(kept)
            kept = type(error)(ref, hint=error.hint)
            continue
        items.append(item)
        if not json:
            files = f", {item['files']} files back in their place" if item["kind"] == "trashed" else ""
            say(f"{ref} was {item['kind']}, and is back{files}.")
    if json:
        as_json({"items": items})
    else:
        _say_left([left for item in items for left in item["left"]])
    if kept is not None:
        raise kept


def trash_list(
    limit: Annotated[int, typer.Option(help="Files of one page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue where a page ended.")] = None,
    json: AsJson = False,
) -> None:
    """Show files in the trash, oldest first."""
    page = server().get("/trash", limit=limit, cursor=cursor)
    if json:
        as_json(page)
        return
    rows = [
        [item["asset_id"], item["at"][:16], item["until"][:10], item["size"], item["path"], item["trouble"]]
        for item in page["items"]
    ]
    table(["asset", "since", "kept until", "bytes", "file", "trouble"], rows)
    if page["next_cursor"]:
        say(f"More: add --cursor {page['next_cursor']}")


def trash_empty(
    older_than: Annotated[str, typer.Option("--older-than", help="Days, such as 30d.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    release_hold: Annotated[
        str | None,
        typer.Option("--release-hold", help="Why last copies of what approved pictures need may go too (audited)."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Delete for ever what has lain in the trash for longer; what is recorded of it stays.

    The last copy of what approved pictures need (themselves, sources, inputs) stays, unless --release-hold says why not.
    """
    days = checked_days(older_than)
    if not yes:
        typer.confirm(f"Delete for ever what has been in the trash for more than {days} days?", abort=True, err=True)
    done = server().post("/trash/empty", {"older_than_days": days, "release_hold": release_hold})
    if json:
        as_json(done)
        return
    say(f"{done['files']} files deleted, {done['size']} bytes; {done['erased']} pictures have no bytes any more.")
    _say_left(done["left"])
    say_held(done["held"])


def say_held(held: list[dict[str, Any]]) -> None:
    """Print which contents stay, for which approved pictures, and how they would go."""
    for one in held:
        named = ", ".join(one["needed_by"][:NAMED_LIMIT])
        others = f"{', and ' if named else ''}{one['others']} in projects that you do not see" if one["others"] else ""
        say(f"Held: {one['sha256']}, the last copy of what approved pictures need: {named}{others}")
    if held:
        say('Next: `memoryd holds list` shows all; --release-hold "REASON" lets them go, and is audited')


def trash_collect(
    older_than: Annotated[str, typer.Option("--older-than", help="Days, such as 30d.")] = "30d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Delete bytes in the store that nothing refers to (refused uploads, old small pictures) and nobody used for days."""
    days = checked_days(older_than)
    if not (dry_run or yes):
        typer.confirm(f"Delete what nothing refers to and nobody used for {days} days?", abort=True, err=True)
    done = server().post("/blobs/collect", {"older_than_days": days, "dry_run": dry_run})
    if json:
        as_json(done)
        return
    verb = "would be deleted" if dry_run else "deleted"
    say(f"{done['blobs']} of {done['looked_at']} old blobs {verb}, {done['size']} bytes.")


def trash_on(root: Annotated[str, typer.Argument(help="A watched folder: its id or path.")]) -> None:
    """Allow that files of a watched folder are moved into its trash (.memoryd-trash in it)."""
    _switch(root, on=True)


def trash_off(root: Annotated[str, typer.Argument(help="A watched folder: its id or path.")]) -> None:
    """Allow it no longer; what is in the trash stays there and can be brought back."""
    _switch(root, on=False)


def _switch(root: str, *, on: bool) -> None:
    found = named_root(root)
    server().put("/trash/roots", {"root": found["id"], "on": on})
    say(f"Trash is {'on' if on else 'off'} for {found['path']}.")


def _say_left(left: list[dict[str, Any]]) -> None:
    for file in left:
        say(f"stays: {file['path']} ({file['why']})")
