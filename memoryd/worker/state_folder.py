"""The worker's own folder: its key, the jobs it holds, and the results that the server does not have yet.

Everything in it is private to the user who runs the worker (folders 700, the key 600).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from memoryd.dispatch.wire import Claimed, CompleteRequest
from memoryd.foundation.errors import Conflict
from memoryd.foundation.logging import log_for
from memoryd.worker.hash_memory import HashMemory
from memoryd.worker.source_trees import SourceTrees

_KEY_MODE = 0o600
_FOLDER_MODE = 0o700
_log = log_for(__name__)


class WorkerRunsAlready(Conflict):
    """Another worker uses this state folder."""


class StateFolder:
    """Where one worker keeps what it must not forget."""

    def __init__(self, path: Path, server: str) -> None:
        """One folder serves one machine; keys are kept per server."""
        self.path = path
        name = hashlib.sha256(server.rstrip("/").encode()).hexdigest()[:16]
        self._key = path / f"{name}.key"
        self._claims = path / "claims"
        self._finished = path / "finished"
        self.links = path / "model_links"
        """Where it is noted which links to model files are there for a run."""
        self.hashes = HashMemory(path / "model_hashes.jsonl")
        """What is known of this machine's model files."""
        self.sources = SourceTrees()
        """What is known of the sources of ComfyUI and its node packs."""
        for folder in (path, self._claims, self._finished):
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for a block. Raises: WorkerRunsAlready."""
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise WorkerRunsAlready(
                    str(self.path), hint="stop the other worker, or give this one a folder of its own with --state"
                ) from None
            yield

    def read_key(self) -> str | None:
        """Return the key that the server gave, None before joining."""
        try:
            return self._key.read_text("ascii").strip() or None
        except FileNotFoundError:
            return None

    def keep_key(self, key: str) -> None:
        """Keep the server's key, in a file that is never wider than mode 600."""
        _write(self._key, key.encode("ascii"))

    def forget_key(self) -> None:
        """Forget a key that the server no longer knows."""
        self._key.unlink(missing_ok=True)

    def keep_claim(self, claimed: Claimed) -> None:
        """Keep a job under way, so that a restarted worker takes it up again."""
        _write(self._claims / _name(claimed.job_id, claimed.fence), claimed.model_dump_json().encode())

    def drop_claim(self, job_id: UUID, fence: int) -> None:
        """Forget a job that has ended for us."""
        (self._claims / _name(job_id, fence)).unlink(missing_ok=True)

    def claims(self) -> list[Claimed]:
        """Return the jobs that an earlier start left under way; what cannot be read is dropped and logged."""
        kept = []
        for path in sorted(self._claims.glob("*-*")):
            try:
                kept.append(Claimed.model_validate_json(path.read_bytes()))
            except ValueError:
                _log.warning("a claim that cannot be read was dropped: %s", path.name)
                path.unlink()
        return kept

    def open_result(self, job_id: UUID, fence: int) -> Path:
        """Return an empty folder for a job's result: files are put there by index, then `close_result`."""
        folder = self._finished / _name(job_id, fence)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=_FOLDER_MODE)
        return folder

    def close_result(self, completion: CompleteRequest) -> None:
        """Make a result complete: from here on it survives a crash. Its claim is no longer needed."""
        folder = self._finished / _name(completion.job_id, completion.fence)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        _write(folder / "completion.json", completion.model_dump_json().encode())
        self.drop_claim(completion.job_id, completion.fence)

    def result_folder(self, job_id: UUID, fence: int) -> Path:
        """Return where a result's files lie, by index."""
        return self._finished / _name(job_id, fence)

    def results(self) -> list[tuple[CompleteRequest, Path]]:
        """Return the results that the server may not have yet, with their folders; half-made ones are removed."""
        found = []
        for folder in sorted(self._finished.iterdir()):
            try:
                found.append((CompleteRequest.model_validate_json((folder / "completion.json").read_bytes()), folder))
            except (OSError, ValueError):
                shutil.rmtree(folder, ignore_errors=True)
        return found

    def drop_result(self, job_id: UUID, fence: int) -> None:
        """Forget a result that the server has, or refused."""
        shutil.rmtree(self._finished / _name(job_id, fence), ignore_errors=True)


def _name(job_id: UUID, fence: int) -> str:
    return f"{job_id}-{fence}"


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _KEY_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
