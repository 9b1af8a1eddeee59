"""One machine under fire: `memoryd up` on a home of its own, pictures that nobody else has, and what is killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.errors import MemorydError
from memoryd_cli.client import Client, server

RECOVERY_WAIT_S = 60.0
SETTLE_WAIT_S = 120.0
JOB_DELAY_S = 1.0


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def picture(number: int) -> bytes:
    """A small, whole ComfyUI PNG whose seed nobody else has."""
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": number}},
        "2": {"class_type": "SaveImage", "inputs": {"filename_prefix": f"fault_{number}", "images": ["1", 0]}},
    }
    rows = b"".join(b"\0" + bytes([number % 256, number // 256 % 256, 7]) * 8 for _ in range(8))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
            chunk(b"tEXt", b"prompt\0" + json.dumps(prompt).encode()),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        )
    )


class Studio:
    """One machine under fire."""

    def __init__(
        self, output: Path | None = None, *, delay_s: float = JOB_DELAY_S, engine: tuple[str, ...] = ()
    ) -> None:
        """`engine`: further flags of the stand-in, `delay_s` what each of its nodes takes."""
        self.place = Path(tempfile.mkdtemp(prefix="memoryd-faults-"))
        self.home, self.output = self.place / "home", output or self.place / "output"
        self.output.mkdir(exist_ok=True)
        (self.place / "input").mkdir()
        os.environ.update(MEMORYD_HOME=str(self.home), MEMORYD_PORT="0", MEMORYD_LOG_LEVEL="ERROR")
        self.log = (self.place / "log").open("wb")
        self.delay_s = delay_s
        self.engine, self.engine_url = self._start_engine("0", *engine)
        self.up = self._start_up()
        self.written: set[bytes] = set()
        self.jobs: list[str] = []
        self.number = 0

    def _start_engine(self, port: str, *flags: str) -> tuple[subprocess.Popen[bytes], str]:
        engine = self._memoryd(
            "stand-in", "--port", port, "--delay", str(self.delay_s), *flags,
            "--output-directory", str(self.place / "engine"), "--input-directory", str(self.place / "input"),
            pipe=True,
        )  # fmt: skip
        assert engine.stdout is not None
        found = re.search(rb"https?://\S+", engine.stdout.readline())
        assert found is not None
        return engine, found[0].decode()

    def restart_engine(self, *flags: str) -> None:
        """End the engine, and start it with these flags at the same address."""
        self.engine.terminate()
        self.engine.wait(40)
        self.engine, _ = self._start_engine(self.engine_url.rpartition(":")[2], *flags)

    def _start_up(self) -> subprocess.Popen[bytes]:
        return self._memoryd("up", str(self.output), "--comfyui", self.engine_url, "--port", "0")

    def _memoryd(self, *arguments: str, pipe: bool = False) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "memoryd_cli", *arguments],
            stdout=subprocess.PIPE if pipe else self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def client(self, wait_s: float = RECOVERY_WAIT_S) -> Client:
        """Return a client once the server answers."""
        deadline = time.monotonic() + wait_s
        while True:
            try:
                server.cache_clear()
                client = server()
                client.get("/whoami")
                return client
            except MemorydError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def write_pictures(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            content = picture(self.number)
            (self.output / f"fault_{self.number:05}_.png").write_bytes(content)
            self.written.add(hashlib.sha256(content).digest())

    def submit(self) -> None:
        """Submit a job whose output nobody else makes; the key makes a repeated request harmless."""
        self.number += 1
        prompt = {
            "1": {
                "class_type": "EmptyImage",
                "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": self.number},
            },
            "2": {"class_type": "SaveImage", "inputs": {"filename_prefix": "job", "images": ["1", 0]}},
        }
        body = {"graph": json.dumps(prompt), "key": f"fault-{self.number}"}
        deadline = time.monotonic() + RECOVERY_WAIT_S
        while True:
            try:
                self.jobs.append(str(self.client().post("/jobs", json=body)["id"]))
                return
            except MemorydError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def pid_of(self, victim: str) -> int | None:
        if victim == "postgres":
            pid_file = Cluster(self.home).data / "postmaster.pid"
            with contextlib.suppress(OSError, IndexError):
                return int(pid_file.read_text().split()[0])
            return None
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parts = (entry / "cmdline").read_bytes().split(b"\0")
                status = (entry / "status").read_text()
                if victim.encode() in parts and b"memoryd_cli" in parts and f"PPid:\t{self.up.pid}\n" in status:
                    return int(entry.name)
        return None

    def kill(self, victim: str) -> bool:
        deadline = time.monotonic() + RECOVERY_WAIT_S
        while time.monotonic() < deadline:
            pid = self.pid_of(victim)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                return True
            time.sleep(0.05)
        return False

    def assets(self) -> list[dict[str, Any]]:
        client, items, cursor = self.client(), [], None
        while True:
            page = client.get("/assets", q="is:all", limit=500, cursor=cursor)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Return what a command says."""
        return subprocess.run(
            [sys.executable, "-m", "memoryd_cli", *arguments], capture_output=True, text=True, check=False
        )

    def close(self) -> None:
        for process in (self.up, self.engine):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in (self.up, self.engine):
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
        self.log.close()
        Cluster(self.home).destroy()
        shutil.rmtree(self.place, ignore_errors=True)


def until(holds: Callable[[], bool], wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        with contextlib.suppress(MemorydError):
            if holds():
                return True
        time.sleep(0.3)
    return False


@contextlib.contextmanager
def studio(
    output: Path | None = None, *, delay_s: float = JOB_DELAY_S, engine: tuple[str, ...] = ()
) -> Iterator[Studio]:
    one = Studio(output, delay_s=delay_s, engine=engine)
    try:
        yield one
    finally:
        one.close()
