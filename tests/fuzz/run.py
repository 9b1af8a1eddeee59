"""Damaged files by the thousand over every reader and the whole way of recording: no crash, no hang, no memory eaten.

    python tests/fuzz/run.py [--count 200000] [--models 100000] [--seed 1] [--jobs 2]

`--count` files that people make, and `--models` weights with what lies beside them: safetensors, GGUF, pickles in all
their containers, sidecars, model cards.

Each file has HANG_LIMIT_S seconds of processor time and MEMORY_LIMIT bytes, enforced from outside of the code that reads
it. One that fails is written to tests/fuzz/seeds/ and tried first next time; kept there, a test replays it for ever.
Prints figures and `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import hashlib
import logging
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz import model_headers, reading
from tests.fuzz.mutating import mutated
from tests.fuzz.reading import KEPT, Outcome, kept_seeds

COUNT = 200_000
MODELS = 100_000
HANG_LIMIT_S = 2.0
"""Seconds of processor time for one file."""

WALL_LIMIT_S = 60.0
"""Seconds of the clock for one file, for what waits instead of working."""

MEMORY_LIMIT = 600 * 2**20
"""Bytes that reading one file may take beside what the process had before."""

_BATCH = 500


@dataclasses.dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    stop: int
    at: int
    since: float


class Files:
    """Files that people make, read as ingest does."""

    def __init__(self) -> None:
        """Take the seeds."""
        self.contents = reading.seeds()
        self.kept = kept_seeds()

    def outcome(self, number: int, content: bytes, place: Path) -> Outcome:
        """Read a file that was made of this seed."""
        return reading.outcome_of(content, self.contents[number], place)

    def outcome_again(self, kept: Path, place: Path) -> Outcome:
        """Read a file that once failed."""
        return reading.outcome_of(kept.read_bytes(), kept.read_bytes(), place)

    def name(self, number: int, content: bytes) -> str:
        """Return the name under which a failure is kept."""
        return f"{hashlib.sha256(content).hexdigest()[:16]}.bin"


class Models(Files):
    """Weights and what lies beside them, described as a scan does."""

    def __init__(self) -> None:
        """Take the seeds."""
        self.endings, contents = zip(*model_headers.seeds(), strict=True)
        self.contents = list(contents)
        self.kept = model_headers.kept_seeds()

    def outcome(self, number: int, content: bytes, place: Path) -> Outcome:
        """Describe a model that was made of this seed."""
        return model_headers.outcome_of(self.endings[number], content, place)

    def outcome_again(self, kept: Path, place: Path) -> Outcome:
        """Describe a model that once failed."""
        return model_headers.outcome_of(model_headers.ending_of(kept), kept.read_bytes(), place)

    def name(self, number: int, content: bytes) -> str:
        """Return the name under which a failure is kept, with its ending."""
        return f"{hashlib.sha256(content).hexdigest()[:16]}.{self.endings[number]}{model_headers.KEPT_SUFFIX}"


def content_of(files: Files, seed: int, index: int) -> tuple[int, bytes]:
    """Return the seed's number and the mutated file with this number: the same for the same numbers."""
    return mutated(files.contents, random.Random(f"{seed}:{index}"))


def main() -> int:
    """Run the fuzzer by its command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--models", type=int, default=MODELS)
    options = parser.parse_args()
    failed = 0
    for files, count in ((Files(), options.count), (Models(), options.models)):
        if count:
            failed += _fuzz(files, count, options.seed, options.jobs)
    return 1 if failed else 0


def _fuzz(files: Files, count: int, seed: int, jobs: int) -> int:
    """Read mutations of these files, print figures, and return how many failed."""
    began = time.monotonic()
    words: collections.Counter[str] = collections.Counter()
    failures: dict[int, str] = {}
    print(
        f"{len(files.contents)} seeds, {len(files.kept)} kept failures first, {count} mutations by {jobs} processes",
        flush=True,
    )
    for index, word, fault in _run(-len(files.kept), count, seed, jobs, files):
        words[word] += 1
        if fault is not None:
            failures[index] = fault
            print(f"FAIL {_write(files, seed, index)}: {fault}", flush=True)
    spent = time.monotonic() - began
    for word, times in words.most_common():
        print(f"{times:8d}  {word}")
    total = sum(words.values())
    print(f"{total / spent:.0f} files/s; limits: {HANG_LIMIT_S} s, {MEMORY_LIMIT // 2**20} MB a file")
    print(f"{total - len(failures)} passed, {len(failures)} failed", flush=True)
    return len(failures)


def _run(first: int, stop: int, seed: int, jobs: int, files: Files) -> Iterator[tuple[int, str, str | None]]:
    """Give each file's number, outcome and fault, from processes that may die of it."""
    waiting = [(begin, min(begin + _BATCH, stop)) for begin in range(first, stop, _BATCH)][::-1]
    workers: list[_Worker] = []
    while waiting or workers:
        while waiting and len(workers) < jobs:
            workers.append(_start(*waiting.pop(), seed, files))
        wait([worker.pipe for worker in workers], timeout=1.0)
        for worker in list(workers):
            yield from _heard(worker)
            alive = worker.process.is_alive()
            if alive and time.monotonic() - worker.since > WALL_LIMIT_S:
                worker.process.kill()
            elif alive:
                continue
            worker.process.join()
            yield from _heard(worker)
            workers.remove(worker)
            if worker.at < worker.stop:
                yield worker.at, "failed", _death(worker.process.exitcode)
                if worker.at + 1 < worker.stop:
                    waiting.append((worker.at + 1, worker.stop))


def _heard(worker: _Worker) -> Iterator[tuple[int, str, str | None]]:
    while worker.pipe.poll():
        try:
            index, word, fault = worker.pipe.recv()
        except EOFError:
            return
        worker.at, worker.since = index + 1, time.monotonic()
        yield index, word, fault


def _death(code: int | None) -> str:
    if code == -signal.SIGPROF:
        return f"a hang: more than {HANG_LIMIT_S} s of work"
    if code == -signal.SIGKILL:
        return f"a hang: more than {WALL_LIMIT_S} s of waiting"
    return f"the process ended with {code}"


def _start(begin: int, stop: int, seed: int, files: Files) -> _Worker:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_work, args=(begin, stop, seed, files, theirs))
    process.start()
    theirs.close()
    return _Worker(process=process, pipe=ours, stop=stop, at=begin, since=time.monotonic())


def _work(begin: int, stop: int, seed: int, files: Files, pipe: Connection) -> None:
    logging.disable(logging.CRITICAL)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_LIMIT, used + MEMORY_LIMIT))
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:  # noqa: S108
        for index in range(begin, stop):
            made = content_of(files, seed, index) if index >= 0 else None
            signal.setitimer(signal.ITIMER_PROF, HANG_LIMIT_S)
            if made is None:
                outcome = files.outcome_again(files.kept[index], Path(place))
            else:
                outcome = files.outcome(*made, Path(place))
            signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send((index, outcome.word, outcome.fault))


def _write(files: Files, seed: int, index: int) -> Path:
    """Keep the file of a failure; return where."""
    if index < 0:
        return files.kept[index]
    number, content = content_of(files, seed, index)
    path = KEPT / files.name(number, content)
    path.write_bytes(content)
    return path


if __name__ == "__main__":
    sys.exit(main())
