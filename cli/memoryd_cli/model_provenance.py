"""`models version|families|derive|underive|origins|drift|uses|places|look-up`: where models belong and come from."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from memoryd.model_registry.facts import Via
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Ref = Annotated[str, typer.Argument(help="A SHA-256 or its beginning, folder/path, or a file's name.")]
Limit = Annotated[int | None, typer.Option(help="How many at most.")]

SHORT = 12
MORE = "… and more: --limit shows more of them"


def register(models: typer.Typer) -> None:
    """Add the commands to those about models."""
    models.command("version")(state_version)
    models.command("families")(list_families)
    models.command("derive")(derive)
    models.command("underive")(underive)
    models.command("origins")(show_origins)
    models.command("drift")(list_drift)
    models.command("uses")(list_uses)
    models.command("places")(list_places)
    models.command("look-up")(look_up)


def state_version(
    ref: Ref,
    family: Annotated[str | None, typer.Argument(help="The model as people speak of it.")] = None,
    version: Annotated[str | None, typer.Argument(help="Which version of it the file is.")] = None,
    url: Annotated[str | None, typer.Option(help="Where it can be read about.")] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take back what a person said.")] = False,
    json: AsJson = False,
) -> None:
    """Say which version of which model a file is. What lies beside the file proposes one; a person decides."""
    place = f"/models/{_spelled(ref)}/version"
    if withdraw:
        stated = server().delete(place)
    elif family is None or version is None:
        raise typer.BadParameter("name the model and its version, or take back with --withdraw")
    else:
        stated = server().put(place, json={"family": family, "version": version, "url": url})
    if json:
        as_json({"items": stated})
        return
    for one in stated:
        say(f"version  {_version(one)}")


def list_families(
    search: Annotated[str | None, typer.Option(help="A part of the name.")] = None,
    limit: Limit = None,
    json: AsJson = False,
) -> None:
    """List models as people speak of them, with their versions and files."""
    answer = server().get("/models/families", search=search, limit=limit)
    if json:
        as_json(answer)
        return
    table(
        ("MODEL", "SOURCE", "VERSION", "FILES"),
        (
            (family["name"], family["source"], one["name"], " ".join(sha256[:SHORT] for sha256 in one["sha256s"]))
            for family in answer["items"]
            for one in family["versions"]
        ),
    )
    if answer["next_cursor"]:
        say(MORE)


def derive(
    child: Ref,
    parent: Annotated[str, typer.Option("--from", help="What it was made from, named as models are.")],
    via: Annotated[Via, typer.Option(help="How.")],
    json: AsJson = False,
) -> None:
    """Say what a model was made from. Recorded as your statement; nothing is made from what was made from it."""
    answer = server().post(f"/models/{_spelled(child)}/origins", json={"parent": _plain(parent), "via": via.value})
    _say_origins(answer, json)


def underive(
    child: Ref,
    parent: Annotated[str, typer.Option("--from", help="What it was not made from.")],
    via: Annotated[Via | None, typer.Option(help="Only this way.")] = None,
    json: AsJson = False,
) -> None:
    """Take back what people said that a model was made from."""
    answer = server().delete(
        f"/models/{_spelled(child)}/origins", parent=_plain(parent), via=None if via is None else via.value
    )
    _say_origins(answer, json)


def show_origins(ref: Ref, json: AsJson = False) -> None:
    """Show what a model was made from, and what was made from it, at whatever distance."""
    _say_origins(server().get(f"/models/{_spelled(ref)}/origins"), json)


def list_drift(limit: Limit = None, json: AsJson = False) -> None:
    """List names that stood for several contents, when and where, with the runs that each content made."""
    answer = server().get("/models/drift", limit=limit)
    if json:
        as_json(answer)
        return
    for name in answer["items"]:
        say(f"{name['folder']}/{name['path']}" if name["folder"] else name["path"])
        for content in name["contents"]:
            runs = f"{content['runs']}{'+' if content['runs_more'] else ''} runs"
            say(f"  {content['sha256'][:SHORT]}  {runs}")
            for seen in content["intervals"]:
                say(f"    on {seen['worker']} from {seen['seen_from']} to {seen['seen_to'] or 'now'}")
    if not answer["items"]:
        say("every name has stood for one content only")
    if answer["next_cursor"]:
        say(MORE)


def list_uses(ref: Ref, limit: Limit = None, json: AsJson = False) -> None:
    """List the runs that used a model, the newest first."""
    answer = server().get(f"/models/{_spelled(ref)}/generations", limit=limit)
    if json:
        as_json(answer)
        return
    table(
        ("RUN", "PROJECT", "AT", "NAMES", "ASSETS"),
        (
            (
                run["generation_id"],
                run["project"] or "",
                run["started_at"] or run["recorded_at"],
                ", ".join(run["names"]),
                str(len(run["assets"])),
            )
            for run in answer["items"]
        ),
    )
    if answer["next_cursor"]:
        say(MORE)


def list_places(json: AsJson = False) -> None:
    """List the folders with models, and who sees each."""
    answer = server().get("/models/places")
    if json:
        as_json(answer)
        return
    table(
        ("MACHINE", "FOLDER", "KIND", "SEEN BY", "NAMES", "LAST SEEN"),
        (
            (
                place["worker"],
                place["root"],
                place["kind"],
                ", ".join(place["workers"]),
                str(place["names"]),
                place["last_seen"],
            )
            for place in answer["items"]
        ),
    )


def look_up(ref: Ref, json: AsJson = False) -> None:
    """Ask a public service about a model by its hash, where the operator turned that on. Nothing else leaves."""
    answer = server().post(f"/models/{_spelled(ref)}/look-up")
    if json:
        as_json(answer)
    elif not answer["found"]:
        say(f"{answer['service']} does not know it")
    else:
        say(f"{answer['service']}: {answer['family']} {answer['version']}, base {answer['base_name'] or 'unknown'}")
        say(f"url      {answer['url'] or 'unknown'}")


def version_of(model: dict[str, Any]) -> str:
    """Return which version of which model a file is, in a few words."""
    version = model["version"]
    return "" if version is None else f"{version['family']} {version['version']}"


def uses_of(model: dict[str, Any]) -> str:
    """Return how many runs used a model, as a list shows it."""
    return f"{model['uses']}{'+' if model['uses_more'] else ''}"


def say_provenance(model: dict[str, Any]) -> None:
    """Say which version a model is, what it was made from, and what was made from it."""
    for one in model["versions"]:
        say(f"version  {_version(one)}")
    for one in model["parents"]:
        known = one["parent"][:SHORT] if one["parent"] else f"{one['stated']} (no such file is known)"
        say(f"from     {known}, {one['via']} ({_by(one)})")
    for one in model["derived"]:
        say(f"made     {one['child'][:SHORT]}, {one['via']} ({_by(one)})")


def _say_origins(answer: dict[str, Any], json: bool) -> None:
    if json:
        as_json(answer)
        return
    for one in answer["ancestors"]:
        known = one["sha256"][:SHORT] if one["sha256"] else f"{one['stated']} (no such file is known)"
        say(f"from     {'  ' * (one['depth'] - 1)}{known}, {one['via']} ({_by(one)})")
    for one in answer["descendants"]:
        say(f"made     {'  ' * (one['depth'] - 1)}{one['sha256'][:SHORT]}, {one['via']} ({_by(one)})")
    more = answer["descendants_total"] - len(answer["descendants"])
    if more:
        say(f"made     … and {more} more")
    if not answer["ancestors"] and not answer["descendants"]:
        say("nobody says what it was made from, or what from it")


def _version(one: dict[str, Any]) -> str:
    return f"{one['family']} {one['version']}, from {one['source']} ({_by(one)})"


def _by(one: dict[str, Any]) -> str:
    words = {"header": "the file says so", "sidecar": "a file beside it says so", "look-up": "looked up"}
    return words.get(one["stated_by"], "a person says so")


def _plain(ref: str) -> str:
    return ref.replace(chr(92), "/")


def _spelled(ref: str) -> str:
    return quote(_plain(ref))
