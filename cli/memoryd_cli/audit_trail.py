"""`audit`: reading the trail, proving that it is whole, and keeping a proof outside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.access.chain import ChainVerdict, Checkpoint
from memoryd.access.trail_export import read_checkpoint, verify_export
from memoryd.access.wire import VerificationShape
from memoryd.foundation.canonical_json import canonical_bytes, read_json
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

BROKEN_EXIT_CODE = 1


def register(app: typer.Typer) -> None:
    """Add the commands about the audit trail."""
    audit = typer.Typer(no_args_is_help=True, help="The sealed audit trail.")
    audit.command("list")(list_entries)
    audit.command("verify")(verify)
    audit.command("export")(export)
    audit.command("checkpoint")(checkpoint)
    app.add_typer(audit, name="audit")


def list_entries(
    action: Annotated[str | None, typer.Option(help="An action (asset.tag) or a room's (asset.).")] = None,
    subject: Annotated[str | None, typer.Option(help="What was acted on, by its id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Entries at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where a page before ended.")] = None,
    json: AsJson = False,
) -> None:
    """List sealed entries, newest first."""
    answer = server().get("/audit", action=action, subject=subject, limit=limit, cursor=cursor)
    if json:
        as_json(answer)
        return
    table(
        ("seq", "at", "who", "action", "subject", "facts"),
        [
            (e["seq"], e["at"][:19], _who(e), e["action"], e["subject"], canonical_bytes(e["facts"]).decode("ascii"))
            for e in answer["items"]
        ],
    )
    if answer["next_cursor"]:
        say(f"more: --cursor {answer['next_cursor']}")


def verify(
    file: Annotated[Path | None, typer.Argument(help="An exported trail; without, the server's own.")] = None,
    checkpoints: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="A checkpoint that was kept outside; repeatable.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Verify the trail: changed, removed, reordered, inserted entries; with a checkpoint also a cut-off end.

    With FILE it needs neither server nor database. Ends with exit code 1 where something is wrong.
    """
    outside = tuple(read_checkpoint(path.read_bytes()) for path in checkpoints or ())
    verdict = _verify_file(file, outside) if file else _verify_server(checkpoints or [])
    if json:
        as_json(verdict.model_dump())
    else:
        _say_verdict(verdict, against_outside=bool(outside))
    if not verdict.intact:
        raise typer.Exit(BROKEN_EXIT_CODE)


def export(
    out: Annotated[Path | None, typer.Option("--out", help="File to write; without, standard output.")] = None,
) -> None:
    """Export the whole trail for `audit verify FILE`. Names of people stay sealed in it."""
    if out is None:
        server().download("/audit/export", sys.stdout.buffer)
        return
    unfinished = out.with_name(f".{out.name}.unfinished")
    with unfinished.open("wb") as target:
        size = server().download("/audit/export", target)
    unfinished.replace(out)
    say(f"{out}: {size} bytes. Verify it anywhere: memoryd audit verify {out}")


def checkpoint(
    out: Annotated[Path | None, typer.Option("--out", help="File to write; without, standard output.")] = None,
) -> None:
    """Write a signed statement of how far the trail has come: kept elsewhere, it proves that nothing was cut off."""
    document = server().post("/audit/checkpoints")
    if out is None:
        as_json(document)
        return
    out.write_bytes(canonical_bytes(document) + b"\n")
    statement = read_json(str(document["statement"]))
    assert isinstance(statement, dict)
    say(f"{out}: entry {statement['seq']}. Keep it where this server cannot write.")
    say(f"Later: memoryd audit verify --checkpoint {out}")


def _verify_file(file: Path, outside: tuple[Checkpoint, ...]) -> VerificationShape:
    with file.open("rb") as lines:
        verdict: ChainVerdict = verify_export(lines, outside)
    return VerificationShape.of(verdict)


def _verify_server(checkpoints: list[Path]) -> VerificationShape:
    if checkpoints:
        kept = [read_json(path.read_bytes()) for path in checkpoints]
        return VerificationShape.model_validate(server().post("/audit/verification", json=kept))
    return VerificationShape.model_validate(server().get("/audit/verification"))


def _say_verdict(verdict: VerificationShape, *, against_outside: bool) -> None:
    if verdict.intact:
        say(f"intact: {verdict.entries} entries, signed up to {verdict.signed_to}")
    else:
        say(f"NOT INTACT: {verdict.defects} defects in {verdict.entries} entries")
        table(("entry", "defect", "what"), [(f.seq, f.defect, f.sentence) for f in verdict.findings])
    if verdict.last_seq > verdict.signed_to:
        say(f"not signed yet: {verdict.last_seq - verdict.signed_to} entries at the end")
    if verdict.unsealed:
        say(f"not sealed yet, so not proven: {verdict.unsealed} actions")
    if verdict.public_key:
        say(f"signing key: {verdict.public_key}")
    if not against_outside:
        say("A trail cut off together with its own checkpoints shows only against one kept outside: --checkpoint FILE")


def _who(entry: Any) -> str:
    return str(entry["who"]) if entry["who"] else "(erased)" if entry["erased"] else entry["via"] or "memoryd"
