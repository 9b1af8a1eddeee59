"""Reads batches with both of a machine's hands: a small process pool, and a lane of their own for very large files.

A process that dies over a file (memory, a fault in a decoder) takes only that file with it: the others are read again.
"""

from __future__ import annotations

import ctypes
import itertools
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from memoryd.foundation.logging import log_for
from memoryd.ingest.facts import BATCH_LIMIT, Folder, Prepared, PreparedFile, Reason
from memoryd.ingest.preparing import prepare_file, prepare_here, refused

PROCESSES = 2
"""Reading is two thirds hashing and parsing: more processes than this only wait for the one database transaction."""

CHUNK = 24
"""Files handed to a process at once: fewer cost messages, more leave the other process idle at a batch's end."""

POOL_WORTH_FILES = 16
"""Batches smaller than this are read in the calling process: a pool takes 0.5 s to start."""

LARGE_FILE = 256 * 2**20
"""Bytes from which a file has the lane of its own: hashing it takes longer than recording a batch of pictures."""

CHUNK_SECONDS_LIMIT = 180.0
"""After this a process is taken to hang, and is replaced. 24 of the largest files of the common lane read in a tenth."""

_log = log_for(__name__)

_Read = tuple[PreparedFile, dict[str, float]]


class Lanes:
    """Holds the process pool; use it as a context manager. Safe to share between threads."""

    def __init__(self, processes: int = PROCESSES) -> None:
        """The processes start at first need. With `processes` 0 everything is read in the calling process."""
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Lanes:
        """Return the lanes."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self.close()

    def close(self) -> None:
        """End the processes; what they were reading is read again by whoever asks next."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            _end(pool)

    def prepare(self, folder: Folder, paths: Sequence[Path], *, named: bool = False) -> Prepared:
        """Return a batch as read, in the order of `paths` (at most BATCH_LIMIT). Raises nothing for what the files are."""
        assert len(paths) <= BATCH_LIMIT
        if self._processes == 0 or len(paths) < POOL_WORTH_FILES:
            return prepare_here(folder, paths, named=named)
        chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
        results: dict[int, list[_Read]] = {}
        for number, future in self._submitted(folder, chunks, named):
            read = self._result(future)
            if read is not None:
                results[number] = read
        for number, chunk in enumerate(chunks):
            if number not in results:
                results[number] = [self._alone(folder, path, named) for path in chunk]
        reads = list(itertools.chain.from_iterable(results[number] for number in range(len(chunks))))
        seconds: dict[str, float] = {}
        for _, spent in reads:
            for stage, value in spent.items():
                seconds[stage] = seconds.get(stage, 0.0) + value
        return Prepared(folder=folder, files=tuple(file for file, _ in reads), seconds=seconds)

    def _submitted(
        self, folder: Folder, chunks: Sequence[Sequence[Path]], named: bool
    ) -> Iterator[tuple[int, Future[list[_Read]] | None]]:
        futures: list[Future[list[_Read]] | None] = []
        for chunk in chunks:
            try:
                futures.append(self._running().submit(_read_chunk, folder, list(chunk), named))
            except (BrokenProcessPool, RuntimeError):
                futures.append(None)
        yield from enumerate(futures)

    def _running(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                # Not fork: the server has threads, and C2PA's contexts do not survive it.
                context = multiprocessing.get_context("forkserver")
                self._pool = ProcessPoolExecutor(self._processes, mp_context=context, initializer=_begin)
            return self._pool

    def _result(self, future: Future[list[_Read]] | None) -> list[_Read] | None:
        if future is None:
            return None
        try:
            return future.result(timeout=CHUNK_SECONDS_LIMIT)
        except (BrokenProcessPool, FutureTimeout, OSError) as error:
            _log.warning("a reading process was lost (%s): its files are read one by one", type(error).__name__)
            self.close()
            return None

    def _alone(self, folder: Folder, path: Path, named: bool) -> _Read:
        try:
            future: Future[list[_Read]] | None = self._running().submit(_read_chunk, folder, [path], named)
        except (BrokenProcessPool, RuntimeError):
            self.close()
            future = self._running().submit(_read_chunk, folder, [path], named)
        read = self._result(future)
        if read is not None:
            return read[0]
        return refused(folder, path, Reason.FAULT, "the process that read it died or hung"), {}


def _read_chunk(folder: Folder, paths: Sequence[Path], named: bool) -> list[_Read]:
    return [prepare_file(folder, path, named=named) for path in paths]


def _begin() -> None:
    # Ctrl-C is the parent's to decide on; and who reads for a parent that was killed must not stay behind.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        _die_with_parent()


def _die_with_parent() -> None:
    # PR_SET_PDEATHSIG. Source: prctl(2), Linux.
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)


def _end(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join(timeout=5)


def batches(paths: Sequence[Path], size_of: Callable[[Path], int]) -> tuple[list[list[Path]], list[Path]]:
    """Return the paths in batches of at most BATCH_LIMIT, and apart the very large files (LARGE_FILE and above)."""
    small = [path for path in paths if size_of(path) < LARGE_FILE]
    large = [path for path in paths if size_of(path) >= LARGE_FILE]
    return [small[start : start + BATCH_LIMIT] for start in range(0, len(small), BATCH_LIMIT)], large
