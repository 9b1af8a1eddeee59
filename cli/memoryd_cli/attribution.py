"""`attest`, `link`, `unlink`, `proposals`, `attribute`: what people say of how pictures came to be, and whose they are."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.catalog.likeness_words import seen_by
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table
from memoryd_cli.search import AsJson, Ref, asset_of, at
from memoryd_cli.whole_ids import whole_id

Project = Annotated[str | None, typer.Option("--project", "-p", help="For which project, where there are several.")]
Note = Annotated[str | None, typer.Option("--note", "-m", help="A remark.")]

_SHORT = 12
_SEED = re.compile(r"[0-9]{1,20}")


class ProposalVerb(enum.StrEnum):
    """What to do with proposals."""

    LIST = "list"
    ACCEPT = "accept"
    REFUSE = "refuse"


def register(app: typer.Typer) -> None:
    """Add the commands that say where pictures come from."""
    app.command("attest")(attest)
    app.command("link")(link)
    app.command("unlink")(unlink)
    app.command("proposals")(proposals)
    app.command("attribute", context_settings={"ignore_unknown_options": True})(attribute)


def attest(
    ref: Ref,
    made_by: Annotated[str | None, typer.Option("--made-by", help="The tool: midjourney, photoshop, …")] = None,
    prompt: Annotated[str | None, typer.Option(help="The prompt, as far as known.")] = None,
    negative: Annotated[str | None, typer.Option(help="The negative prompt.")] = None,
    model: Annotated[str | None, typer.Option(help="The model's name.")] = None,
    seed: Annotated[str | None, typer.Option(help="0 to 18446744073709551615.")] = None,
    tool_version: Annotated[str | None, typer.Option(help="The tool's version.")] = None,
    person: Annotated[str | None, typer.Option(help="The maker's login; without it you.")] = None,
    not_generated: Annotated[
        bool, typer.Option("--not-generated", help="No trained model made it: --made-by camera --not-generated.")
    ] = False,
    withdraw: Annotated[str | None, typer.Option(help="Take this declaration (its id) back.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Show what was declared.")] = False,
    note: Note = None,
    project: Project = None,
    json: AsJson = False,
) -> None:
    """Declare how a picture was made; kept as declared, it never overrides what the file itself says."""
    address = at(asset_of(ref), "attestations")
    if withdraw is not None:
        server().delete(f"{address}/{whole_id(withdraw, shown_by=f'memoryd attest {ref} --list')}")
        say("Withdrawn; the trail keeps it.")
        return
    if show:
        _say_attestations(server().get(address), json)
        return
    if made_by is None:
        such = "camera" if not_generated else "midjourney"
        raise typer.BadParameter(f"say what made it: --made-by {such}", param_hint="--made-by")
    if seed is not None and not _SEED.fullmatch(seed):
        raise typer.BadParameter(f"{seed!r} is no seed: a whole number of at most 20 digits", param_hint="--seed")
    said = {"made_by": made_by, "prompt": prompt, "negative": negative, "model": model, "seed": seed, "note": note}
    more = {"tool_version": tool_version, "person": person, "generated": not not_generated, "project": project}
    made = server().post(address, {**said, **more})
    if json:
        as_json(made)
    else:
        say(f"Declared: {made['id']}")


def _say_attestations(found: dict[str, Any], json: bool) -> None:
    if json:
        as_json(found)
        return
    rows = [
        [
            item["id"],
            item["made_by"],
            item["model"],
            item["seed"],
            item["prompt"],
            item["person"],
            item["by"],
            "withdrawn" if item["withdrawn_at"] else item["at"][:10],
        ]
        for item in found["items"]
    ]
    table(["id", "made by", "model", "seed", "prompt", "maker", "declared by", "when"], rows)


def link(
    child: Ref,
    parent: Annotated[str, typer.Option("--from", help="The picture it was made from.")],
    how: Annotated[str, typer.Option(help="retouched, upscaled, cropped, composited, edited, …")],
    note: Note = None,
    project: Project = None,
) -> None:
    """Say that a picture was made from another."""
    body = {"parent": asset_of(parent), "how": how, "note": note, "project": project}
    changed = server().post(at(asset_of(child), "parents"), body)["changed"]
    say(f"Linked: {how}. `memoryd lineage` shows the family." if changed else "That was said already.")


def unlink(
    child: Ref,
    parent: Annotated[str, typer.Option("--from", help="The picture it was said to be made from.")],
    how: Annotated[str | None, typer.Option(help="Only this way.")] = None,
    project: Project = None,
) -> None:
    """Take back what people said; what files and jobs say stays."""
    changed = server().delete(at(asset_of(child), "parents"), parent=asset_of(parent), how=how, project=project)[
        "changed"
    ]
    say(f"Unlinked: {', '.join(changed)}." if changed else "Nobody of this project said so.")


def proposals(
    verb: Annotated[ProposalVerb, typer.Argument(help="list, accept or refuse")] = ProposalVerb.LIST,
    ids: Annotated[list[str] | None, typer.Argument(help="Which ones.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    cursor: Annotated[str | None, typer.Option(help="Continue where a page ended.")] = None,
    json: AsJson = False,
) -> None:
    """Likenesses that were noticed: is this a copy, a retouch, an upscale of that?"""
    if verb is not ProposalVerb.LIST:
        if not ids:
            raise typer.BadParameter("name one or more; `memoryd proposals list` shows them", param_hint="ids")
        for one in [whole_id(one, shown_by="memoryd proposals list") for one in ids]:
            server().post(f"/proposals/{one}/{verb.value}")
        say(f"{len(ids)} {'accepted' if verb is ProposalVerb.ACCEPT else 'refused'}.")
        return
    page = server().get("/proposals", all=every, cursor=cursor)
    if json:
        as_json(page)
        return
    rows = [
        [
            item["id"],
            item["state"],
            item["child"]["name"] or item["child"]["sha256"][:_SHORT],
            item["how"],
            item["parent"]["name"] or item["parent"]["sha256"][:_SHORT],
            seen_by(item["evidence"]),
        ]
        for item in page["items"]
    ]
    table(["id", "state", "picture", "may be", "from", "seen by"], rows)
    if any(item["state"] == "open" for item in page["items"]):
        say("Next: memoryd proposals accept ID, or refuse ID")
    if page["next_cursor"]:
        say(f"More: add --cursor {page['next_cursor']}")


def attribute(
    which: Annotated[list[str] | None, typer.Argument(help="Pictures, or a search: project:inbox after:30d.")] = None,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Whose they are to be.")] = None,
    person: Annotated[str | None, typer.Option(help="Who made them: a login.")] = None,
    out_of: Annotated[str | None, typer.Option("--from", help="The project that they are taken from.")] = None,
    with_annotations: Annotated[
        bool, typer.Option("--with-annotations", help="Copy tags, ratings, remarks and collections.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask after counting.")] = False,
    undo: Annotated[str | None, typer.Option(help="Take this re-attribution (its id) back.")] = None,
    json: AsJson = False,
) -> None:
    """Say for many pictures at once whose they are; counted first, audited, and taken back with --undo."""
    if undo is not None:
        change = whole_id(undo, shown_by="memoryd audit list")
        assets = server().delete(f"/attributions/{change}")["assets"]
        say(f"Taken back: {assets} assets are as they were.")
        return
    if not which:
        raise typer.BadParameter('name pictures, or a search; "" is everything', param_hint="which")
    body: dict[str, Any] = {"project": project, "person": person, "out_of": out_of}
    body |= {"with_annotations": with_annotations, **_named(which)}
    counted = server().post("/attributions", {**body, "dry_run": True})
    if dry_run or not counted["pictures"]:
        as_json(counted) if json else _say_counts(counted, "Would be changed")
        if not json and not counted["pictures"] and not counted["unchanged"]:
            say(f"Nothing is found. Next: `memoryd search` finds pictures; {' '.join(which)!r} was taken for a search.")
        return
    if not yes:
        _say_counts(counted, "Would be changed")
        typer.confirm("Do it?", abort=True, err=True)
    done = server().post("/attributions", {**body, "dry_run": False})
    if json:
        as_json(done)
        return
    _say_counts(done, "Changed")
    say(f"`memoryd attribute --undo {done['id']}` takes it back.")


_PICTURE = re.compile(r"[0-9a-fA-F]{8,64}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def names_pictures(words: list[str]) -> bool:
    """Tell whether all the words are ids, digests or files; otherwise they are a search."""
    return all(_PICTURE.fullmatch(word) or Path(word).is_file() for word in words)


def _named(which: list[str]) -> dict[str, Any]:
    """Return what words name: pictures where all of them are ids, digests or files; else a search."""
    if names_pictures(which):
        return {"refs": [asset_of(word) for word in which]}
    return {"query": " ".join(which)}


def _say_counts(counted: dict[str, Any], verb: str) -> None:
    sources = ", ".join(f"{count} from {slug or 'no project'}" for slug, count in sorted(counted["out_of"].items()))
    say(
        f"{verb}: {counted['pictures']} pictures ({sources or 'none'}), {counted['assets']} assets,"
        f" {counted['places']} places, {counted['runs']} runs; {counted['copied']} annotations copied;"
        f" {counted['unchanged']} are so already."
    )
