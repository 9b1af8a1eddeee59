"""`models`: which weights there are, under which names, and which licences somebody named for them."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.filesize import decimal

from memoryd_cli import model_provenance, model_store, recalls
from memoryd_cli.client import server
from memoryd_cli.model_scan import scan_models
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_BY = {
    "header": "the file",
    "sidecar": "what lies beside the file",
    "known-file": "its published hash",
    "person": "a person",
}

SHORT = 12
"""Hex digits of a hash that a list shows; enough to name the model in other commands."""


def register(app: typer.Typer) -> None:
    """Add the commands about models."""
    models = typer.Typer(no_args_is_help=True, help="Model files: what they are, by their bytes; names, licences.")
    models.command("scan")(scan_models)
    models.command("list")(list_models)
    models.command("show")(show_model)
    models.command("licence")(state_licence)
    model_provenance.register(models)
    model_store.register(models)
    recalls.register(models)
    app.add_typer(models, name="models")


def list_models(
    kind: Annotated[str | None, typer.Option(help="checkpoint, lora, vae …")] = None,
    folder: Annotated[str | None, typer.Option(help="Only models with a present name in this folder.")] = None,
    unlicensed: Annotated[bool, typer.Option("--unlicensed", help="Only those nobody named a licence for.")] = False,
    search: Annotated[
        str | None, typer.Option(help="A part of a name, of a trigger word, or of the name of a version.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="How many at most.")] = None,
    json: AsJson = False,
) -> None:
    """List models, the newest first."""
    licensed = False if unlicensed else None
    answer = server().get("/models", kind=kind, folder=folder, licensed=licensed, search=search, limit=limit)
    if json:
        as_json(answer)
        return
    table(
        ("SHA-256", "KIND", "FORMAT", "BASE", "SIZE", "NAME", "VERSION", "MADE FROM", "USES", "LICENCE"),
        (
            (
                model["sha256"][:SHORT],
                model["kind"],
                model["format"],
                model["base"] or "unknown",
                decimal(model["size"]),
                _first_name(model),
                model_provenance.version_of(model),
                str(len(model["parents"]) or ""),
                model_provenance.uses_of(model),
                _granted(model["granted"]),
            )
            for model in answer["items"]
        ),
    )
    if answer["next_cursor"]:
        say("… and more: --limit shows more of them")


def show_model(
    ref: Annotated[str, typer.Argument(help="A SHA-256 or its beginning, folder/path, or a file's name.")],
    json: AsJson = False,
) -> None:
    """Show everything that is known about a model."""
    model = server().get(f"/models/{quote(ref.replace(chr(92), '/'))}")
    if json:
        as_json(model)
        return
    say(f"sha256   {model['sha256']}")
    say(f"kind     {model['kind']}")
    say(f"format   {model['format']}")
    stated = f" (stated: {model['base_name']})" if model["base_name"] else ""
    say(f"base     {model['base'] or 'unknown'}{stated}")
    say(f"size     {decimal(model['size'])}")
    say(f"seen     {model['first_seen']} to {model['last_seen']}")
    say(f"uses     {model_provenance.uses_of(model)} runs")
    if model["triggers"]:
        say(f"triggers {', '.join(model['triggers'])}")
    model_provenance.say_provenance(model)
    for licence in model["licences"]:
        address = f" <{licence['url']}>" if licence["url"] else ""
        say(f"licence  {_licence(licence)}{address}")
    if not model["licences"]:
        granted = model["granted"]
        say(f"licence  {'unknown: nobody named one' if granted is None else _granted(granted)}")
    for name in model["names"]:
        until = f" until {name['seen_to']}" if name["seen_to"] else ""
        where = ", ".join(name["workers"]) or name["worker"]
        say(f"name     {_path(name)} on {where} in {name['root'] or 'its folders'} since {name['seen_from']}{until}")
    for drifted in model["drifted"]:
        say(f"drift    {drifted} stood for other contents too: `memoryd models drift`")
    for algorithm, value in model["aliases"].items():
        by = "measured" if algorithm in model["measured"] else "stated by the file"
        say(f"alias    {algorithm} {value} ({by})")
    for key, value in model["stated"].get("metadata", {}).items():
        say(f"says     {key}: {value}")
    for finding in model["findings"]:
        say(f"finding  {finding['code']}: {finding['detail']}")


def state_licence(
    ref: Annotated[str, typer.Argument(help="A SHA-256 or its beginning, folder/path, or a file's name.")],
    name: Annotated[str, typer.Argument(help="An SPDX id, or the licence's title.")],
    url: Annotated[str | None, typer.Option(help="Where its text can be read.")] = None,
    version: Annotated[str, typer.Option(help="Its version.")] = "",
    reason: Annotated[
        str | None, typer.Option(help="Why you know: with it, it counts instead of what the file says.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Name a licence for a model: your statement, in the audit trail. Verdicts rest on it: see docs/licences.md."""
    body = {"name": name, "url": url, "version": version}
    place = f"/models/{quote(ref.replace(chr(92), '/'))}"
    if reason is None:
        stated = server().post(f"{place}/licences", json=body)
    else:
        server().post(f"{place}/grants", json={**body, "reason": reason})
        stated = server().get(place)["licences"]
    if json:
        as_json({"items": stated})
        return
    for licence in stated:
        say(f"licence  {_licence(licence)}")


def _licence(licence: dict[str, Any] | None) -> str:
    if licence is None:
        return "unknown"
    version = f" {licence['version']}" if licence["version"] else ""
    return f"{licence['name']}{version} (stated by {'the file' if licence['stated_by'] == 'file' else 'a person'})"


def _granted(granted: dict[str, Any] | None) -> str:
    return "unknown" if granted is None else f"{granted['name']} (by {_BY[granted['source']]})"


def _first_name(model: dict[str, Any]) -> str:
    return _path(model["names"][0]) if model["names"] else ""


def _path(name: dict[str, Any]) -> str:
    return f"{name['folder']}/{name['path']}" if name["folder"] else str(name["path"])
