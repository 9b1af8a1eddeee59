"""`reproduce`: give out an original, or make it again and learn whether it is the same. Of an asset, or of any file."""

from __future__ import annotations

import hashlib
import shlex
import time
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from memoryd.foundation.errors import TooLarge, Unavailable
from memoryd_cli.attempts import say_attempt, say_waiting
from memoryd_cli.client import Client, Patience, server
from memoryd_cli.identifying import (
    EXIT_CHOOSE,
    FileUnknown,
    chosen,
    identified,
    next_for_unknown,
    say_identified,
)
from memoryd_cli.output import as_json, explain, say
from memoryd_cli.plans import say_outlook, say_plan
from memoryd_cli.search import asset_of, at
from memoryd_cli.workers import id_of

LOOK_EVERY_S = 0.25
EXIT_CODES = {
    "identical file": 0,
    "identical pixels": 0,
    "within tolerance": 10,
    "different": 11,
    "not attempted": 12,
    "similar": 13,
}
"""So that a script can tell; 0 is said only of identical content. 14 is EXIT_CHOOSE: nothing was taken, nothing started."""


class SavedDamaged(Unavailable):
    """What arrived is not the original."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reproduce)


def reproduce(
    asset: Annotated[
        str | None,
        typer.Argument(
            metavar="ASSET|FILE",
            help="An asset's id, 8 or more digits of its SHA-256, or a path; or any file, such as a client's copy.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the verdict; the exit code tells it (see docs).")
    ] = False,
    pool: Annotated[str, typer.Option(help="Pool whose workers make it.")] = "default",
    require: Annotated[
        str | None,
        typer.Option(
            metavar="identical-environment", help="Refuse rather than try on another environment than then's."
        ),
    ] = None,
    worker: Annotated[str | None, typer.Option(help="This worker and no other: its id or label.")] = None,
    choose: Annotated[
        int | None, typer.Option("--choose", metavar="N", help="Which of several candidates a file comes from.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="PATH", help="Write the original file here, checked by its SHA-256."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Make it again, though the original file is held.")] = False,
    take_in: Annotated[
        bool, typer.Option("--take-in", help="Record a file that is unknown, and make it again from its own graph.")
    ] = False,
    tests: Annotated[
        bool,
        typer.Option(
            "--tests/--no-tests", help="Where it falls short of identical pixels, look for the reason by two runs."
        ),
    ] = True,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it needs, who could do it, and what is missing.")
    ] = False,
    project: Annotated[str | None, typer.Option("--project", "-p", help="With --plan: of a whole project.")] = None,
    search: Annotated[str | None, typer.Option("--search", help="With --plan: of all that a search finds.")] = None,
    approved: Annotated[bool, typer.Option("--approved", help="With --project or --search: only approved.")] = False,
    show: Annotated[str, typer.Option(help="With those: hindered, noticed (also warnings), or all.")] = "hindered",
    limit: Annotated[int, typer.Option(help="With those: pictures of one page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="With those: continue where a page ended.")] = None,
    json_wanted: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Give out an original, or make it again: computed for real, compared byte by byte and pixel by pixel, and recorded.

    A client's file is looked up first: the original's own file is the first answer (--save), making it again the
    second. Where several originals are plausible, none is taken.

    Exit codes with --wait: 0 identical file or pixels, 10 within tolerance, 11 different,
    12 not attempted, 13 similar. 12 also without it, where it is refused at once. 14: a person has to choose; nothing was
    done. With --plan: 12 where something is missing.
    """
    of_many = [word for word, said in (("--project", project), ("--search", search), ("--approved", approved)) if said]
    if of_many and (not plan or asset is not None):
        said = "with an asset or a file" if plan else "without --plan"
        raise typer.BadParameter(f"says nothing {said}: `memoryd reproduce --plan --project P`", param_hint=of_many[0])
    if plan and asset is not None and not Path(asset).is_file():
        say_plan(asset, json=json_wanted)
        return
    if plan and asset is None:
        say_outlook(project, search, approved=approved, show=show, limit=limit, cursor=cursor, json=json_wanted)
        return
    if require not in (None, "identical-environment"):
        raise typer.BadParameter("only `identical-environment` can be required", param_hint="--require")
    if asset is None:
        raise typer.BadParameter("name an asset or a file; --plan also takes --project or --search")
    client = server()
    found = one = None
    if Path(asset).is_file() and (found := _looked_up(client, Path(asset), choose)) is not None:
        one = _meant(found, Path(asset), choose, take_in=take_in, json_wanted=json_wanted)
        asset_id = _taken_in(client, Path(asset)) if one is None else str(one["asset_id"])
    elif choose is not None:
        raise typer.BadParameter("only a file can be one of several", param_hint="--choose")
    else:
        asset_id = asset_of(asset)
    if plan:
        say_plan(asset_id, json=json_wanted)
        return
    if one is not None and found is not None and not one["exact"] and not json_wanted:
        say_identified(Path(asset), {**found, "standing": "recognised", "candidates": [one]})
    saved = None if save is None else _save(client, asset_id, save)
    if saved is not None and not json_wanted:
        say(f"written to {saved}: the original file, its SHA-256 checked")
    # The file itself is the first answer: only where it cannot be had, or somebody asks, is it computed again.
    meant_to_run = again or wait or require is not None or worker is not None
    if not (meant_to_run or (save is None and (one is None or one["exact"] or one["held"] == "missing"))):
        if json_wanted:
            as_json({"file": found, "chosen": one, "saved": None if saved is None else str(saved)})
        elif saved is None:
            say(f"1. `memoryd reproduce {_again(asset, choose)} --save PATH` writes the original file")
            say(f"2. `memoryd reproduce {_again(asset, choose)} --again` makes it again")
        return
    attempt = client.post(
        at(asset_id, "reproductions"),
        json={
            "pool": pool,
            "tests": tests,
            "require": require,
            "worker": None if worker is None else id_of(client, worker),
        },
    )
    if wait:
        if not json_wanted:
            say_waiting(attempt)
        attempt = decided(client, attempt)
    if json_wanted:
        as_json(attempt if one is None else {**attempt, "chosen": one})
    else:
        say_attempt(attempt)
    if wait or attempt["verdict"] == "not attempted":
        raise typer.Exit(EXIT_CODES[attempt["verdict"]])


def _looked_up(client: Client, file: Path, choose: int | None) -> dict[str, Any] | None:
    """Return what the server says of a file; None for one that is too large to be sent, and may be known by its hash."""
    try:
        return identified(client, file)
    except TooLarge:
        if choose is not None:
            raise
        return None


def _meant(
    found: dict[str, Any], file: Path, choose: int | None, *, take_in: bool, json_wanted: bool
) -> dict[str, Any] | None:
    """Return the original that a file comes from; None where it is unknown and shall be taken in. Ends the command else."""
    one = chosen(found, choose)
    if one is not None or (take_in and found["standing"] == "unknown"):
        return one
    if json_wanted:
        as_json({"file": found, "chosen": None, "saved": None})
    elif found["standing"] == "choose":
        say_identified(file, found)
    if found["standing"] == "choose":
        raise typer.Exit(EXIT_CHOOSE)
    error = FileUnknown(
        f"{file.name}: no asset has its bytes or pixels, or shows what it shows", hint=next_for_unknown(file, found)
    )
    if not json_wanted:
        explain(error)
    raise typer.Exit(error.exit_code)


def _taken_in(client: Client, file: Path) -> str:
    return str(client.upload("/uploads", file)["asset_id"])


def _again(asset: str, choose: int | None) -> str:
    return shlex.quote(asset) + ("" if choose is None else f" --choose {choose}")


class _Checked:
    """Writes to a file, and hashes what it writes."""

    def __init__(self, target: BinaryIO) -> None:
        self._target, self.digest = target, hashlib.sha256()

    def write(self, block: bytes) -> int:
        self.digest.update(block)
        return self._target.write(block)


def _save(client: Client, asset_id: str, path: Path) -> Path:
    """Write an original's file; nothing is written over. Raises: SavedDamaged, OSError, and as the server's problems."""
    asset = client.get(at(asset_id))
    if path.is_dir():
        lay = asset["places"][0]["shown_path"] if asset["places"] else asset["sha256"][:16]
        path = path / Path(lay.replace("\\", "/")).name
    try:
        with path.open("xb") as target:
            checked = _Checked(target)
            client.download(at(asset_id, "content"), checked, download=True)  # type: ignore[arg-type]  # only written to
    except FileExistsError:
        raise
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if checked.digest.hexdigest() != asset["sha256"]:
        path.unlink(missing_ok=True)
        raise SavedDamaged(f"{path.name} arrived with another SHA-256", hint="try again; something between changed it")
    return path


def decided(client: Client, attempt: dict[str, Any]) -> dict[str, Any]:
    """Return the attempt when there is a verdict. A server that goes away meanwhile is waited for.

    Raises: Unavailable, where it stays away.
    """
    patience = Patience()
    patience.heard()
    while attempt["state"] != "decided":
        time.sleep(LOOK_EVERY_S)
        try:
            attempt = client.get(f"/reproductions/{attempt['id']}")
            patience.heard()
        except Unavailable as error:
            patience.wait(error)
    return attempt
