"""Hashes and describes the model files in the background, giving way to everything else, each shared file by one worker.

What a colleague measured of a folder that both see is taken over where size, time to the nanosecond and a sample of the
bytes are the same. A run that waits for a hash comes first: the background rests meanwhile.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from memoryd.dispatch.models_wire import MeasuredFile, ModelsRequest, SharedFile, SharedRequest
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.logging import log_for
from memoryd.weights.hashing import FileChanged, hash_file
from memoryd.worker.hash_memory import HashMemory, Remembered, Stamp, stamp_of
from memoryd.worker.model_describing import LocalModel, ModelDescribing
from memoryd.worker.server_link import CallRefused, ServerLink
from memoryd.worker.shared_places import place_of, sample_of

ASK_FILES = 200
"""Files of a shared folder that one call asks for."""

TELL_EVERY_S = 5.0
TELL_FILES = 500
"""What was hashed is told this often, or when so many have come together."""

OTHERS_PAUSE_S = 5.0
"""Before asking again for files that other workers are measuring."""

AGAIN_PAUSE_S = 60.0
"""Before looking again after a file that could not be read, or a server that did not answer."""

REST = 0.5
"""Rest after each chunk, as a share of the time that reading it took: the disk is there for the models that load."""

NICE = 19

_log = log_for(__name__)
_Item = TypeVar("_Item")


@dataclasses.dataclass(frozen=True, slots=True)
class _Shared:
    """A file of a folder that other workers may see."""

    model: LocalModel
    stamp: Stamp
    asked: SharedFile


class _Stopped(Exception):
    """The worker ends in the middle of a file."""


class ModelHashing:
    """Hashes what it was given last, until it is stopped. Thread-safe."""

    def __init__(self, link: ServerLink, memory: HashMemory, incarnation: UUID) -> None:
        """The thread starts with `start`."""
        self._link = link
        self._memory = memory
        self._incarnation = incarnation
        self._models: tuple[LocalModel, ...] = ()
        self._given = threading.Event()
        self._stopped = threading.Event()
        self._untold: dict[tuple[str, str], LocalModel] = {}
        self._describing = ModelDescribing(link, memory, incarnation, self._give_way)
        self._told_at = time.monotonic()
        self._thread = threading.Thread(target=self._work_on, name="model-hashing", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a file that is being read is read anew another time."""
        self._stopped.set()
        self._given.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def hash_these(self, models: Sequence[LocalModel]) -> None:
        """Hash these files from now on, instead of those given before."""
        self._models = tuple(models)
        self._given.set()

    def _work_on(self) -> None:
        _be_nice()
        while not self._stopped.is_set():
            self._given.wait()
            self._given.clear()
            try:
                pause = self._work_once()
                while pause is not None and not self._given.wait(pause):
                    pause = self._work_once()
            except _Stopped:
                return
            except Exception:  # hashes are worth much, and the worker more
                _log.exception("hashing model files failed; it is tried again at the next look around")

    def _work_once(self) -> float | None:
        """Go once through the files; return the seconds until those that are left are worth another look."""
        pauses = [self._work_through(directory, models) for directory, models in _by_directory(self._models).items()]
        self._tell(at_once=True)
        told = self._describing.describe(self._models)
        if self._untold or not told:
            pauses.append(AGAIN_PAUSE_S)
        return min((pause for pause in pauses if pause is not None), default=None)

    def _work_through(self, directory: Path, models: Sequence[LocalModel]) -> float | None:
        unknown = [model for model in models if self._is_unknown(model)]
        place = place_of(directory) if unknown else None
        if place is None:
            return self._hash_all(unknown)
        pauses = [self._share(place, chunk) for chunk in _chunks(list(self._described(unknown)), ASK_FILES)]
        return min((pause for pause in pauses if pause is not None), default=None)

    def _is_unknown(self, model: LocalModel) -> bool:
        try:
            known = self._memory.find(model.path)
            if known is not None and model.stated.sha256 != known.sha256:
                # Learned since the file was stated: by a run, or by another worker that uses the same memory.
                self._learned(model, stamp_of(model.path), known.sha256)
        except OSError:
            return False
        return known is None

    def _hash_all(self, models: Sequence[LocalModel]) -> float | None:
        hashed = [self._hash(model) for model in models]
        return AGAIN_PAUSE_S if None in hashed else None

    def _hash(self, model: LocalModel) -> str | None:
        self._give_way()
        since = time.monotonic()

        def step(_: int) -> None:
            nonlocal since
            self._stopped.wait((time.monotonic() - since) * REST)
            self._give_way()
            since = time.monotonic()

        try:
            found = hash_file(model.path, on_bytes=step)
        except (FileChanged, OSError) as error:
            _log.info("%s is hashed later: %s", model.path.name, error)
            return None
        stamp, sha256 = Stamp(os.fspath(model.path), found.size, found.mtime_ns), found.sha256.hex()
        self._memory.keep(stamp, Remembered(sha256=sha256, own=True))
        self._learned(model, stamp, sha256)
        return sha256

    def _described(self, models: Sequence[LocalModel]) -> Iterator[_Shared]:
        for model in models:
            self._give_way()
            with contextlib.suppress(OSError):
                stamp = stamp_of(model.path)
                asked = SharedFile(
                    path=os.path.relpath(model.path, model.directory),
                    size=stamp.size,
                    mtime_ns=stamp.mtime_ns,
                    sample=sample_of(model.path),
                )
                yield _Shared(model, stamp, asked)

    def _share(self, place: str, files: list[_Shared]) -> float | None:
        """Take over what colleagues measured, and measure what nobody is at, one file after the other."""
        measured: list[MeasuredFile] = []
        unread = False
        while files or measured:
            self._give_way()
            request = SharedRequest(place=place, files=[file.asked for file in files], measured=measured, take=1)
            try:
                answer = self._link.share_hashes(request)
            except CallRefused:
                # An older server, which knows nothing of this.
                return self._hash_all([file.model for file in files])
            except MemorydError:
                return AGAIN_PAUSE_S
            measured = []
            for number, sha256 in answer.known.items():
                file = files[number]
                self._memory.keep(file.stamp, Remembered(sha256=sha256, own=False))
                self._learned(file.model, file.stamp, sha256)
            for number in answer.yours:
                file = files[number]
                found = self._hash(file.model)
                unread |= found is None
                if found is not None and stamp_of(file.model.path) == file.stamp:
                    measured.append(MeasuredFile(**file.asked.model_dump(), sha256=found))
            done = {*answer.known, *answer.yours}
            files = [file for number, file in enumerate(files) if number not in done]
            if files and not answer.yours:
                return OTHERS_PAUSE_S
        return AGAIN_PAUSE_S if unread else None

    def _learned(self, model: LocalModel, stamp: Stamp, sha256: str) -> None:
        stated = model.stated
        told = stated.model_copy(update={"sha256": sha256, "size": stamp.size, "mtime_ns": stamp.mtime_ns})
        self._untold[stated.folder, stated.path] = dataclasses.replace(model, stated=told)
        self._tell(at_once=False)

    def _tell(self, *, at_once: bool) -> None:
        due = at_once or len(self._untold) >= TELL_FILES or time.monotonic() - self._told_at > TELL_EVERY_S
        if not due or not self._untold:
            return
        self._told_at = time.monotonic()
        for models in _chunks(list(self._untold.values()), TELL_FILES):
            try:
                stated = [model.stated for model in models]
                self._link.state_hashes(ModelsRequest(incarnation=self._incarnation, models=stated))
            except Unavailable:
                return
            except MemorydError as error:
                # The next registration states them all.
                _log.info("hashes were not taken: %s", error.detail)
            for model in models:
                self._untold.pop((model.stated.folder, model.stated.path), None)
            self._describing.describe(models)

    def _give_way(self) -> None:
        """Wait while a run waits for a hash. Raises: _Stopped."""
        while not self._memory.wait_until_calm(0.2):
            if self._stopped.is_set():
                break
        if self._stopped.is_set():
            raise _Stopped


def _by_directory(models: Sequence[LocalModel]) -> dict[Path, list[LocalModel]]:
    grouped: dict[Path, list[LocalModel]] = {}
    for model in models:
        grouped.setdefault(model.directory, []).append(model)
    return grouped


def _chunks(items: list[_Item], size: int) -> Iterator[list[_Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _be_nice() -> None:
    # On Linux a thread has a niceness of its own; elsewhere it would be the whole worker's.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
