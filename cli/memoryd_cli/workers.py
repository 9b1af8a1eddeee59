"""`workers`: who does jobs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd.foundation.ids import parse_id
from memoryd_cli.client import Client, server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Which = Annotated[str, typer.Argument(metavar="WORKER", help="Id or label of the worker.")]


COMFYUI = "http://127.0.0.1:8188"
"""Where a ComfyUI listens that nobody told otherwise."""


class TwoEngines(NotAcceptable):
    """A worker runs jobs on one ComfyUI."""


class NoSuchWorker(NotFound):
    """There is no one such worker."""


def register(app: typer.Typer) -> None:
    """Add the commands about workers."""
    workers = typer.Typer(no_args_is_help=True, help="The machines that do jobs.")
    workers.command("add")(add_worker)
    workers.command("list")(list_workers)
    workers.command("show")(show_worker)
    workers.command("drain")(drain_worker)
    workers.command("undrain")(undrain_worker)
    workers.command("remove")(remove_worker)
    app.add_typer(workers, name="workers")


def add_worker(
    pool: Annotated[str, typer.Option(help="Pool that it serves.")] = "default",
    label: Annotated[str | None, typer.Option(help="Name to show; by default the machine's.")] = None,
    comfyui: Annotated[
        str | None,
        typer.Option(
            help="Address of a ComfyUI that runs already, as the worker's machine sees it; http://127.0.0.1:8188 "
            "where neither is given."
        ),
    ] = None,
    comfyui_dir: Annotated[
        str | None,
        typer.Option(help="Folder of a ComfyUI on that machine instead: the worker launches one of its own from it."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Print the command that makes a machine a worker. Its token is good once, and for a day."""
    if comfyui is not None and comfyui_dir is not None:
        raise TwoEngines("--comfyui and --comfyui-dir", hint="name the one that runs already, or the folder of one")
    client = server()
    made = client.post("/workers", json={"pool": pool, "label": label})
    engine = ["--comfyui-dir", comfyui_dir] if comfyui_dir is not None else ["--comfyui", comfyui or COMFYUI]
    command = ["memoryd", "worker", "--server", client.url, "--token", made["token"], *engine]
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
    if not items:
        say("no worker serves this studio")
        say("Next: memoryd workers add prints the command that joins one")
        return
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


def show_worker(
    worker: Which,
    models: Annotated[
        bool, typer.Option("--models", help="List its model files, with the hashes measured so far.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show a worker: GPU, ComfyUI, node packs, launch flags, and what it runs."""
    client = server()
    shown = client.get(f"/workers/{id_of(client, worker)}")
    files = list(_models(client, shown["id"])) if models else []
    if json:
        as_json({**shown, "model_files": files} if models else shown)
        return
    gpu = shown["gpu"]
    memory = f"{gpu['vram_mb']} MB" if gpu["vram_mb"] is not None else "unknown"
    table(
        ["what", "is"],
        [
            ("worker", f"{shown['label']} ({shown['id']})"),
            ("state", f"{shown['state']}, {'online' if shown['online'] else 'offline'}"),
            ("last heard", shown["seen_at"] or "never"),
            ("host", shown["host"]),
            ("pools", ", ".join(shown["pools"]) or "none"),
            ("jobs", ", ".join(shown["jobs"]) or "none"),
            ("GPU", f"{gpu['name'] or 'unknown'}, memory {memory}, driver {gpu['driver'] or 'unknown'}"),
            ("GPU id", gpu["uuid"] or "unknown"),
            ("ComfyUI", shown["comfyui"] or "unknown"),
            ("launch flags", " ".join(shown["launch_flags"]) or "none"),
            ("node classes", shown["node_classes"]),
            ("models", f"{shown['models']}, {shown['models_hashed']} of them hashed"),
            *(("node pack", _pack(pack)) for pack in shown["node_packs"]),
        ],
    )
    if models:
        table(
            ["folder", "file", "bytes", "SHA-256"],
            ((one["folder"], one["path"], one["size"], one["sha256"] or "not hashed yet") for one in files),
        )


def drain_worker(worker: Which) -> None:
    """Let a worker finish what it has and take nothing new, until it is undrained or started again."""
    client = server()
    client.post(f"/workers/{id_of(client, worker)}/drain")
    say(f"worker {worker} finishes what it has and takes nothing new")
    say(f"Next: memoryd workers undrain {shlex.quote(worker)} lets it work again")


def undrain_worker(worker: Which) -> None:
    """Let a drained worker take work again."""
    client = server()
    client.post(f"/workers/{id_of(client, worker)}/undrain")
    say(f"worker {worker} takes work again")


def remove_worker(worker: Which, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Revoke a worker's key for good. What it runs waits again; to come back it must join anew."""
    client = server()
    worker_id = id_of(client, worker)
    if not yes:
        typer.confirm(f"Remove worker {worker}? What it runs begins again elsewhere", abort=True, err=True)
    removed = client.delete(f"/workers/{worker_id}")
    count = removed["given_back"]
    say(f"worker {worker} is removed; {count} {'job waits' if count == 1 else 'jobs wait'} again")


def _pack(pack: dict[str, Any]) -> str:
    commit = f" at {pack['commit'][:12]}" if pack["commit"] else ""
    return f"{pack['name']}{commit}{' from ' + pack['remote'] if pack['remote'] else ''}"


def _models(client: Client, worker_id: str) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = client.get(f"/workers/{worker_id}/models", cursor=cursor, limit=500)
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def id_of(client: Client, named: str) -> str:
    """The id of the worker that this id or label names."""
    if parse_id(named) is not None:
        return named
    found = [str(one["id"]) for one in client.get("/workers")["items"] if one["label"] == named]
    if len(found) == 1:
        return found[0]
    many = f"{len(found)} workers are called so" if found else "no worker is called so"
    raise NoSuchWorker(f"{named!r}: {many}", hint="`memoryd workers list` shows their ids")
