"""`environment`: what runs ran in, what differs between two, and building one again."""

from __future__ import annotations

import json as json_text
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.foundation.errors import Conflict
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Which = Annotated[str, typer.Argument(metavar="ENV", help="Its hash, or at least 8 digits of it.")]
DIFFERENT_EXIT_CODE = 1
"""As `diff` tells it: 0 is said only where nothing differs."""
SHOWN = 12
"""Digits of a hash that lists show."""


class FolderNotEmpty(Conflict):
    """There is something in this folder already."""


def register(app: typer.Typer) -> None:
    """Add the commands about environments."""
    environment = typer.Typer(no_args_is_help=True, help="What runs ran in: versions, devices, node packs, threads.")
    environment.command("list")(list_environments)
    environment.command("show")(show_environment)
    environment.command("diff")(diff)
    environment.command("export")(export)
    environment.command("look")(look)
    app.add_typer(environment, name="environment")


def list_environments(
    limit: Annotated[int, typer.Option(help="How many at most, newest first.")] = 50, json: AsJson = False
) -> None:
    """List the environments that runs had or workers have."""
    answer = server().listed("/environments", limit=limit)
    if json:
        as_json(answer)
        return
    table(
        ["environment", "ComfyUI", "torch", "device", "runs", "workers now", "known since"],
        (
            (
                one["sha256"][:SHOWN],
                one["comfyui"] or "unknown",
                one["torch"] or "unknown",
                one["devices"] or "unknown",
                f"{one['runs']}{'+' if one['more_runs'] else ''}",
                ",".join(worker["label"] for worker in one["workers"] if worker["present"]),
                one["known_since"][:19],
            )
            for one in answer["items"]
        ),
    )


def show_environment(ref: Which, json: AsJson = False) -> None:
    """Show what is known of an environment, who had it, and what is unknown."""
    shown = server().get(f"/environments/{ref}")
    if json:
        as_json(shown)
        return
    say(f"environment {shown['sha256']}")
    say(f"runs: {shown['runs']}{' or more' if shown['more_runs'] else ''}, last {shown['last_run_at'] or 'never'}")
    for worker in shown["workers"]:
        until = "now" if worker["present"] else worker["last_at"][:19]
        say(f"worker {worker['label']}: {worker['first_at'][:19]} to {until}")
    for name, value in shown["document"].items():
        if name == "packages":
            say(f"packages: {len(value)}")
        elif name == "node_packs":
            for pack in value:
                say(f"node pack {pack['name']}: {_pack(pack, shown['kept_sources'])}")
        else:
            say(f"{name}: {_word(value)}")
    for name, words in shown["unknown"].items():
        say(f"unknown: {name} ({words})")


def _pack(pack: dict[str, Any], kept: dict[str, int]) -> str:
    parts = [pack.get("remote") or "address unknown", pack.get("commit") or "commit unknown"]
    if pack.get("changed"):
        parts.append("changed after its commit")
    if pack.get("tree") in kept:
        parts.append("sources kept")
    return ", ".join(parts)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json_text.dumps(value, ensure_ascii=False)


def diff(
    then: Which,
    now: Annotated[str, typer.Argument(metavar="ENV", help="The other one.")],
    json: AsJson = False,
) -> None:
    """Name every difference between two environments, the likeliest cause of other pixels first.

    Exit codes: 0 nothing differs, 1 something does.
    """
    _tell(server().get(f"/environments/{then}/diff/{now}"), json)


def _tell(answer: dict[str, Any], json: bool) -> None:
    if json:
        as_json(answer)
    elif answer["identical"]:
        say("nothing differs")
    else:
        table(
            ["difference", "then", "now", "can explain"],
            ((one["name"], _side(one["then"]), _side(one["now"]), one["bearing"]) for one in answer["differences"]),
        )
    if not answer["identical"]:
        raise typer.Exit(DIFFERENT_EXIT_CODE)


def _side(value: Any) -> str:
    return "none or unknown" if value is None else _word(value)


def export(
    ref: Which,
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder, or one that is empty.")],
) -> None:
    """Write a lock file, a script and a Dockerfile from which an environment can be built again.

    README.md says how, and what is unknown. It holds no model.
    """
    if output.exists() and any(output.iterdir()):
        raise FolderNotEmpty(str(output), hint="name a new folder with -o")
    with tempfile.TemporaryFile() as packed:
        server().download(f"/environments/{ref}/export", packed)
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(output)
    for script in output.glob("*.sh"):
        script.chmod(0o755)
    say(f"{output / 'README.md'} says how to build it: {output / 'build.sh'} TARGET")


def look(
    comfyui: Annotated[str, typer.Option(help="Address of a ComfyUI that runs.")] = "http://127.0.0.1:8188",
    than: Annotated[str | None, typer.Option(metavar="ENV", help="Compare with this environment.")] = None,
    json: AsJson = False,
) -> None:
    """Look at the ComfyUI that runs here as a worker would, without one: its environment's hash, or what differs.

    Exit codes with --than: 0 nothing differs, 1 something does.
    """
    from memoryd.comfyui.client import ComfyClient
    from memoryd.worker.state_folder import StateFolder
    from memoryd.worker.survey import look_around

    with tempfile.TemporaryDirectory() as home, ComfyClient(comfyui) as client:
        survey = look_around(client, StateFolder(Path(home), comfyui))
    if than is not None:
        _tell(server().post(f"/environments/{than}/diff", json={"document": dict(survey.environment)}), json)
        return
    if json:
        as_json({"sha256": survey.environment_sha256.hex(), "document": dict(survey.environment)})
        return
    say(f"environment {survey.environment_sha256.hex()}")
    for name, value in survey.environment.items():
        say(f"{name}: {len(value) if isinstance(value, (dict, list)) and name == 'packages' else _word(value)}")
