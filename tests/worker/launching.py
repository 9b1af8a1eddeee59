"""A folder that is started like a ComfyUI, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

START_LIMIT_S = 30.0


def make_comfyui(folder: Path, *, packs: dict[str, str] | None = None) -> Path:
    """The stand-in in a folder that looks like a ComfyUI's; `packs`: names, and what their code says."""
    (folder / "custom_nodes").mkdir(parents=True)
    (folder / "comfyui_version.py").write_text("__version__ = 'stand-in'\n")
    (folder / "main.py").write_text("from memoryd.stand_in.launched import main\nmain()\n")
    for name, code in (packs or {}).items():
        (folder / "custom_nodes" / name).mkdir()
        (folder / "custom_nodes" / name / "__init__.py").write_text(code)
    return folder


@contextlib.contextmanager
def launched(command: list[str], *, cwd: Path | None = None, variables: dict[str, str] | None = None) -> Iterator[str]:
    """Start it (a free port is added), and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=cwd,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url, until = f"http://127.0.0.1:{port}", time.monotonic() + START_LIMIT_S
        while True:
            assert process.poll() is None, "it ended"
            assert time.monotonic() < until, "it does not answer"
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{url}/system_stats", trust_env=False)
                break
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def command_of(folder: Path, *flags: str) -> list[str]:
    """How such a folder is started with this Python."""
    return [sys.executable, str(folder / "main.py"), *flags]
