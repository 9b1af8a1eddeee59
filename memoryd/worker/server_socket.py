"""The worker's one WebSocket to its server: cancels at once, pictures of the run; nothing that is not also said by HTTP.

The run never waits for it: it leaves its newest state with its lease, and a thread of this room's own sends that as fast
as the server takes it. What became old meanwhile is never sent.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection

from memoryd.comfyui.frames import Preview
from memoryd.dispatch.socket_wire import (
    PICTURE_LIMIT,
    PICTURE_TYPES,
    Cancel,
    Drain,
    Ended,
    Lost,
    PictureHead,
    Progress,
    Wake,
    pack_picture,
    read_for_worker,
)
from memoryd.dispatch.wire import Beat, Claimed
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.logging import log_for

SEND_EVERY_S = 0.1
"""What changes more often is sent no more often: ten pictures a second are a film."""

SEND_LIMIT_S = 20.0
"""A server that takes nothing for so long is left, and called again."""

LOOK_S = 1.0
"""How often a silent sender looks whether it must end."""

PAUSE_FIRST_S = 0.5
PAUSE_LAST_S = 30.0
"""Between tries to connect: doubled from the first to the last, and up to half of it more, so that not all come at once."""

REFUSED_PAUSE_S = 300.0
"""After the server said that it has no such socket, or not for this worker."""

_log = log_for(__name__)


class ShownLease(Protocol):
    """A lease whose run is shown."""

    claimed: Claimed
    picture: Preview | None

    def beat(self) -> Beat:
        """How far the run is."""


class Hearer(Protocol):
    """Whoever is told what the server says, and knows which leases are held."""

    def held(self) -> Sequence[ShownLease]:
        """The leases that are held now."""

    def hear_wake(self) -> None:
        """There may be work."""

    def hear_drain(self) -> None:
        """Nothing new may be taken."""

    def hear_cancel(self, job_id: UUID, fence: int) -> None:
        """A run was cancelled."""

    def hear_lost(self, job_id: UUID, fence: int) -> None:
        """A lease is not this worker's."""


class ServerSocket:
    """Holds the socket, and opens it anew whenever it broke, until it is stopped."""

    def __init__(self, open_socket: Callable[[], ClientConnection], hearer: Hearer) -> None:
        """Nothing is connected yet. `open_socket` raises MemorydError where there is no connection."""
        self.news = threading.Event()
        """Set it when a lease was taken, changed, or let go."""
        self._open = open_socket
        self._hearer = hearer
        self._stopped = threading.Event()
        self._connection: ClientConnection | None = None
        self._sending_since: float | None = None
        self._thread = threading.Thread(target=self._hold, name="server-socket", daemon=True)

    def start(self) -> None:
        """Start connecting."""
        self._thread.start()

    def stop(self) -> None:
        """Close the socket for good."""
        self._stopped.set()
        self.news.set()
        self._close()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def _hold(self) -> None:
        pause, told = PAUSE_FIRST_S, False
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                opened = self._open()
            except MemorydError as error:
                if not told:
                    _log.info("no socket to the server, work goes on without it: %s", error.detail)
                told = True
                pause = pause if isinstance(error, Unavailable) else REFUSED_PAUSE_S
            else:
                told = False
                with opened as self._connection:
                    self._converse(opened)
                if time.monotonic() - began > PAUSE_LAST_S:
                    pause = PAUSE_FIRST_S
            self._stopped.wait(pause * random.uniform(1, 1.5))  # noqa: S311 - no secret: spreads reconnects
            pause = min(pause * 2, PAUSE_LAST_S)

    def _converse(self, connection: ClientConnection) -> None:
        self._sending_since = None
        sender = threading.Thread(target=self._send, args=(connection,), name="server-socket-send", daemon=True)
        sender.start()
        try:
            while not self._stopped.is_set():
                try:
                    said = connection.recv(timeout=LOOK_S)
                except TimeoutError:
                    if self._is_stuck():
                        return
                except (WebSocketException, OSError):
                    return
                else:
                    if isinstance(said, str):
                        self._hear(said)
        finally:
            self._close()
            self.news.set()
            sender.join(timeout=LOOK_S * 2)

    def _is_stuck(self) -> bool:
        since = self._sending_since
        return since is not None and time.monotonic() - since > SEND_LIMIT_S

    def _hear(self, said: str) -> None:
        word = read_for_worker(said)
        match word:
            case Wake():
                self._hearer.hear_wake()
            case Drain():
                self._hearer.hear_drain()
            case Cancel():
                self._hearer.hear_cancel(word.job_id, word.fence)
            case Lost():
                self._hearer.hear_lost(word.job_id, word.fence)
            case None:
                _log.debug("the server said what this worker does not know yet")

    def _send(self, connection: ClientConnection) -> None:
        beats: dict[UUID, Beat] = {}
        pictures: dict[UUID, Preview] = {}
        try:
            while connection is self._connection and not self._stopped.is_set():
                self.news.clear()
                held = {lease.claimed.job_id: lease for lease in self._hearer.held()}
                for job_id in [job_id for job_id in beats if job_id not in held]:
                    pictures.pop(job_id, None)
                    self._send_one(connection, _ended(beats.pop(job_id)).model_dump_json())
                for job_id, lease in held.items():
                    beat, picture = lease.beat(), lease.picture
                    if beats.get(job_id) != beat:
                        beats[job_id] = beat
                        self._send_one(connection, _progress(beat).model_dump_json())
                    if picture is not None and pictures.get(job_id) is not picture:
                        pictures[job_id] = picture
                        message = _message(lease.claimed, picture)
                        if message is not None:
                            self._send_one(connection, message)
                self._stopped.wait(SEND_EVERY_S)
                self.news.wait(LOOK_S)
        except (WebSocketException, OSError):
            # Whoever listens on the same connection meets it too, and connects anew.
            return

    def _send_one(self, connection: ClientConnection, message: str | bytes) -> None:
        self._sending_since = time.monotonic()
        connection.send(message)
        self._sending_since = None

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        # A send that waits for the other side holds the connection's lock, and a polite end would wait for it for ever.
        with contextlib.suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(WebSocketException, OSError):
            connection.close()


def _progress(beat: Beat) -> Progress:
    return Progress(
        job_id=beat.job_id,
        fence=beat.fence,
        token=beat.token,
        progress=beat.progress,
        phase=beat.phase,
        node=beat.node,
    )


def _ended(beat: Beat) -> Ended:
    return Ended(job_id=beat.job_id, fence=beat.fence, token=beat.token)


def _message(claimed: Claimed, picture: Preview) -> bytes | None:
    if picture.media_type not in PICTURE_TYPES or len(picture.image) > PICTURE_LIMIT:
        return None
    head = PictureHead.model_validate(
        {
            "job_id": claimed.job_id,
            "fence": claimed.fence,
            "token": claimed.token,
            "media_type": picture.media_type,
            "node": picture.node,
        }
    )
    return pack_picture(head, picture.image)
