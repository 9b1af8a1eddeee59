"""`receipt`: the signed verdict on an attempt: shown, fetched, and verified by anybody, without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.disclosure.facts import SealState
from memoryd.disclosure.pki import load_anchors
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.settings import Settings
from memoryd.reproduction.receipt_checking import RECEIPT_BYTES_LIMIT, Holds, ReceiptVerdict, check_receipt
from memoryd_cli.attempts import say_attempt
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say
from memoryd_cli.search import AsJson

BAD_RECEIPT_EXIT_CODE = 10
"""`receipt verify` ends with this where the receipt was changed, or a file speaks against it."""

Attempt = Annotated[
    str, typer.Argument(metavar="ATTEMPT", help="An attempt's id, as `memoryd reproduce --json` tells it.")
]


class FileThere(Conflict):
    """There is a file already where this would be written."""


class NoReceipt(NotFound):
    """There is no such file."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    receipt = typer.Typer(help="Signed verdicts on attempts to make a picture again.", no_args_is_help=True)
    receipt.command("show")(show)
    receipt.command("get")(get)
    receipt.command("difference")(difference)
    receipt.command("verify")(verify)
    app.add_typer(receipt, name="receipt")


def show(attempt: Attempt, json: AsJson = False) -> None:
    """Show an attempt as it stands: verdict, causes, and what second runs showed of them."""
    found = server().get(f"/reproductions/{attempt}")
    if json:
        as_json(found)
    else:
        say_attempt(found)


def get(
    attempt: Attempt,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; else it is printed.")] = None,
) -> None:
    """Fetch the signed receipt, byte for byte as it was signed."""
    if out is None:
        # Byte for byte: spelled otherwise, it would not be what was signed.
        server().download(f"/reproductions/{attempt}/receipt", sys.stdout.buffer)
        return
    _fetch(f"/reproductions/{attempt}/receipt", out)
    say(f"{out}")
    say(f"Check it anywhere: memoryd receipt verify {out} --original FILE --made FILE")


def difference(
    attempt: Attempt,
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG file to write.")],
) -> None:
    """Fetch the difference picture: black is equal; its description says what white is."""
    _fetch(f"/reproductions/{attempt}/difference", out)
    say(f"{out}")


def verify(
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="The receipt's file.")],
    original: Annotated[
        Path | None, typer.Option("--original", help="The original's file, to hold against it.")
    ] = None,
    made: Annotated[Path | None, typer.Option("--made", help="The file that was made again.")] = None,
    json: AsJson = False,
) -> None:
    """Verify a receipt offline: signature, shape, and, with the files, whether what it claims holds again.

    Exit codes: 0 good, 10 changed or contradicted. No server and no database are asked.
    """
    try:
        with receipt.open("rb") as file:
            content = file.read(RECEIPT_BYTES_LIMIT + 1)
    except OSError as error:
        raise NoReceipt(
            f"{receipt}: {error.strerror}", hint="`memoryd receipt get ATTEMPT -o FILE` fetches one"
        ) from None
    found = check_receipt(content, load_anchors(Settings().secrets_folder / "pki"), original=original, made=made)
    if json:
        as_json(_as_json(found))
    else:
        _say(found)
    if not found.good:
        raise typer.Exit(BAD_RECEIPT_EXIT_CODE)


def _fetch(path: str, out: Path) -> None:
    """Write what the server answers; nothing is written over, and nothing half is left."""
    try:
        with out.open("xb") as target:
            server().download(path, target)
    except FileExistsError:
        raise FileThere(str(out), hint="name another file with --out") from None
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _as_json(found: ReceiptVerdict) -> dict[str, Any]:
    return {
        "good": found.good,
        "verdict": found.verdict.value if found.verdict else None,
        "asset_sha256": found.asset_sha256,
        "seal": {
            "state": found.seal.state.value,
            "detail": found.seal.detail,
            "signer": found.seal.signer,
            "signed_at": found.seal.signed_at,
            "trusted_by": found.seal.trusted_by,
        },
        "development": found.development,
        "checks": [{"what": each.what, "holds": each.holds.value, "detail": each.detail} for each in found.checks],
    }


def _say(found: ReceiptVerdict) -> None:
    seal = found.seal
    say(f"{seal.state.value}: {seal.detail}")
    if seal.state in (SealState.INTACT, SealState.INTACT_UNKNOWN_SIGNER):
        say(f"  signed by {seal.signer} at {seal.signed_at}, by the signer's own clock")
        say(f"  trusted by {seal.trusted_by}" if seal.trusted_by else "  nobody trusted here vouches for the signer")
        if found.development:
            say("  a development certificate: nobody outside that installation vouches for it")
    if found.verdict is not None:
        say(f"claims: {found.verdict.value} of {found.asset_sha256}")
    for check in found.checks:
        mark = {Holds.YES: "ok", Holds.NO: "NO", Holds.UNKNOWN: "?"}[check.holds]
        say(f"  {mark:>2} {check.what}: {check.detail}")
