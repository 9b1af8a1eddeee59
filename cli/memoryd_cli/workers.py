"""`workers`, `pools`: who does jobs, and where jobs may run."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands about workers and pools."""
    workers = typer.Typer(no_args_is_help=True, help="The machines that do jobs.")
    workers.command("add")(add_worker)
    workers.command("list")(list_workers)
    workers.command("drain")(drain_worker)
    app.add_typer(workers, name="workers")
    pools = typer.Typer(no_args_is_help=True, help="Named sets of workers that are alike.")
    pools.command("add")(add_pool)
    pools.command("list")(list_pools)
    app.add_typer(pools, name="pools")


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


def add_pool(
    name: Annotated[str, typer.Argument(help="Short name: small letters, digits, hyphens.")],
    warm_up: Annotated[float, typer.Option(help="Seconds that loading a model takes on its workers.")] = 8.0,
) -> None:
    """Make a pool for this studio's jobs."""
    made = server().post("/pools", json={"name": name, "warm_up_s": warm_up})
    say(f"pool {made['name']}")
    say(f"Next: memoryd workers add --pool {made['name']}")


def list_pools(json: AsJson = False) -> None:
    """List the pools that jobs may name."""
    answer = server().get("/pools")
    if json:
        as_json(answer)
        return
    items = answer["items"]
    table(
        ["name", "shared", "warm-up s", "longest run s"],
        ((one["name"], "yes" if one["shared"] else "no", one["warm_up_s"], one["max_run_time_s"]) for one in items),
    )
