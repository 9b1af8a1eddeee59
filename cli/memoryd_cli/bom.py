"""`memoryd bom ASSET`, `--workflow FILE`, `--project P`, and `memoryd bom check FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from memoryd.foundation.errors import NotAcceptable
from memoryd.reports.bom.checking import check_file
from memoryd.reports.bom.facts import BomVersion
from memoryd.reports.sealing import SUFFIX
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say
from memoryd_cli.reports import BAD_REPORT_EXIT_CODE, FileThere
from memoryd_cli.search import asset_of

UNKNOWNS_SHOWN = 20


class NothingNamed(NotAcceptable):
    """A bill of materials is about one thing: an asset, a workflow or a project."""


def register(app: typer.Typer) -> None:
    """Add the command of bills of materials."""
    app.command("bom")(_bom)


def _bom(
    words: list[str] = typer.Argument(
        None, metavar="[ASSET | check FILE]", help="The asset, or a file to check; or use --workflow, --project."
    ),
    workflow: Path | None = typer.Option(None, "--workflow", help="A graph in ComfyUI's API format."),
    project: str | None = typer.Option(None, "--project", help="All that a project's runs used."),
    version: BomVersion = typer.Option(BomVersion.V1_6, "--spec", help="Version of CycloneDX."),
    out: Path = typer.Option(Path(), "--out", help="Folder or file to write to."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Write a signed AI bill of materials (CycloneDX); `memoryd bom check FILE` validates one, offline."""
    if words and words[0] == "check":
        if len(words) != 2:
            raise NothingNamed("no file was named", hint="memoryd bom check FILE")
        _check(Path(words[1]), json)
        return
    asked: dict[str, Any] = {"version": version.value}
    if words:
        asked["ref"] = asset_of(" ".join(words))
    if workflow is not None:
        asked |= {"workflow": _prompt(workflow), "name": workflow.name}
    if project is not None:
        asked["project"] = project
    if len(asked.keys() & {"ref", "workflow", "project"}) != 1:
        raise NothingNamed("name one of them", hint="memoryd bom ASSET, --workflow FILE or --project P")
    made = server().post("/boms", json=asked)
    file = out / str(made["name"]) if out.is_dir() else out
    _write(file, made["bom"])
    _write(file.with_name(file.name + SUFFIX), made["signature"])
    if json:
        as_json({"files": [str(file), f"{file}{SUFFIX}"], "models": made["models"], "unknowns": made["unknowns"]})
        return
    say(f"{file}: {made['models']} models")
    for unknown in made["unknowns"][:UNKNOWNS_SHOWN]:
        say(f"unknown  {unknown}")
    if len(made["unknowns"]) > UNKNOWNS_SHOWN:
        say(f"unknown  … and {len(made['unknowns']) - UNKNOWNS_SHOWN} more: --json tells them")
    say(f"Check it anywhere: memoryd bom check {file}; its signature: memoryd report verify {file}")


def _prompt(workflow: Path) -> str:
    try:
        return workflow.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NothingNamed(f"{workflow}: {error}", hint="a graph saved by ComfyUI's *Export (API)*") from None


def _write(file: Path, content: str) -> None:
    try:
        with file.open("xb") as written:
            # Byte for byte as the server signed it.
            written.write(content.encode("ascii"))
    except FileExistsError:
        raise FileThere(str(file), hint="name another place with --out") from None


def _check(file: Path, json: bool) -> None:
    version, problems = check_file(file)
    if json:
        as_json({"version": version.value, "valid": not problems, "problems": problems})
    elif problems:
        for problem in problems:
            say(f"wrong  {problem}")
    else:
        say(f"valid: CycloneDX {version.value}")
    if problems:
        raise typer.Exit(BAD_REPORT_EXIT_CODE)
