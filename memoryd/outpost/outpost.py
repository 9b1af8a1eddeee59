"""Watching a folder of a workstation for a server elsewhere: the lookout reads, the delivery sends, the spool is between."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import threading
from pathlib import Path

from memoryd.foundation.errors import NotAcceptable, NotRecognised
from memoryd.foundation.logging import log_for
from memoryd.outpost.delivery import Delivery, Registration
from memoryd.outpost.lookout import Lookout
from memoryd.outpost.server_link import ServerAway, ServerLink
from memoryd.outpost.spool import Counts, Spool

TOKEN_LIMIT = 1_000

_log = log_for(__name__)


class NoFolder(NotAcceptable):
    """This is no folder that can be watched."""


class NoToken(NotRecognised):
    """No key was given to speak to the server with."""


class TokenExposed(NotAcceptable):
    """Others can read the file with the key."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is watched, for whom. `host` is the name that the folder's machine has at the server."""

    folder: Path
    server: str
    token: str = dataclasses.field(repr=False)
    host: str
    state: Path
    project: str | None = None
    keep: bool = False
    certificates: Path | None = None


def read_token(path: Path) -> str:
    """Return the key in a file that only its owner can read. Raises: TokenExposed; NoToken."""
    try:
        found = path.stat()
        if os.name == "posix" and stat.S_IMODE(found.st_mode) & 0o077:
            raise TokenExposed(str(path), hint=f"chmod 600 {path}")
        token = path.read_text("utf-8", errors="replace")[:TOKEN_LIMIT].strip()
    except OSError as error:
        raise NoToken(f"{path}: {error.strerror}", hint="name a file with an API key in it") from error
    if not token:
        raise NoToken(f"{path} is empty", hint="`memoryd keys add` makes a key")
    return token


def spool_path(state: Path, server: str, folder: Path) -> Path:
    """Return where what waits for a server from a folder is kept."""
    name = hashlib.sha256(f"{server.rstrip('/')}\n{folder}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return state / name / "spool.sqlite"


class Outpost:
    """One folder and one server."""

    def __init__(self, options: Options, *, link: ServerLink | None = None) -> None:
        """Raises: NoFolder, OutpostRunsAlready, SpoolUnusable, TrustUnusable."""
        folder = options.folder.expanduser().resolve()
        if not folder.is_dir():
            raise NoFolder(str(options.folder), hint="name an existing folder")
        self._spool = Spool(spool_path(options.state, options.server, folder))
        self._link = link or ServerLink(options.server, options.token, certificates=options.certificates)
        registration = Registration(
            host=options.host,
            path=str(folder),
            project=options.project,
            custody="keep" if options.keep else "reference",
        )
        self._lookout = Lookout(folder, self._spool, new=self._wake)
        self._delivery = Delivery(folder, self._spool, self._link, registration, read_again=self._lookout.read_again)

    def _wake(self) -> None:
        self._delivery.wake()

    def stop_soon(self) -> None:
        """Ask run() to end; safe in a signal handler."""
        self._lookout.stop_soon()
        self._delivery.stop_soon()

    def run(self) -> Counts:
        """Watch and send until stop_soon(); what is unsent then waits for the next start. Return how far it came.

        Raises: KeyRefused, NotAllowed, FolderTaken, Refused where the server will not have this folder at all. One that is
        away is waited for.
        """
        try:
            try:
                self._delivery.register()
            except ServerAway as error:
                _log.warning("%s %s: what is read waits here until it answers", error.title, error.detail)
            sending = threading.Thread(target=self._delivery.run, name="sending", daemon=True)
            sending.start()
            self._lookout.run()
            self._delivery.stop_soon()
            sending.join(timeout=30.0)
            return self._spool.counts()
        finally:
            self._close()

    def run_once(self) -> Counts:
        """Read what is new, send all that waits, and return how far it came. Raises: as run, and ServerAway."""
        try:
            self._lookout.read_all()
            self._delivery.deliver_all()
            if self._lookout.is_asked():
                self._lookout.read_all()
                self._delivery.deliver_all()
            return self._spool.counts()
        finally:
            self._close()

    def _close(self) -> None:
        self._link.close()
        self._spool.close()
