"""A memoryd of its own: Postgres, server, follow-up work and watcher by `memoryd up`, workers as processes beside it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from memoryd.app.one_machine import free_port
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.errors import MemorydError
from memoryd_cli.client import Client

WAIT_S = 240.0
"""A real run, its repetition and the other worker's, on a busy machine."""
LOOK_EVERY_S = 0.1


def until(holds: Callable[[], Any], what: str, wait_s: float = WAIT_S) -> Any:
    """Wait for something to be there, and return it. Raises: SystemExit where it does not come."""
    limit = time.monotonic() + wait_s
    while time.monotonic() < limit:
        with contextlib.suppress(MemorydError):
            found = holds()
            if found:
                return found
        time.sleep(LOOK_EVERY_S)
    raise SystemExit(f"it did not come to pass in {wait_s:.0f} s: {what}")


class House:
    """The server, what watches, and the workers."""

    def __init__(self, place: Path, watched: Path) -> None:
        """Start all but workers; `watched` is ComfyUI's output folder."""
        self.place, self.watched, self.home = place, watched, place / "home"
        self.port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = Client(self.url, None)
        """The local person's way in."""
        self._log = (place / "log").open("ab")
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._up = self._start_up()
        self._wait()

    def _start_up(self) -> subprocess.Popen[bytes]:
        return self._memoryd("up", str(self.watched), "--port", str(self.port))

    def _wait(self) -> None:
        until(lambda: self.client.get("/whoami"), "the server answers")

    def _memoryd(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "memoryd_cli", *arguments],
            env={**os.environ, "MEMORYD_HOME": str(self.home), "MEMORYD_LOG_LEVEL": "WARNING", **variables},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def restart(self, *, hard: bool) -> None:
        """End the server and all beside it, and start them again; `hard`: by kill -9."""
        self._up.send_signal(signal.SIGKILL if hard else signal.SIGTERM)
        self._up.wait(60)
        self._up = self._start_up()
        self._wait()

    def hire(self, label: str, comfyui: str) -> str:
        """Start a worker, and return its id once it has told its models and their hashes."""
        token = self.client.post("/workers", json={"label": label})["token"]
        state = self.place / f"worker-{label}"
        self._workers[label] = self._memoryd(
            *("worker", "--server", self.url, "--comfyui", comfyui, "--label", label, "--state", str(state)),
            MEMORYD_JOIN_TOKEN=token,
        )

        def ready() -> str | None:
            for worker in self.client.get("/workers")["items"]:
                if worker["label"] == label and worker["online"]:
                    models = self.client.get(f"/workers/{worker['id']}/models")["items"]
                    if models and all(model["sha256"] for model in models):
                        return str(worker["id"])
            return None

        return str(until(ready, f"worker {label} is there"))

    def environment(self, worker: str) -> dict[str, Any]:
        """Return what a worker last told of its environment."""
        found: dict[str, Any] = self.client.get(f"/workers/{worker}")["environment"]
        return found

    def worker(self, label: str) -> str | None:
        """Return a worker's id, where there is one of that name."""
        found = (each for each in self.client.get("/workers")["items"] if each["label"] == label)
        return next((str(each["id"]) for each in found), None)

    def settled(self, worker: str, stated: Callable[[Mapping[str, Any]], bool]) -> None:
        """Wait until a worker is there and tells of such an environment."""

        def there() -> bool:
            now = self.client.get(f"/workers/{worker}")
            return bool(now["online"] and stated(now["environment"]))

        until(there, f"worker {worker} tells what is there")

    def assets(self) -> list[str]:
        """Return what is recorded, by SHA-256."""
        found = self.client.listed("/assets", limit=1000, q="is:all")["items"]
        return [str(asset["face"]["sha256"]) for asset in found]

    def send(self, graph: str, extra: str, inputs: Mapping[str, Path]) -> list[str]:
        """Run a graph as a job, and return the SHA-256s of what it made."""
        sent = []
        for name, path in inputs.items():
            sent.append({"name": name, **self.client.upload("/inputs", path)})
        job = self.client.post("/jobs", json={"graph": graph, "extra_data": extra, "inputs": sent})["id"]

        def ended() -> dict[str, Any] | None:
            now: dict[str, Any] = self.client.get(f"/jobs/{job}")
            return now if now["state"] in ("succeeded", "dead", "cancelled", "expired") else None

        found = until(ended, f"job {job} ends")
        if found["state"] != "succeeded":
            raise SystemExit(f"a job failed: {found}")
        return [str(output["sha256"]) for output in found["result"]["outputs"]]

    def known(self, path: Path) -> str:
        """Return a file's SHA-256 once it is recorded."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        until(lambda: self.client.get(f"/assets/{sha256}"), f"{path.name} is recorded")
        return sha256

    def make_again(self, sha256: str, **wish: Any) -> dict[str, Any]:
        """Make an asset again, and return the attempt when it is decided and its second runs are over."""
        attempt = self.client.post(f"/assets/{sha256}/reproductions", json=wish)["id"]

        def over() -> dict[str, Any] | None:
            now: dict[str, Any] = self.client.get(f"/reproductions/{attempt}")
            return now if now["state"] == "decided" and now["testing"] not in ("wanted", "running") else None

        found: dict[str, Any] = until(over, f"attempt {attempt} is decided")
        return found

    def content(self, asset: str) -> bytes:
        """Return an asset's bytes."""
        content = io.BytesIO()
        self.client.download(f"/assets/{asset}/content", content)
        return content.getvalue()

    def close(self) -> None:
        """End everything."""
        for process in (*self._workers.values(), self._up):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in (*self._workers.values(), self._up):
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        self._log.close()
        Cluster(self.home).destroy()
