"""`workers`: who does jobs."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands about workers."""
    workers = typer.Typer(no_args_is_help=True, help="The machines that do jobs.")
    workers.command("add")(add_worker)
    workers.command("list")(list_workers)
    workers.command("drain")(drain_worker)
    app.add_typer(workers, name="workers")


def add_worker(
    pool: Annotated[str, typer.Option(help="Pool that it serves.")] = "default",
    label: Annotated[str | None, typer.Option(help="Name to show; by default the machine's.")] = None,
    comfyui: Annotated[
        str, typer.Option(help="Address of ComfyUI, as the worker's machine sees it.")
    ] = "http://127.0.0.1:8188",
    json: AsJson = False,
) -> None:
    """Print the command that makes a machine a worker. Its token is good once, and for a day."""
    client = server()
    made = client.post("/workers", json={"pool": pool, "label": label})
    command = ["memoryd", "worker", "--server", client.url, "--token", made["token"], "--comfyui", comfyui]
    line = " ".join(shlex.quote(word) for word in command)
    if json:
        as_json({**made, "command": line})
        return
    say(line)


def list_workers(json: AsJson = False) -> None:
    """List the workers, what they do, and when they were last heard."""
    answer = server().get("/workers")
    if json:
        as_json(answer)
        return
    items: list[dict[str, Any]] = answer["items"]
    table(
        ["id", "label", "state", "online", "pools", "running", "models", "last heard"],
        (
            (
                one["id"],
                one["label"],
                one["state"],
                "yes" if one["online"] else "no",
                ",".join(one["pools"]),
                one["running"],
                one["models"],
                one["seen_at"] or "never",
            )
            for one in items
        ),
    )


def drain_worker(worker: Annotated[str, typer.Argument(help="Id of the worker.")]) -> None:
    """Let a worker finish what it has and take nothing new, until it is started again."""
    server().post(f"/workers/{worker}/drain")
    say(f"worker {worker} finishes what it has and takes nothing new")
