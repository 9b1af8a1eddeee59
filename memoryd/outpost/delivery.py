"""Takes letters from the spool to the server, as fast as it takes them; waits ever longer while it is away."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

from memoryd.foundation.errors import MemorydError, NotAllowed
from memoryd.foundation.logging import log_for
from memoryd.ingest.asset_wire import AssetAnswer
from memoryd.outpost.local_file import face_of, spelled
from memoryd.outpost.server_link import FolderUnknown, KeyRefused, Refused, ServerAway, ServerLink, TooMuch
from memoryd.outpost.spool import Face, Letter, Spool, Step

LETTERS_AT_ONCE = 50
FACTS_AT_ONCE = 16 * 2**20
"""Bytes of one request's facts; a single file's are always sent, whatever their size."""

GONE_AT_ONCE = 1_000
WAIT_FIRST_S = 1.0
WAIT_MOST_S = 60.0

_log = log_for(__name__)


class Registration:
    """What is told to the server of this folder."""

    def __init__(self, *, host: str, path: str, project: str | None, custody: str) -> None:
        """`path` as this machine spells it."""
        self.host, self.path, self.project, self.custody = host, path, project, custody


class Delivery:
    """Sends what waits until it is stopped."""

    def __init__(
        self,
        folder: Path,
        spool: Spool,
        link: ServerLink,
        registration: Registration,
        *,
        read_again: Callable[[str], None],
    ) -> None:
        """`read_again` is told of files that changed since they were read."""
        self._folder = folder
        self._spool = spool
        self._link = link
        self._registration = registration
        self._read_again = read_again
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._root: str | None = None
        self._told: str | None = None

    def stop_soon(self) -> None:
        """Ask run() to end after the present request; safe in a signal handler and from any thread."""
        self._stop.set()
        self._wake.set()

    def wake(self) -> None:
        """Tell that something new waits."""
        self._wake.set()

    def run(self) -> None:
        """Send until stop_soon(); a server that is away is tried again after WAIT_FIRST_S, doubling to WAIT_MOST_S."""
        wait = WAIT_FIRST_S
        while not self._stop.is_set():
            self._wake.clear()
            try:
                if self.deliver_some():
                    wait = WAIT_FIRST_S
                    continue
                wait = WAIT_FIRST_S
                self._wake.wait()
            except MemorydError as error:
                self._tell(error)
                self._stop.wait(wait * random.uniform(0.8, 1.2))  # noqa: S311 - spreads many watchers, guards nothing
                wait = min(wait * 2, WAIT_MOST_S)

    def deliver_all(self) -> None:
        """Send everything that waits. Raises: what the server, or the way to it, raises."""
        while not self._stop.is_set() and self.deliver_some():
            pass

    def register(self) -> None:
        """Make the folder known to the server. Raises: ServerAway, KeyRefused, FolderTaken, NotAllowed, Refused."""
        told, before = self._registration, self._spool.setting("root")
        self._root, custody = self._link.register(
            host=told.host, path=told.path, project=told.project, custody=told.custody
        )
        if before not in (None, self._root):
            # A server that was made anew, or restored without this folder: what was sent before is not known there.
            for path in self._spool.forget_sent():
                self._read_again(path)
        self._spool.keep_setting("root", self._root)
        _log.info("sending %s to %s (%s)", told.path, self._link.url, custody)

    def deliver_some(self) -> bool:
        """Send one portion of what waits; return whether there was any. Raises: as deliver_all."""
        if self._root is None:
            self.register()
        assert self._root is not None
        try:
            some = self._send_facts(self._root) or self._send_gone(self._root) or self._send_bytes(self._root)
        except FolderUnknown:
            # Removed at the server, or another server's database now: made known anew, which a refusal would end.
            self._root = None
            self.register()
            return True
        if some:
            self._answered()
        return some

    def _send_facts(self, root: str) -> bool:
        letters = self._portion()
        if not letters:
            return False
        try:
            self._sort_out(letters, self._link.send(root, [letter.facts for letter in letters]).assets)
        except (Refused, TooMuch) as error:
            if len(letters) == 1:
                _log.warning("%s is refused by the server: %s", letters[0].path, error.detail)
                self._spool.set_aside(letters[0], error.detail)
            else:
                # One of them is at fault: they go one by one.
                for letter in letters:
                    self._send_one(root, letter)
        return True

    def _send_one(self, root: str, letter: Letter) -> None:
        try:
            self._sort_out([letter], self._link.send(root, [letter.facts]).assets)
        except (Refused, TooMuch) as error:
            _log.warning("%s is refused by the server: %s", letter.path, error.detail)
            self._spool.set_aside(letter, error.detail)

    def _portion(self) -> list[Letter]:
        portion: list[Letter] = []
        room = FACTS_AT_ONCE
        for letter in self._spool.waiting(Step.FACTS, LETTERS_AT_ONCE):
            room -= len(letter.facts)
            if portion and room < 0:
                break
            portion.append(letter)
        return portion

    def _sort_out(self, letters: list[Letter], answers: list[AssetAnswer]) -> None:
        wanted = {letter.id for letter, answer in zip(letters, answers, strict=True) if answer.bytes_wanted}
        self._spool.delivered(letters, wanted)

    def _send_gone(self, root: str) -> bool:
        gone = self._spool.gone(GONE_AT_ONCE)
        if gone:
            self._link.send(root, [], gone)
            self._spool.told_gone(gone)
        return bool(gone)

    def _send_bytes(self, root: str) -> bool:
        letters = self._spool.waiting(Step.BYTES, 1)
        for letter in letters:
            before: Face | None = None
            try:
                with (self._folder / spelled(letter.path)).open("rb") as stream:
                    before = face_of(os.fstat(stream.fileno()))
                    self._link.send_bytes(root, letter.facts, letter.sha256, stream)
            except FileNotFoundError:
                _log.warning("%s is gone: its facts were sent, its bytes cannot be", letter.path)
                self._spool.delivered([letter])
            except (Refused, TooMuch) as error:
                if self._changed(letter, before):
                    self._spool.forget(letter)
                    self._read_again(letter.path)
                else:
                    _log.warning("the bytes of %s are refused by the server: %s", letter.path, error.detail)
                    self._spool.set_aside(letter, error.detail)
            except OSError as error:
                raise ServerAway(f"{letter.path} cannot be read ({error.strerror})") from error
            else:
                self._spool.delivered([letter])
        return bool(letters)

    def _changed(self, letter: Letter, before: Face | None) -> bool:
        known = self._spool.faces().get(letter.path)
        return known is None or known != before

    def _answered(self) -> None:
        if self._told is not None:
            _log.info("%s answers again; %d files wait", self._link.url, self._spool.counts().waiting)
        self._told = None

    def _tell(self, error: MemorydError) -> None:
        told = f"{error.title} {error.detail}"
        if told != self._told:
            waiting = self._spool.counts().waiting
            hint = f" Next: {error.hint}." if error.hint else ""
            say = _log.error if isinstance(error, (KeyRefused, NotAllowed)) else _log.warning
            say("%s%s %d files wait here, and nothing is lost.", told, hint, waiting)
        self._told = told
