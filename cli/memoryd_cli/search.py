"""`search`, `show`, `lineage`: what the memory holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from memoryd.foundation.errors import NotFound
from memoryd.weights.hashing import hash_file
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Ref = Annotated[str, typer.Argument(help="An asset's id, 8 or more digits of its SHA-256, or a file's path.")]

_SHORT = 12
_PROMPT_WIDTH = 60
_SETTINGS_WIDTH = 600
_UNDER = " " * 15


def register(app: typer.Typer) -> None:
    """Add the commands that find and show."""
    # `-word` means "not this word", also as an argument of its own.
    app.command("search", context_settings={"ignore_unknown_options": True})(search)
    app.command("show")(show)
    app.command("lineage")(lineage)


def asset_of(ref: str) -> str:
    """Return the id of the asset that a reference means: a file of this machine is looked up by its content; where none
    lies any more (in a trash, moved), by the place where it lay.

    Raises: AssetNotFound, as the server's problem.
    """
    path = Path(ref)
    if path.is_file():
        try:
            return str(server().get("/lookup", ref=hash_file(path).sha256.hex())["id"])
        except NotFound:
            ref = str(path.resolve())
    try:
        return str(server().get("/lookup", ref=ref)["id"])
    except NotFound:
        if path.is_absolute() or not (path.suffix or path.parent.name):
            raise
        lay_at = str(path.absolute())
    try:
        return str(server().get("/lookup", ref=lay_at)["id"])
    except NotFound as error:
        raise type(error)(repr(ref), hint=error.hint) from None


def at(asset_id: str, *more: str) -> str:
    """Return the address of something of an asset."""
    return "/".join(["/assets", quote(asset_id, safe=""), *more])


def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(
            help='Words, "phrases", -word, OR, and fields: model:sdxl lora:ink seed:42 after:7d rating:>=3.'
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="Pictures of one page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Continue where a page ended.")] = None,
    json: AsJson = False,
) -> None:
    """Find pictures, newest first."""
    page = server().get("/assets", q=" ".join(query or []), limit=limit, cursor=cursor)
    if json:
        as_json(page)
        return
    table(["asset", "made", "size", "seed", "model", "prompt", "file"], [_row(hit) for hit in page["items"]])
    if not page["items"]:
        say("Nothing found. `memoryd search --help` shows what can be asked; `is:all` adds overwritten pictures.")
    if page["next_cursor"]:
        say(f"More: add --cursor {page['next_cursor']}")


def _row(hit: dict[str, Any]) -> list[object]:
    face = hit["face"]
    prompt = hit["prompt"] or ""
    return [
        face["sha256"][:_SHORT],
        face["made_at"][:16].replace("T", " "),
        _pixels(face),
        hit["seed"],
        hit["models"][0] if hit["models"] else None,
        prompt if len(prompt) <= _PROMPT_WIDTH else prompt[: _PROMPT_WIDTH - 1] + "…",
        _frames(hit["sequence"]) if hit.get("sequence") else face["name"],
    ]


def _frames(sequence: dict[str, Any]) -> str:
    missing = f", {sequence['missing']} missing" if sequence["missing"] else ""
    return f"{sequence['name']} ({sequence['frames']} frames, {sequence['first']} to {sequence['last']}{missing})"


def _traits(asset: dict[str, Any]) -> str:
    traits = asset.get("traits") or {}
    units = {"duration": "s", "frame_rate": "frames/s", "sample_rate": "samples/s", "channels": "channels"}
    told = [f"{traits[name]:g} {unit}" for name, unit in units.items() if traits.get(name) is not None]
    frames = [f"{asset['frames']} frames"] if (asset["frames"] or 1) > 1 else []
    profile = [f"colour profile {traits['profile']['name']}"] if traits.get("profile") else []
    layers = [f"layers {', '.join(traits['layers'])}"] if len(traits.get("layers") or ()) > 1 else []
    return ", ".join([*frames, *told, *profile, *layers])


def _pixels(face: dict[str, Any]) -> str | None:
    return f"{face['width']}x{face['height']}" if face["width"] and face["height"] else None


def show(
    ref: Ref,
    json: AsJson = False,
    paste: Annotated[
        bool, typer.Option("--paste", help="Print only the recipe, as text to paste into AUTOMATIC1111 and its family.")
    ] = False,
) -> None:
    """Show everything about one picture: how it was made, from what, where it lies, what people said."""
    if paste:
        found = server().get(at(asset_of(ref), "paste"))
        as_json(found) if json else say(found["text"])
        return
    asset = server().get(at(asset_of(ref)))
    if json:
        as_json(asset)
        return
    say(f"{asset['kind']} {asset['sha256']}")
    _say("id", asset["id"])
    _say("made", f"{asset['made_at']} (from {asset['made_source']})")
    _say("pixels", _pixels(asset))
    _say("traits", _traits(asset))
    _say("sequence", _frames(asset["sequence"]) if asset.get("sequence") else None)
    _say("disclosed", "yes" if asset["disclosed"] else "no")
    if not asset["head"]:
        _say("note", "not what its name stands for now: overwritten, or a copy (see line)")
    for run in asset["generations"]:
        _say_run(run)
    if not asset["generations"]:
        say("  no recipe is known")
    for place in asset["places"]:
        _say("lies at" if place["state"] == "recorded" else place["state"], _path(place))
    for past in asset["past_places"]:
        _say(past["reason"], f"{past['shown_path']} until {past['until'][:16]}")
    for attached in asset["annotations"]:
        _say_attached(attached)
    for member in asset["line"] if len(asset["line"]) > 1 else []:
        _say("line", f"{member['face']['sha256'][:_SHORT]} {member['succession'] or 'first'}")
    for kind in ("parents", "children"):
        for relative in _each_once(asset[kind]):
            _say(kind[:-1] if kind == "parents" else "child", _relative(relative))
    for attempt in server().get(at(asset["id"], "reproductions"))["items"]:
        _say("made again", f"{attempt['asked_at'][:16]} {attempt['verdict'] or 'running'} (attempt {attempt['id']})")
    for reading in asset["extractions"]:
        for finding in reading["findings"] if reading["current"] else []:
            _say("finding", f"{finding['code']}: {finding['detail']}")


def _say(name: str, value: object) -> None:
    if value not in (None, "", []):
        # What people wrote may have lines of its own; none of them may pass for one of ours.
        say(f"  {name:<12} " + f"\n{_UNDER}".join(str(value).splitlines()))


def _say_run(run: dict[str, Any]) -> None:
    who = f" by {run['person']}" if run["person"] else ""
    where = f" on ComfyUI {run['comfyui_version']}" if run["comfyui_version"] else ""
    where += f" ({run['gpu']})" if run["gpu"] else ""
    # A tool's text speaks of the picture that it stands in; only a graph has several outputs.
    doubt = " (which output is not certain)" if run["exact"] and not run["certain"] else ""
    say(f"  run          {run['origin']}{who}{where}{doubt}")
    _say("tool", " ".join(filter(None, (run["tool"], run["tool_version"]))))
    _say("  environment", run["environment"][:_SHORT] if run["environment"] else "unknown")
    for prompt in run["prompts"]:
        template = " (a template: the text was made at run time)" if prompt["is_template"] else ""
        _say(f"  {prompt['polarity']}", " ".join(prompt["text"].split()) + template + _how(prompt))
    for sampler in run["samplers"]:
        facts = {name: sampler[name] for name in ("seed", "steps", "cfg", "sampler", "scheduler", "denoise")}
        told = "  ".join(f"{name} {'unknown' if value is None else value}" for name, value in facts.items())
        _say("  sampler", told + _how(sampler))
    for model in run["models"]:
        strengths = [str(model[key]) for key in ("strength_model", "strength_clip") if model[key] is not None]
        claimed = f", the file claims {model['claimed_hash'][:_SHORT]}" if model["claimed_hash"] else ""
        known = (
            f"sha256 {model['sha256'][:_SHORT]} by {model['identified']}"
            if model["sha256"]
            else f"content unknown{claimed}"
        )
        licence = (
            f"licence {model['licence']['name']!r} stated by {model['licence']['source']}"
            if model["licence"]
            else "licence unknown"
        )
        _say(f"  {model['role']}", f"{model['name']} {'/'.join(strengths)} ({known}; {licence}){_how(model)}")
    if run["settings"]:
        _say("  settings", ", ".join(f"{name}: {value}" for name, value in run["settings"])[:_SETTINGS_WIDTH])
    for given in run["inputs"]:
        _say("  input", f"{given['name']} {given['sha256'][:_SHORT] if given['sha256'] else '(content unknown)'}")


def _how(fact: dict[str, Any]) -> str:
    """Where a fact comes from and how sure it is, unless it is as sure as can be: executed, by a known place."""
    told = [word for word, plain in ((fact["source"], "executed"), (fact["confidence"], "high")) if word != plain]
    return f"  [{', '.join(told)}]" if told else ""


def _say_attached(attached: dict[str, Any]) -> None:
    said = [f"tags {', '.join(attached['tags'])}"] if attached["tags"] else []
    said += [f"{attached['rating']} stars"] if attached["rating"] else []
    said += [f"in {name}" for name in attached["collections"]]
    if decision := attached["approval"]:
        said.append(f"{decision['state']}{'' if decision['of_this'] else ' (another asset of the line)'}")
    _say("project", ": ".join([attached["project"], *(["; ".join(said)] if said else [])]))
    for note in attached["notes"]:
        _say("note", f"{note['text']} ({note['by'] or 'unknown'}, {note['at'][:10]})")


def _path(place: dict[str, Any]) -> str:
    return str(place["paths"][0][1]) if place["paths"] else str(place["shown_path"])


def _each_once(relatives: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each relative once, nearest first, with all the ways by which it is one."""
    found: dict[str, dict[str, Any]] = {}
    for relative in relatives:
        known = found.setdefault(relative["face"]["id"], {**relative, "via": ""})
        if relative["via"] not in known["via"].split(", "):
            known["via"] = ", ".join(filter(None, (known["via"], relative["via"])))
    return list(found.values())


def _relative(relative: dict[str, Any]) -> str:
    face, steps = relative["face"], relative["distance"]
    return (
        f"{face['sha256'][:_SHORT]} {face['name'] or ''} ({steps} step{'' if steps == 1 else 's'}, {relative['via']})"
    )


def lineage(
    ref: Ref,
    depth: Annotated[int, typer.Option(help="Steps to follow.")] = 50,
    json: AsJson = False,
) -> None:
    """Show what a picture was made from, and what was made from it."""
    family = server().get(at(asset_of(ref), "lineage"), depth=depth)
    if json:
        as_json(family)
        return
    rows = [("made from", relative) for relative in reversed(family["ancestors"])]
    rows += [("made into", relative) for relative in family["descendants"]]
    if not rows:
        say("No parents and no children are known.")
        return
    table(
        ["", "steps", "asset", "via", "file"],
        [
            [
                kind,
                relative["distance"],
                relative["face"]["sha256"][:_SHORT],
                relative["via"] + ("" if relative["source"] == "read" else f" ({relative['source']})"),
                relative["face"]["name"],
            ]
            for kind, relative in rows
        ],
    )
