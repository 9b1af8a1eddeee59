"""How much of the GPU's memory is in use, asked of nvidia-smi now and then by a thread of its own."""

from __future__ import annotations

import csv
import subprocess
import threading

from memoryd.worker.gpu_reading import ANSWER_LIMIT_S

QUERY = ("nvidia-smi", "--query-gpu=uuid,memory.used", "--format=csv,noheader,nounits")
"""Source: `nvidia-smi --help-query-gpu`; memory in MiB."""

LOOK_EVERY_S = 15.0
"""As often as monitoring usually looks; nvidia-smi takes some 50 ms of a processor."""

FAILURES_LIMIT = 3
"""After so many looks in a row that told nothing, it is not asked any more: there is no such card or program here."""


class GpuMemory:
    """The newest look at one card. Thread-safe."""

    def __init__(self, gpu_uuid: str | None) -> None:
        """Nothing is looked at before `start`; without a card's uuid nothing ever is."""
        self._uuid = gpu_uuid
        self._used_mb: int | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="gpu-memory", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        if self._uuid is not None:
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def used_mb(self) -> int | None:
        """Return what is in use (MiB) as of the last look, None where that told nothing."""
        return self._used_mb

    def _look_on(self) -> None:
        failures = 0
        while failures < FAILURES_LIMIT and not self._stopped.is_set():
            self._used_mb = look(self._uuid or "")
            failures = failures + 1 if self._used_mb is None else 0
            self._stopped.wait(LOOK_EVERY_S)


def look(gpu_uuid: str) -> int | None:
    """Return the memory in use of one card (MiB), None where nvidia-smi does not tell."""
    try:
        answer = subprocess.run(
            QUERY, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_LIMIT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return read_used(answer, gpu_uuid)


def read_used(answer: str, gpu_uuid: str) -> int | None:
    """Return what nvidia-smi's answer says of one card (MiB), None where it says nothing of it."""
    for row in csv.reader(answer.splitlines(), skipinitialspace=True):
        if len(row) == 2 and row[0].strip() == gpu_uuid and row[1].strip().isdecimal():
            return int(row[1].strip())
    return None
