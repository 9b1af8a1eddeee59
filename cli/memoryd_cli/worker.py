"""`memoryd worker` and `memoryd stand-in`: the processes of a GPU machine, and the engine for where there is none."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from memoryd.foundation.logging import begin_logging
from memoryd.foundation.sizes import parse_size
from memoryd_cli.output import say

TOKEN_VARIABLE = "MEMORYD_JOIN_TOKEN"  # noqa: S105 # the name of a variable, no token


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(worker)
    app.command(name="stand-in")(stand_in)


def worker(
    server: Annotated[str, typer.Option(help="Address of the memoryd server.", envvar="MEMORYD_URL")],
    comfyui: Annotated[
        str, typer.Option(help="Address of a ComfyUI that runs already; others may use it too.")
    ] = "http://127.0.0.1:8188",
    comfyui_dir: Annotated[
        Path | None, typer.Option(help="Folder of a ComfyUI: the worker launches one of its own from it.")
    ] = None,
    comfyui_python: Annotated[
        Path | None,
        typer.Option(help="Python that ComfyUI runs with; by default that of a venv in or beside its folder."),
    ] = None,
    comfyui_args: Annotated[
        str, typer.Option(help="Launch flags for it, in one word: --comfyui-args '--lowvram --fp16-vae'.")
    ] = "",
    token: Annotated[
        str | None, typer.Option(help="One-time token from `memoryd workers add`.", envvar=TOKEN_VARIABLE)
    ] = None,
    state: Annotated[Path | None, typer.Option(help="Folder for key and unfinished work.")] = None,
    label: Annotated[str | None, typer.Option(help="Name that people see; by default the machine's.")] = None,
    gpu_uuid: Annotated[str | None, typer.Option(help="The GPU's UUID, as nvidia-smi shows it.")] = None,
    keep_node_packs: Annotated[
        bool,
        typer.Option(
            "--keep-node-packs", help="Let the server keep the sources of node packs, so that a run can be built again."
        ),
    ] = False,
    model_bandwidth: Annotated[
        str | None, typer.Option(help="Bytes per second at which models are fetched from the server, such as 50M.")
    ] = None,
    model_limit: Annotated[
        str | None,
        typer.Option(help="Room for fetched models, such as 200G; those used longest ago leave. By default the disk."),
    ] = None,
    drain_limit: Annotated[float, typer.Option(help="Seconds that a running job may go on after SIGTERM.")] = 25.0,
) -> None:
    """Run jobs of a server on a ComfyUI until SIGTERM or Ctrl-C; the running job is finished first."""
    from memoryd.app.supervising import die_with_supervisor
    from memoryd.worker.agent import Agent, Options
    from memoryd.worker.engine_process import plan_launch
    from memoryd.worker.model_fetching import FetchLimits
    from memoryd.worker.stopping import Stopping

    die_with_supervisor()
    begin_logging(os.environ.get("MEMORYD_LOG_LEVEL", "INFO"))
    stopping = Stopping(drain_limit)

    def ask(number: int, frame: FrameType | None) -> None:
        stopping.ask()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    home = Path(os.environ.get("MEMORYD_HOME") or Path.home() / ".memoryd")
    certificates = os.environ.get("MEMORYD_TLS_CA")
    launch = plan_launch(comfyui_dir, comfyui_python, shlex.split(comfyui_args)) if comfyui_dir is not None else None
    options = Options(
        server=server,
        comfyui=comfyui,
        state=state or home / "worker",
        token=token,
        label=label,
        gpu_uuid=gpu_uuid,
        certificates=Path(certificates) if certificates else None,
        launch=launch,
        keep_node_packs=keep_node_packs,
        fetch_limits=FetchLimits(
            bandwidth=parse_size(model_bandwidth) if model_bandwidth is not None else None,
            room=parse_size(model_limit) if model_limit is not None else None,
        ),
    )
    Agent(options, stopping).run()


def stand_in(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = 8188,
    output_directory: Annotated[
        Path | None, typer.Option(help="Where pictures go; by default a temporary folder.")
    ] = None,
    input_directory: Annotated[
        Path | None, typer.Option(help="Where inputs lie; by default a temporary folder.")
    ] = None,
    delay: Annotated[float, typer.Option(help="Seconds added to each executed node.")] = 0.0,
    seed_noise: Annotated[bool, typer.Option("--seed-noise", help="Paint another picture each time.")] = False,
    torch: Annotated[
        str | None, typer.Option(help="Play a machine with this torch: say so, and round as no other version does.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Play a machine that computes with so many threads.")] = None,
    simd: Annotated[str | None, typer.Option(help="Play a machine with this SIMD level, such as AVX2.")] = None,
    pillow: Annotated[
        str | None, typer.Option(help="Play a machine with this Pillow: other files around equal pixels.")
    ] = None,
    jitter: Annotated[
        bool, typer.Option("--jitter", help="Round otherwise in each run: a workflow that does not repeat itself.")
    ] = False,
) -> None:
    """Run a small engine that speaks ComfyUI's protocol: no model, no GPU; for trying things out."""
    from memoryd.app.supervising import die_with_supervisor
    from memoryd.stand_in.playing import Machine
    from memoryd.stand_in.serving import Options, serve

    die_with_supervisor()
    begin_logging(os.environ.get("MEMORYD_LOG_LEVEL", "WARNING"))
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn ends the server on either and then raises it once more; being asked to end is no failure.
        signal.signal(number, lambda *_: None)
    options = Options(
        host=host,
        port=port,
        output=output_directory,
        input=input_directory,
        delay_s=delay,
        noisy=seed_noise,
        plays=Machine(torch=torch, threads=threads, simd=simd, pillow=pillow, jitter=jitter),
    )
    serve(options, announce=say)
