"""A real ComfyUI that is started as this suite wants it: with these variables, this Python, in a folder of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from memoryd.app.one_machine import free_port
from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.recorded_variables import RECORDED_VARIABLES

START_LIMIT_S = 240.0
"""Seconds that a ComfyUI may take to start on a busy machine: it imports torch."""
RUN_LIMIT_S = 240.0
DIR_VARIABLE, PYTHON_VARIABLE = "MEMORYD_TEST_COMFYUI_DIR", "MEMORYD_TEST_COMFYUI_PYTHON"
LOCK_VARIABLE = "MEMORYD_TEST_COMFYUI_LOCK"
"""A file that is locked while a ComfyUI of this suite runs, where a machine has only room for one."""

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
CHECKPOINT, LORA = "tiny-sd15-random.safetensors", "style/tiny-random-lora.safetensors"
_SIGN = 0x80
"""Of the higher byte of a number of 16 bits."""
_NEGATED_SHARE = 0.2


def chosen() -> tuple[Path, Path]:
    """Return the folder and the Python of the ComfyUI that may be started. Raises: SystemExit where none is named."""
    folder, python = os.environ.get(DIR_VARIABLE), os.environ.get(PYTHON_VARIABLE)
    if not folder or not python:
        raise SystemExit(f"set {DIR_VARIABLE} to a ComfyUI's folder and {PYTHON_VARIABLE} to the Python it runs with")
    return Path(folder).resolve(), Path(python).absolute()


@contextlib.contextmanager
def a_turn() -> Iterator[None]:
    """Hold the machine, where it is shared."""
    path = os.environ.get(LOCK_VARIABLE)
    if not path:
        yield
        return
    with Path(path).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_models(base: Path, python: Path, tools: Path, fixtures: Path) -> None:
    """Put the weights that made the fixtures into `base/models`. Raises: CalledProcessError where they are others."""
    checkpoint, lora = base / "models/checkpoints" / CHECKPOINT, base / "models/loras" / LORA
    for path in (checkpoint, lora):
        path.parent.mkdir(parents=True)
    subprocess.run([str(python), str(tools / "make_random_checkpoint.py"), str(checkpoint)], check=True)
    shutil.copyfile(fixtures / "models" / lora.name, lora)
    for path in (checkpoint, lora):
        # A file that was written a moment ago may still grow: nobody hashes it.
        os.utime(path, (1_600_000_000, 1_600_000_000))


def share_models(base: Path, other: Path) -> None:
    """Give another folder the same weights, without copying them."""
    for path in (base / "models").rglob("*.safetensors"):
        twin = other / path.relative_to(base)
        twin.parent.mkdir(parents=True, exist_ok=True)
        twin.hardlink_to(path)


def other_weights(path: Path) -> None:
    """Replace weights by others of the same shapes under the same name: a share of the numbers is negated."""
    content, dice = bytearray(path.read_bytes()), random.Random(1)
    start = 8 + int.from_bytes(content[:8], "little")
    for place in range(start + 1, len(content), 2):
        if dice.random() < _NEGATED_SHARE:
            content[place] ^= _SIGN
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(content)
    os.utime(unfinished, (1_700_000_000, 1_700_000_000))
    unfinished.replace(path)


class CannotRun(Exception):
    """This ComfyUI cannot run this graph: a package is missing, say."""


class ComfyUI:
    """One that can be started again and again at the same address; its models, inputs and outputs lie in `base`."""

    def __init__(self, base: Path, folder: Path, python: Path) -> None:
        """Nothing runs yet."""
        self.base, self._folder, self._python = base, folder, python
        self.port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("input", "output", "custom_nodes", "user", "temp"):
            (base / name).mkdir(parents=True, exist_ok=True)

    def start(
        self, *flags: str, variables: Mapping[str, str] = ONE_THREAD, python: Path | None = None
    ) -> dict[str, Any]:
        """Start it and return what it tells of itself."""
        inherited = {name: value for name, value in os.environ.items() if name not in RECORDED_VARIABLES}
        database = f"sqlite:///{self.base / 'user' / 'comfyui.db'}"
        command = [str(python or self._python), "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(self.port)]
        with (self.base / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--base-directory", str(self.base), "--database-url", database, *flags],
                cwd=self._folder,
                env=inherited | dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_LIMIT_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                told: dict[str, Any] = httpx.get(f"{self.url}/system_stats", trust_env=False, timeout=5).json()
                return told
            if self._process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"ComfyUI did not start: {(self.base / 'log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.3)

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None

    def paint(self, prompt: Mapping[str, Any], extra: Mapping[str, Any] | None, *, fresh: bool = True) -> list[Path]:
        """Run a graph as a stranger would, and return the files it made. Raises: CannotRun."""
        with ComfyClient(self.url) as client:
            if fresh:
                client.free()
                time.sleep(0.2)
            run = client.submit(prompt, extra_data={"extra_pnginfo": dict(extra)} if extra else None)
            until = time.monotonic() + RUN_LIMIT_S
            while (record := client.history(run.prompt_id)) is None:
                if time.monotonic() > until:
                    raise SystemExit("ComfyUI does not end a run")
                time.sleep(0.05)
        if record.failure is not None:
            raise CannotRun(record.failure.message)
        return [self.base / file.type / file.subfolder / file.filename for file in record.outputs]

    def runs(self) -> int:
        """Return how many runs it remembers."""
        return len(httpx.get(f"{self.url}/history", trust_env=False, timeout=30).json())
