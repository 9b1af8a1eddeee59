"""A process that reads files for another: chunks come in as pickles on standard input, readings go out on standard output.

Apart from the server's own process, so that a fault or the memory of a decoder takes one file with it and not the server;
and started plainly, so that it imports what reading needs and no database driver. It ends when its input does, which it
also does when the server is killed. Both ends are ours: a pickle from a file or the network never comes here.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import pickle
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from memoryd.foundation.logging import begin_logging
from memoryd.ingest.facts import Folder, Knowledge, PreparedFile
from memoryd.ingest.preparing import prepare_file
from memoryd.ingest.ready import made_ready, packed_files

Task = tuple[Folder, Sequence[Path], bool, bool]
"""A folder, paths in it, whether a person named them, whether those that may be new are to be made rows."""

Read = tuple[list[PreparedFile], dict[str, float]]
"""Files as read, and the seconds by stage."""

COLLECT_AFTER = 50_000
"""Objects made between two looks for circles: a reading makes thousands, and leaves hardly any behind."""

_LENGTH = struct.Struct(">Q")


def send(stream: BinaryIO, value: object) -> None:
    """Send one value. Raises: OSError where the other end is gone."""
    packed = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(packed)))
    stream.write(packed)
    stream.flush()


def receive(stream: BinaryIO) -> object:
    """Return the next value. Raises: EOFError where the other end is gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    packed = stream.read(length)
    if len(packed) < length:
        raise EOFError
    return pickle.loads(packed)  # noqa: S301 - from our own process


def read_chunk(task: Task) -> Read:
    """Return the files of a task as read, in order."""
    folder, paths, named, ready = task
    files: list[PreparedFile] = []
    seconds: dict[str, float] = {}
    for path in paths:
        file, spent = prepare_file(folder, path, named=named, ready=ready)
        if ready and file.ready is None:
            began = time.perf_counter()
            file = made_ready(file)
            spent["rows"] = spent.get("rows", 0.0) + time.perf_counter() - began
        files.append(file)
        for stage, value in spent.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    return files, seconds


def _answer(task: Task) -> tuple[bytes, dict[str, float]]:
    files, seconds = read_chunk(task)
    return packed_files(files), seconds


def main() -> None:
    """Read until there is no more to read."""
    begin_logging(os.environ.get("MEMORYD_LOG_LEVEL", "INFO"))
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    # What a format plugin prints must not get between the readings.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    send(answers, "ready")
    knowledge: Knowledge | None = None
    while True:
        try:
            task = receive(sys.stdin.buffer)
        except EOFError:
            return
        if isinstance(task, Knowledge):
            knowledge = task
            continue
        folder, *rest = cast(Task, task)
        send(answers, _answer(cast(Task, (dataclasses.replace(folder, knowledge=knowledge), *rest))))


if __name__ == "__main__":
    main()
