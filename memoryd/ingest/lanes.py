"""Reads batches with both of a machine's hands: a few reading processes, each fed by a thread of this one.

A process that dies over a file (memory, a fault in a decoder) takes only that file with it: the others are read again.
Where reading processes cannot be started at all, files are read here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

from memoryd.foundation.logging import log_for
from memoryd.ingest.facts import BATCH_LIMIT, Folder, Knowledge, Prepared, PreparedFile, Reason
from memoryd.ingest.preparing import refused
from memoryd.ingest.reading_process import Read, Task, read_chunk, receive, send
from memoryd.ingest.ready import unpacked_files

PROCESSES = 2
"""Reading is two thirds hashing and parsing: more processes than this only wait for the one database transaction."""

CHUNK = 24
"""Files handed to a process at once: fewer cost messages, more leave the other process idle at a batch's end."""

POOL_WORTH_FILES = 16
"""Batches smaller than this are read in the calling process: starting another takes 0.3 s."""

PIPE_BYTES = 2**20
"""What a reading process may be ahead with its answer: it goes on with the next task while the last one waits for us.

Source: Linux, pipe(7): the most that a process without privileges may ask for.
"""

LARGE_FILE = 256 * 2**20
"""Bytes from which a file has the lane of its own: hashing it takes longer than recording a batch of pictures."""

CHUNK_SECONDS_LIMIT = 180.0
"""After this a process is taken to hang, and is replaced. 24 of the largest files of the common lane read in a tenth."""

START_SECONDS_LIMIT = 30.0

_KEEPS_ITS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
"""One file's memory is used again for the next, instead of being given back and cleared: half of the time to read 450 KB.

Source: glibc, mallopt(3).
"""

_log = log_for(__name__)


class _Lost(Exception):
    """The process died or hung over a task."""


class _CannotStart(Exception):
    """No process can be started here: nothing is said of any file."""


class _Reader:
    """One reading process, started."""

    def __init__(self) -> None:
        self._told: Knowledge | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "memoryd.ingest.reading_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**_KEEPS_ITS_MEMORY, **os.environ},
            # Ctrl-C is the parent's to decide on.
            start_new_session=True,
            pipesize=PIPE_BYTES,
        )
        try:
            with _limits.on(self._process, START_SECONDS_LIMIT):
                receive(self._out)
        except (EOFError, OSError) as error:
            self.end()
            raise _CannotStart from error

    @property
    def _out(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdout)

    def read(self, task: Task) -> Read:
        folder, *rest = task
        try:
            with _limits.on(self._process, CHUNK_SECONDS_LIMIT):
                if folder.knowledge is not None and folder.knowledge is not self._told:
                    send(cast(BinaryIO, self._process.stdin), folder.knowledge)
                    self._told = folder.knowledge
                # It is megabytes: sent once, not with every task.
                send(cast(BinaryIO, self._process.stdin), (dataclasses.replace(folder, knowledge=None), *rest))
                packed, seconds = cast(tuple[bytes, dict[str, float]], receive(self._out))
        except (EOFError, OSError) as error:
            raise _Lost from error
        return unpacked_files(packed, task[1]), seconds

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


class _Limits:
    """Kills processes that are not done in time; whoever waits for an answer then meets the end of its output.

    One thread for all of them: starting one for every task would cost more than handing the task over.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[int, tuple[float, subprocess.Popen[bytes]]] = {}
        self._next: float | None = None
        self._started = False

    @contextlib.contextmanager
    def on(self, process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
        """Give a process this time for a block."""
        at = time.monotonic() + seconds
        with self._changed:
            self._due[process.pid] = (at, process)
            if not self._started:
                threading.Thread(target=self._watch, name="reading-limits", daemon=True).start()
                self._started = True
            if self._next is None or at < self._next:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._due.pop(process.pid, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for pid, (at, process) in list(self._due.items()):
                    if at <= now:
                        del self._due[pid]
                        process.kill()
                self._next = min((at for at, _ in self._due.values()), default=None)
                self._changed.wait(None if self._next is None else self._next - now)


_limits = _Limits()


def _together(folder: Folder, reads: Iterable[Read], *, named: bool = False) -> Prepared:
    files: list[PreparedFile] = []
    seconds: dict[str, float] = {}
    for some, spent in reads:
        files += some
        for stage, value in spent.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    return Prepared(folder=folder, files=tuple(files), seconds=seconds, named=named)


class Lanes:
    """Holds the reading processes; use it as a context manager. Safe to share between threads."""

    def __init__(self, processes: int = PROCESSES) -> None:
        """The processes start at first need. With `processes` 0 everything is read in the calling process."""
        self._processes = processes
        self._threads: ThreadPoolExecutor | None = None
        self._idle: queue.SimpleQueue[_Reader] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def __enter__(self) -> Lanes:
        """Return the lanes."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self.close()

    def close(self) -> None:
        """End the processes, after what they are reading now."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True, cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().end()

    def prepare(
        self,
        folder: Folder,
        paths: Sequence[Path],
        *,
        named: bool = False,
        ready: bool = False,
        worth: int = POOL_WORTH_FILES,
    ) -> Prepared:
        """Return a batch as read, in the order of `paths` (at most BATCH_LIMIT). Raises nothing for what the files are.

        With `ready` those that may be new come as rows in place of records. Fewer files than `worth` are read in the
        calling process.
        """
        assert len(paths) <= BATCH_LIMIT
        if self._processes == 0 or len(paths) < worth:
            return _together(folder, [read_chunk((folder, paths, named, ready))], named=named)
        tasks: list[Task] = [(folder, paths[at : at + CHUNK], named, ready) for at in range(0, len(paths), CHUNK)]
        return _together(folder, self._running().map(self._read, tasks), named=named)

    def _running(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._processes, thread_name_prefix="reading")
            return self._threads

    def _read(self, task: Task) -> Read:
        try:
            return self._in_process(task)
        except _CannotStart:
            _log.warning("no reading process can be started: files are read in this one")
            return read_chunk(task)
        except _Lost:
            folder, paths, named, ready = task
            if len(paths) == 1:
                return [refused(folder, paths[0], Reason.FAULT, "the process that read it died or hung")], {}
            _log.warning("a reading process was lost: its %d files are read one by one", len(paths))
            one_by_one = _together(folder, [self._read((folder, [path], named, ready)) for path in paths])
            return list(one_by_one.files), dict(one_by_one.seconds)

    def _in_process(self, task: Task) -> Read:
        try:
            reader = self._idle.get_nowait()
        except queue.Empty:
            try:
                reader = _Reader()
            except OSError as error:
                raise _CannotStart from error
        try:
            read = reader.read(task)
        except BaseException:
            reader.end()
            raise
        self._idle.put(reader)
        return read
