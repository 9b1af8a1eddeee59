"""`up`, `serve`, `work`, `demo`: the processes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from memoryd.foundation.logging import begin_logging
from memoryd.foundation.settings import Settings
from memoryd_cli.output import say


def register(app: typer.Typer) -> None:
    """Add the commands that run a process."""
    app.command()(up)
    app.command()(demo)
    app.command()(serve)
    app.command()(work)


def up(
    folders: Annotated[list[Path], typer.Argument(help="Folders to watch: ComfyUI's output folder, or several.")],
    comfyui: Annotated[str | None, typer.Option(help="Address of a ComfyUI; a worker then runs jobs on it.")] = None,
    project: Annotated[str, typer.Option(help="Project that new pictures belong to.")] = "default",
    keep: Annotated[bool, typer.Option("--keep", help="Keep a copy of every file instead of referring to it.")] = False,
    port: Annotated[int | None, typer.Option(help="Port of the server; 0 picks a free one.")] = None,
) -> None:
    """Run everything on this machine until Ctrl-C: Postgres, server, watcher and worker, each started again if it dies."""
    from memoryd.app.one_machine import Wishes, bring_up
    from memoryd.app.supervising import die_with_supervisor
    from memoryd.ingest.facts import Custody

    die_with_supervisor()
    settings = settings_for(port=port)
    wishes = Wishes(
        folders=tuple(folders),
        comfyui=comfyui,
        project=project,
        custody=Custody.KEEP if keep else Custody.REFERENCE,
    )
    bring_up(settings, wishes, say=say)


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; off loopback needs TLS or a named proxy.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.")] = None,
) -> None:
    """Run the server alone: the API under /v1, the pages, /docs, /health, /ready."""
    from memoryd.app.serving import serve as serve_until_stopped
    from memoryd.app.supervising import die_with_supervisor

    die_with_supervisor()
    serve_until_stopped(settings_for(host=host, port=port), say=say)


def work(
    threads: Annotated[int, typer.Option(min=1, max=32, help="Chores done at once.")] = 1,
) -> None:
    """Run the follow-up work alone: thumbnails and digests, the audit trail's sealer, events, the queue's tending."""
    from memoryd.app.background import Background
    from memoryd.app.supervising import die_with_supervisor

    die_with_supervisor()
    background = Background(settings_for(), chore_threads=threads)
    on_stop(background.stop_soon)
    background.run()


def demo(
    pictures: Annotated[Path | None, typer.Option(help="Folder of ComfyUI pictures to take in.")] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep running at the end, to look around, until Ctrl-C.")
    ] = False,
) -> None:
    """Show the whole main job on real pictures, in a place of its own that is removed afterwards."""
    from memoryd_cli.demo import Demo

    Demo(pictures=pictures, stay=stay).run()


def settings_for(*, host: str | None = None, port: int | None = None) -> Settings:
    """Return this process's settings, with logging begun and the home made."""
    settings = Settings()
    changes = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update=changes)
    begin_logging(settings.log_level)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings


def on_stop(stop_soon: object) -> None:
    """Let Ctrl-C and SIGTERM ask a process to end."""
    assert callable(stop_soon)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop_soon())
