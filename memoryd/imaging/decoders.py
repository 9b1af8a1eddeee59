"""Decoding processes, a bounded number of them: each does one file at a time, within limits of time and memory."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO, cast

from memoryd.foundation.errors import Unavailable
from memoryd.foundation.findings import Finding
from memoryd.foundation.logging import log_for
from memoryd.imaging.derived import Derived
from memoryd.imaging.deriving_process import receive_derived, send_task
from memoryd.imaging.recipes import Part, spelled_all

SECONDS_LIMIT = 60.0
"""For one file. The largest picture that is decoded takes 10 s; three seconds of 8K video take about as long."""
START_SECONDS_LIMIT = 30.0
PROCESSES = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Of one server process: the other half of the machine answers people and takes files in."""

_log = log_for(__name__)


class NoDecoder(Unavailable):
    """No decoding process can be started here."""


class _Lost(Exception):
    """The process died or hung over a file. `seconds` is how long it had."""


class _Decoder:
    """One decoding process, started."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "memoryd.imaging.deriving_process"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                # Ctrl-C is the parent's to decide on.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise NoDecoder(str(error), hint="the server's log tells more") from error
        finally:
            theirs.close()
        self._link = ours
        if not self._answers(START_SECONDS_LIMIT) or self._link.recv(5) != b"ready":
            self.end()
            raise NoDecoder("a decoding process did not start", hint="the server's log tells more")

    def _answers(self, seconds: float) -> bool:
        return bool(select.select([self._link], [], [], seconds)[0])

    @property
    def lives(self) -> bool:
        return self._process.poll() is None and not self._answers(0)

    def derive(self, file: BinaryIO, media_type: str, recipes: str, seconds: float) -> tuple[Derived, bool]:
        deadline = threading.Timer(seconds, self._process.kill)
        deadline.daemon = True
        deadline.start()
        try:
            send_task(self._link, file.fileno(), media_type, recipes)
            return receive_derived(self._link)
        except (EOFError, OSError) as error:
            raise _Lost from error
        finally:
            deadline.cancel()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._link.close()


class Decoders:
    """The decoding processes of one process. Thread-safe: whoever finds none free waits."""

    def __init__(self, processes: int = PROCESSES) -> None:
        """They start at first need and stay for the next file."""
        self.processes = processes
        self._free: queue.LifoQueue[_Decoder | None] = queue.LifoQueue()
        for _ in range(processes):
            self._free.put(None)

    def derive(
        self, content: BinaryIO, media_type: str, parts: frozenset[Part], *, seconds: float = SECONDS_LIMIT
    ) -> Derived:
        """Return what is wanted of an open file; what cannot be derived, for whatever reason, is a finding.

        Raises: NoDecoder.
        """
        with _as_file(content) as file:
            decoder = self._free.get()
            try:
                if decoder is None or not decoder.lives:
                    if decoder is not None:
                        decoder.end()
                        decoder = None
                    decoder = _Decoder()
                started = time.monotonic()
                try:
                    derived, last = decoder.derive(file, media_type, spelled_all(parts), seconds)
                except _Lost:
                    decoder.end()
                    decoder = None
                    return _lost(time.monotonic() - started, seconds)
                if last:
                    decoder.end()
                    decoder = None
                return derived
            finally:
                self._free.put(decoder)

    def close(self) -> None:
        """End the processes that are free."""
        for _ in range(self.processes):
            try:
                decoder = self._free.get_nowait()
            except queue.Empty:
                break
            if decoder is not None:
                decoder.end()
            self._free.put(None)


def _lost(took: float, limit: float) -> Derived:
    if took >= limit:
        finding = Finding(code="decoding-too-long", detail=f"decoding it takes longer than SECONDS_LIMIT, {limit:g} s")
    else:
        finding = Finding(code="decoder-died", detail="the decoder died of it: the file is damaged, or made to do harm")
    _log.warning("decoding: %s", finding.detail)
    return Derived(findings=(finding,))


@contextlib.contextmanager
def _as_file(content: BinaryIO) -> Iterator[BinaryIO]:
    """Content as an open file that another process can be handed: itself, or a nameless file in memory."""
    try:
        content.fileno()
    except OSError:
        pass
    else:
        content.seek(0)
        yield content
        return
    # Nobody else has a name for it: what was checked is what is decoded.
    with _nameless_file() as file:
        content.seek(0)
        shutil.copyfileobj(content, file, 1 << 20)
        file.flush()
        file.seek(0)
        yield file


def _nameless_file() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("asset"), "w+b")
    return cast(BinaryIO, tempfile.TemporaryFile("w+b"))
