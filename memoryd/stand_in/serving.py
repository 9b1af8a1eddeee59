"""Runs the stand-in as a process of its own, or inside a test."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from memoryd.foundation.errors import Conflict, Unavailable
from memoryd.stand_in.endpoints import make_app
from memoryd.stand_in.engine import Engine
from memoryd.stand_in.execution import Conditions
from memoryd.stand_in.folders import Folders
from memoryd.stand_in.playing import ITSELF, Machine

START_LIMIT_S = 20
"""Seconds until a stand-in must listen."""


class StandInDidNotStart(Unavailable):
    """The stand-in engine did not start."""


class PortTaken(Conflict):
    """Something else listens on this port."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a stand-in runs. Port 0 picks a free one; folders that are None are temporary and removed at the end."""

    host: str = "127.0.0.1"
    port: int = 0
    output: Path | None = None
    input: Path | None = None
    temp: Path | None = None
    models: Path | None = None
    """Weights to offer; without them only names are."""
    delay_s: float = 0.0
    noisy: bool = False
    plays: Machine = ITSELF
    """Plays a machine: tells what it has, and rounds what it paints as no other does."""
    jobs_api: bool = True
    """Whether there are `/api/jobs` and its cancelling by id; ComfyUI 0.3.64 has none."""
    argv: tuple[str, ...] | None = None
    """What is told as the command line, None for the stand-in's own."""


def serve(options: Options, announce: Callable[[str], None]) -> None:
    """Run until SIGINT or SIGTERM. `announce` is called with the url once the port is taken."""
    with _prepared(options) as (server, taken, url):
        announce(url)
        server.run(sockets=[taken])


@contextlib.contextmanager
def running(options: Options) -> Iterator[str]:
    """Run in a thread of this process: a block with the url. Raises: StandInDidNotStart."""
    with _prepared(options) as (server, taken, url):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, name="stand-in", daemon=True)
        thread.start()
        try:
            until = time.monotonic() + START_LIMIT_S
            while not server.started:
                if not thread.is_alive() or time.monotonic() > until:
                    raise StandInDidNotStart(f"nothing listens at {url}", hint="see the log lines before this one")
                time.sleep(0.01)
            yield url
        finally:
            server.should_exit = True
            thread.join(timeout=START_LIMIT_S)


@contextlib.contextmanager
def _prepared(options: Options) -> Iterator[tuple[uvicorn.Server, socket.socket, str]]:
    home = Path(tempfile.mkdtemp(prefix="memoryd-stand-in-"))
    taken = _listening(options.host, options.port)
    try:
        folders = Folders(
            output=options.output or home / "output",
            input=options.input or home / "input",
            temp=options.temp or home / "temp",
            models=options.models,
        )
        for folder in (folders.output, folders.input, folders.temp):
            folder.mkdir(parents=True, exist_ok=True)
        plays = options.plays
        engine = Engine(Conditions(folders=folders, delay_s=options.delay_s, noisy=options.noisy, plays=plays))
        argv = list(options.argv or ("memoryd stand-in", *(["--seed-noise"] if options.noisy else [])))
        config = uvicorn.Config(
            make_app(engine, argv, jobs_api=options.jobs_api, pretends=plays.told()),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
            ws="websockets-sansio",
        )
        port = taken.getsockname()[1]
        yield uvicorn.Server(config), taken, f"http://{options.host}:{port}"
    finally:
        taken.close()
        shutil.rmtree(home, ignore_errors=True)


def _listening(host: str, port: int) -> socket.socket:
    # The protocol is named because asyncio switches Nagle's delay off only then: 40 ms of every answer otherwise.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        raise PortTaken(f"{host}:{port}: {error}", hint="name another with --port, or 0 for a free one") from error
    return taken
