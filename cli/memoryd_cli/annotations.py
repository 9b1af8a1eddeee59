"""`tag`, `rate`, `note`, `collect`, `approve`: what people attach to pictures."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from memoryd_cli.client import server
from memoryd_cli.output import as_json, say
from memoryd_cli.search import AsJson, Ref, asset_of, at

Project = Annotated[str | None, typer.Option("--project", "-p", help="For which project, where there are several.")]


class TagVerb(enum.StrEnum):
    """What to do with tags."""

    ADD = "add"
    REMOVE = "remove"


def register(app: typer.Typer) -> None:
    """Add the commands that attach something to a picture."""
    app.command("tag")(tag)
    app.command("rate")(rate)
    app.command("note")(note)
    app.command("collect")(collect)
    app.command("approve")(approve)


def tag(
    ref: Ref,
    verb: Annotated[TagVerb, typer.Argument(help="add or remove")],
    names: Annotated[list[str], typer.Argument(help="The tags; one of several words in quotes.")],
    project: Project = None,
    json: AsJson = False,
) -> None:
    """Hang tags on a picture, or take them off; they survive renames, rewrites and signed copies."""
    address = at(asset_of(ref), "tags")
    if verb is TagVerb.ADD:
        changed = server().post(address, {"tags": names, "project": project})["changed"]
    else:
        changed = server().delete(address, tag=names, project=project)["changed"]
    if json:
        as_json({"changed": changed})
    else:
        say(
            f"{'Added' if verb is TagVerb.ADD else 'Removed'}: {', '.join(changed)}"
            if changed
            else "Nothing to change."
        )


def rate(
    ref: Ref,
    stars: Annotated[int, typer.Argument(min=0, max=5, help="1 to 5; 0 takes it away.")],
    project: Project = None,
) -> None:
    """Give a picture stars."""
    server().put(at(asset_of(ref), "rating"), {"stars": stars, "project": project})
    say(f"Rated {stars}." if stars else "No rating any more.")


def note(ref: Ref, text: Annotated[str, typer.Argument(help="The remark.")], project: Project = None) -> None:
    """Add a remark to a picture."""
    server().post(at(asset_of(ref), "notes"), {"text": text, "project": project})
    say("Noted.")


def collect(
    ref: Ref,
    collection: Annotated[str, typer.Argument(help="The collection's name.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take it out instead.")] = False,
    project: Project = None,
) -> None:
    """Put a picture into a collection; `memoryd search collection:NAME` shows what is in it."""
    address = at(asset_of(ref), "collections")
    if remove:
        changed = server().delete(address, collection=collection, project=project)["changed"]
    else:
        changed = server().post(address, {"collection": collection, "project": project})["changed"]
    say(f"{'Taken out of' if remove else 'Put into'} {collection}." if changed else "Nothing to change.")


def approve(
    ref: Ref,
    reject: Annotated[bool, typer.Option("--reject", help="Reject it instead.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the decision back.")] = False,
    comment: Annotated[str | None, typer.Option("--comment", "-m", help="Why.")] = None,
    project: Project = None,
) -> None:
    """Approve exactly this picture for its project."""
    address = at(asset_of(ref), "approval")
    if withdraw:
        server().delete(address, project=project)
        say("Withdrawn.")
        return
    state = "rejected" if reject else "approved"
    server().put(address, {"state": state, "comment": comment, "project": project})
    say(f"{state.capitalize()}.")
