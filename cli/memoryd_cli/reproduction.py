"""`reproduce`: make an asset again, and learn whether it is the same."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from memoryd_cli.client import server
from memoryd_cli.output import as_json, say
from memoryd_cli.search import Ref, asset_of, at

LOOK_EVERY_S = 0.25
EXIT_CODES = {
    "identical file": 0,
    "identical pixels": 0,
    "within tolerance": 10,
    "different": 11,
    "not attempted": 12,
    "similar": 13,
}
"""So that a script can tell; 0 is said only of identical content."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reproduce)


def reproduce(
    asset: Ref,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the verdict; the exit code tells it (see docs).")
    ] = False,
    pool: Annotated[str, typer.Option(help="Pool whose workers make it.")] = "default",
    json_wanted: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make an asset again: computed for real, compared byte by byte and pixel by pixel; the verdict is recorded.

    Exit codes with --wait: 0 identical file or pixels, 10 within tolerance, 11 different,
    12 not attempted, 13 similar.
    """
    client = server()
    attempt = client.post(at(asset_of(asset), "reproductions"), json={"pool": pool})
    if wait:
        while attempt["state"] != "decided":
            time.sleep(LOOK_EVERY_S)
            attempt = client.get(f"/reproductions/{attempt['id']}")
    if json_wanted:
        as_json(attempt)
    else:
        _say(attempt)
    if wait:
        raise typer.Exit(EXIT_CODES[attempt["verdict"]])


def _say(attempt: dict[str, Any]) -> None:
    if attempt["state"] != "decided":
        say(f"job {attempt['job_id']} makes it again; `memoryd jobs show {attempt['job_id']}` follows it")
        return
    say(f"verdict: {attempt['verdict']}")
    for cause in attempt["causes"]:
        say(f"  {cause['code']}: {cause['detail']}")
        if cause["next_step"]:
            say(f"  Next: {cause['next_step']}")
    for name, value in attempt["measures"].items():
        say(f"  {name}: {value}")
