"""`models recall|recalls|unrecall|blast-radius`: what a model touched, and taking it out of use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from memoryd.clearance.recalls.facts import RecallKind
from memoryd.foundation.errors import Conflict
from memoryd.reports.sealing import SUFFIX
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="SHA-256 or its beginning, folder/path, or a name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept, audited, and told to whoever is refused.")]

SHORT = 12
SHOWN_LIMIT = 10
"""Names of a kind that are printed; --json prints all."""


class FileThere(Conflict):
    """There is a file already where the report would be written."""


def register(models: typer.Typer) -> None:
    """Add the commands about recalls to those about models."""
    models.command("recall")(recall)
    models.command("recalls")(list_recalls)
    models.command("unrecall")(unrecall)
    models.command("blast-radius")(blast_radius)


def recall(
    model: Model,
    reason: Reason,
    kind: Annotated[RecallKind, typer.Option("--kind", help="Why it is recalled, in a word.")] = RecallKind.WITHDRAWN,
    json: AsJson = False,
) -> None:
    """Recall a model: refused from now on, its waiting jobs ended, what it touched marked (`is:recalled`)."""
    made = server().post(f"/models/{_ref(model)}/recall", json={"kind": kind.value, "reason": reason})
    if json:
        as_json(made)
        return
    say(f"recalled {made['recall']['model'][:SHORT]} as {made['recall']['kind']} (recall {made['recall']['id']})")
    _say_radius(made["blast_radius"])
    say("Next: memoryd models recalls shows how far the marks are; memoryd search is:recalled finds what is marked")


def unrecall(
    recalled: Annotated[str, typer.Argument(metavar="MODEL|RECALL", help="A recalled model, or a recall's id.")],
    reason: Reason,
    json: AsJson = False,
) -> None:
    """Lift a recall: the model may be used again, and its marks go."""
    lifted = server().post(f"/recalls/{_ref(recalled)}/lift", json={"reason": reason})
    if json:
        as_json(lifted)
        return
    say(f"{lifted['model'][:SHORT]} may be used again; its marks are taken away")


def list_recalls(
    standing: Annotated[bool | None, typer.Option("--standing/--lifted", help="Only those.")] = None,
    limit: Annotated[int | None, typer.Option(help="How many at most.")] = None,
    json: AsJson = False,
) -> None:
    """List recalls, the newest first, with how far their marks are."""
    answer = server().get("/recalls", standing=standing, limit=limit)
    if json:
        as_json(answer)
        return
    table(
        ("RECALL", "MODEL", "KIND", "AT", "BY", "STATE", "MARKED", "JOBS ENDED", "REASON"),
        (
            (
                one["id"],
                one["model"][:SHORT],
                one["kind"],
                one["at"][:16].replace("T", " "),
                one["by"] or "",
                "lifted" if one["lifted_at"] else "stands",
                "" if one["lines_marked"] is None else f"{one['lines_marked']} of {one['lines']}, {one['marking']}",
                "" if one["jobs_ended"] is None else one["jobs_ended"],
                one["reason"],
            )
            for one in answer["items"]
        ),
    )
    if not answer["items"]:
        say("nothing is recalled")


def blast_radius(
    model: Model,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", help="Write a signed report (FILE.json), its signature, and the whole list (FILE.csv)."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Count what a model touched, before anything is decided. Nothing is changed."""
    client = server()
    radius: dict[str, Any] = client.get(f"/models/{_ref(model)}/blast-radius")
    if report is not None:
        _write(model, report)
    if json:
        as_json(radius)
        return
    _say_radius(radius)
    if report is None:
        say("Next: --report FILE writes it, signed; memoryd models recall MODEL --reason … takes it out of use")


def _write(model: str, report: Path) -> None:
    base = report.with_suffix("") if report.suffix in (".json", ".csv") else report
    files = {name: base.with_name(base.name + name) for name in (".json", f".json{SUFFIX}", ".csv")}
    for file in files.values():
        if file.exists():
            raise FileThere(str(file), hint="name another place with --report")
    client = server()
    made = client.post(f"/models/{_ref(model)}/blast-radius/report")
    # Byte for byte as the server signed it: no translation of line ends, no other encoding.
    files[".json"].write_bytes(made["report"].encode())
    files[f".json{SUFFIX}"].write_bytes(made["signature"].encode())
    with files[".csv"].open("xb") as out:
        client.download(f"/models/{_ref(model)}/blast-radius/assets", out, format="csv")
    say(f"wrote {files['.json']} (signed: {files[f'.json{SUFFIX}']}) and {files['.csv']}")
    say(f"Next: memoryd report verify {files['.json']}")


def _say_radius(radius: dict[str, Any]) -> None:
    named = f" ({radius['name']})" if radius["name"] else ""
    say(f"model {radius['model'][:SHORT]}{named} touched")
    say(f"  {radius['generations']} generations, {radius['assets']} assets in {radius['lines']} lines")
    say(f"  {radius['derived_lines']} lines derived from them, {radius['disclosed_copies']} disclosed copies")
    say(f"  {radius['deliveries']} deliveries, {radius['deliveries_frozen']} of them frozen")
    _say_named(
        "delivery",
        [
            f"{one['name']} ({'frozen' if one['frozen_at'] else 'open'}, for {one['client'] or 'nobody named'}):"
            f" {one['items']}"
            for one in radius["named_deliveries"]
        ],
    )
    _say_named("client", radius["clients"])
    _say_named("project", [f"{one['name']}: {one['assets']}" for one in radius["projects"]])
    _say_named("person", [f"{one['name']}: {one['assets']}" for one in radius["people"]])
    _say_named(
        "made of it",
        [f"{one['sha256'][:SHORT]} ({one['via']}): {one['assets']} assets" for one in radius["named_models"]],
    )
    _say_named(
        "possibly",
        [f"{one['generations']} runs name {one['name']} and say by no hash which" for one in radius["possibly"]],
    )
    if radius["partial"]:
        say("  You see some projects only: there may be more.")
    if radius["behind"]:
        say(f"  {radius['behind']} changes are not counted yet: ask again in a moment.")


def _say_named(kind: str, names: list[str]) -> None:
    for name in names[:SHOWN_LIMIT]:
        say(f"    {kind} {name}")
    if len(names) > SHOWN_LIMIT:
        say(f"    and {len(names) - SHOWN_LIMIT} more (--json)")


def _ref(model: str) -> str:
    return quote(model, safe="/")
