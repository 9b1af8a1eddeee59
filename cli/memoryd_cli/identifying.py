"""`identify`: which asset is this file, or of which is it a copy? Also for `reproduce FILE`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd_cli.client import Client, server
from memoryd_cli.output import as_json, say, table

EXIT_CHOOSE = 14
"""A person has to choose between originals: no other command ends with it."""

_SHORT = 12
_SURE = ("exact", "recognised")


class FileUnknown(NotFound):
    """The memory knows no original of this file."""


class NoSuchCandidate(NotAcceptable):
    """There is no candidate of this number."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(identify)


def identify(
    files: Annotated[list[Path], typer.Argument(help="Files, such as what a client sent back.", exists=True)],
    json_wanted: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which asset each file is, or of which it is a copy: by bytes, pixels, fingerprint (mirrored too), its own texts.

    Nothing of the files is kept. Exit codes: 0 each is one asset or a copy of one, 14 a person has to choose,
    5 a file is unknown.
    """
    client = server()
    found = [identified(client, file) for file in files]
    if json_wanted:
        as_json(found)
    else:
        for file, one in zip(files, found, strict=True):
            say_identified(file, one)
    standings = {one["standing"] for one in found}
    if "choose" in standings:
        raise typer.Exit(EXIT_CHOOSE)
    if "unknown" in standings:
        raise typer.Exit(NotFound.exit_code)


def identified(client: Client, file: Path) -> dict[str, Any]:
    """Return what the server says of a file. Raises: as the server's problems."""
    found: dict[str, Any] = client.upload("/assets/identify", file)
    return found


def chosen(found: dict[str, Any], number: int | None) -> dict[str, Any] | None:
    """Return the original that a file comes from: the sure one, or the one of this number; None where a person must choose.

    Raises: NoSuchCandidate.
    """
    candidates: list[dict[str, Any]] = found["candidates"]
    if number is not None:
        if not 1 <= number <= len(candidates):
            hint = f"1 to {len(candidates)}" if candidates else "no original of this file is known"
            raise NoSuchCandidate(str(number), hint=hint)
        return candidates[number - 1]
    return candidates[0] if found["standing"] in _SURE else None


def say_identified(file: Path, found: dict[str, Any]) -> None:
    """Print what a file is; several candidates side by side, with what tells them apart."""
    match found["standing"]:
        case "exact" | "recognised":
            [one, *_] = found["candidates"]
            say(f"{file.name}: {_named(one)}")
            say(f"  by {one['by']}: {one['how']}")
            say(f"  original: {_held(one)}")
        case "choose":
            _say_choice(file, found)
        case _:
            say(f"{file.name}: no original of it is known")
            say(f"  Next: {next_for_unknown(file, found)}")
    for finding in found["findings"]:
        say(f"  finding: {finding['code']}: {finding['detail']}")


def next_for_unknown(file: Path, found: dict[str, Any]) -> str:
    """Return what to do about a file that the memory does not know."""
    name = shlex.quote(str(file))
    if found["holds_graph"]:
        record = f"`memoryd reproduce {name} --take-in` records it"
        return f"it tells its own graph: {record}, and makes it again from that"
    return f"`memoryd ingest {name}` records it; `memoryd search` finds pictures by words; ask for a copy with its metadata"


def _say_choice(file: Path, found: dict[str, Any]) -> None:
    candidates = found["candidates"]
    count = len(candidates)
    say(f"{file.name}: {f'it may come from any of {count}' if count > 1 else 'it may be a copy of one, and may not'}")
    for doubt in candidates[0]["doubts"]:
        say(f"  not sure: {doubt}")
    for one in candidates:
        say(f"  {one['number']}. {_named(one)}: by {one['by']}: {one['how']}; {_held(one)}")
    if found["apart"]:
        say("  what tells them apart:")
        table(
            ["number", *found["apart"]],
            [[one["number"], *(one["facts"].get(name) for name in found["apart"])] for one in candidates],
        )
    say(f"  Next: `memoryd reproduce {shlex.quote(str(file))} --choose N`, when you know which one it is")


def _named(one: dict[str, Any]) -> str:
    name = f"{one['name']} " if one["name"] else ""
    return f"{name}(asset {one['asset_id']}, SHA-256 {one['sha256'][:_SHORT]}…)"


def _held(one: dict[str, Any]) -> str:
    said = {
        "verified": "its file is held, and was read back: the SHA-256 is the recorded one",
        "unread": "its file is held; it is verified when it is downloaded",
        "missing": "its file cannot be had any more",
    }
    return said[one["held"]]
