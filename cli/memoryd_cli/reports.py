"""`memoryd report ASSET|'search'` and `memoryd report verify FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from memoryd.disclosure.facts import SealState
from memoryd.disclosure.pki import load_anchors
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.settings import Settings
from memoryd.reports.sealing import SUFFIX, verify_report
from memoryd_cli.attribution import names_pictures
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say
from memoryd_cli.search import asset_of, at

BAD_REPORT_EXIT_CODE = 10
"""`report verify` ends with this where the report or its signature was changed or cannot be read."""


SHA_DIGITS = 24
"""Digits by which one of several pictures is asked for; a search has 4,096 characters at most."""


class FileThere(Conflict):
    """There is a file already where the report would be written."""


class NoReport(NotFound):
    """Nothing was named to be verified."""


def register(app: typer.Typer) -> None:
    """Add the command of reports."""
    app.command("report")(_report)


def _report(
    words: list[str] = typer.Argument(metavar="ASSET|'search'|verify FILE", help="What to report about, or verify."),
    html: bool = typer.Option(False, "--html", help="Write a page as well."),
    out: Path = typer.Option(Path(), "--out", help="Folder or name (without suffix) to write to."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Write a signed lineage report, gaps first; `memoryd report verify FILE` checks one, offline."""
    if words[0] == "verify":
        if len(words) < 2:
            raise NoReport("no file was named", hint="memoryd report verify FILE")
        _verify(Path(" ".join(words[1:])), json)
        return
    _make(_several(words) if len(words) > 1 and names_pictures(words) else " ".join(words), html, out, json)


def _several(refs: list[str]) -> str:
    """Return the search that finds exactly these pictures."""
    digests = [server().get(at(asset_of(ref)))["sha256"] for ref in refs]
    return "is:all " + " OR ".join(f"sha256:{digest[:SHA_DIGITS]}" for digest in digests)


def _make(what: str, html: bool, out: Path, json: bool) -> None:
    client = server()
    asked: dict[str, Any] = {"format": "html" if html else "json"}
    try:
        asked["ref"] = asset_of(what)
    except NotFound:
        asked["query"] = what
    made: dict[str, Any] = client.post("/reports", json=asked)
    base = out / str(made["name"]) if out.is_dir() else out
    files = {f"{base}.json": made["report"], f"{base}.json{SUFFIX}": made["signature"]}
    if made.get("html"):
        files |= {f"{base}.html": made["html"], f"{base}.html{SUFFIX}": made["html_signature"]}
    for name, content in files.items():
        try:
            with Path(name).open("xb") as file:
                # Byte for byte as the server signed it: no translation of line ends, no other encoding.
                file.write(content.encode("utf-8"))
        except FileExistsError:
            raise FileThere(name, hint="name another place with --out") from None
    if json:
        as_json({"files": list(files)})
        return
    for name in files:
        say(name)
    say(f"Check it anywhere: memoryd report verify {base}.json")


def _verify(file: Path, json: bool) -> None:
    verdict = verify_report(file, load_anchors(Settings().secrets_folder / "pki"))
    if json:
        as_json(
            {
                "state": verdict.state.value,
                "detail": verdict.detail,
                "signer": verdict.signer,
                "signed_at": verdict.signed_at,
                "trusted_by": verdict.trusted_by,
                "sha256": verdict.sha256,
            }
        )
    else:
        say(f"{verdict.state.value}: {verdict.detail}")
        if verdict.signer:
            say(f"  signed by {verdict.signer} at {verdict.signed_at}, by the signer's own clock")
            say(
                f"  trusted by {verdict.trusted_by}"
                if verdict.trusted_by
                else "  nobody trusted here vouches for the signer"
            )
    if verdict.state in (SealState.CHANGED, SealState.UNREADABLE):
        raise typer.Exit(BAD_REPORT_EXIT_CODE)
