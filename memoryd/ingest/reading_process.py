"""A process that reads files for another: chunks come in as pickles on standard input, readings go out on standard output.

Apart from the server's own process, so that a fault or the memory of a decoder takes one file with it and not the server;
and started plainly, so that it imports what reading needs and no database driver. It ends when its input does, which it
also does when the server is killed. Both ends are ours: a pickle from a file or the network never comes here.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from memoryd.foundation.logging import begin_logging
from memoryd.ingest.facts import Folder, PreparedFile
from memoryd.ingest.preparing import prepare_file

Task = tuple[Folder, Sequence[Path], bool]
Read = tuple[PreparedFile, dict[str, float]]

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


def read_chunk(task: Task) -> list[Read]:
    """Return the files of a task as read, in order."""
    folder, paths, named = task
    return [prepare_file(folder, path, named=named) for path in paths]


def main() -> None:
    """Read until there is no more to read."""
    begin_logging(os.environ.get("MEMORYD_LOG_LEVEL", "INFO"))
    # What a format plugin prints must not get between the readings.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    send(answers, "ready")
    while True:
        try:
            task = receive(sys.stdin.buffer)
        except EOFError:
            return
        send(answers, read_chunk(cast(Task, task)))


if __name__ == "__main__":
    main()
