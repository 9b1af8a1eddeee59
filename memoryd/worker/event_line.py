"""The one event stream of a worker at its ComfyUI, kept open from job to job and read by a thread of its own.

Read all the time, also between jobs: ComfyUI sends to all its clients from one loop, and a client that does not read
would hold everybody's events up.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import uuid
from collections.abc import Iterator
from typing import TypeAlias

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineDown, EngineTrouble
from memoryd.comfyui.event_stream import Events
from memoryd.comfyui.frames import BadFrame, Frame, Message
from memoryd.foundation.logging import log_for

RECONNECT_FIRST_S = 0.05
RECONNECT_LAST_S = 2.0
"""Between tries to open the stream again: doubled from the first to the last."""

CLOSE_LIMIT_S = 3.0
"""How long the end waits for the reading thread."""

_log = log_for(__name__)

Frames: TypeAlias = "queue.SimpleQueue[Frame | None]"
"""What came for one listener, in order; None where the stream broke: something may have been missed."""


class EventLine:
    """Reads one client id's events until it is closed. Thread-safe; one listener at a time."""

    def __init__(self, comfyui: ComfyClient, client_id: str) -> None:
        """`client_id` is this worker's alone: of two streams with one id, ComfyUI tells only the newer."""
        self._comfyui = comfyui
        self.client_id = client_id
        self.generation = 0
        """Counts the times the stream was opened: another number means that ComfyUI may have been restarted."""
        self.remaining: int | None = None
        """How many runs ComfyUI has, waiting or running, everybody's; None while it cannot be told."""
        self._listener: Frames | None = None
        self._events: Events | None = None
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="engine-events", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()
        self._hang_up()
        if self._thread.is_alive():
            self._thread.join(timeout=CLOSE_LIMIT_S)

    @property
    def connected(self) -> bool:
        """Whether the stream is open."""
        return self._events is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[Frames]:
        """A block in which everything but the queue's length goes to the frames that it is given."""
        frames: Frames = queue.SimpleQueue()
        self._listener = frames
        try:
            yield frames
        finally:
            self._listener = None

    def renew(self) -> None:
        """Open the stream anew under another client id: nothing came though something happened.

        ComfyUI forgets an id when an older stream of the same id closes, and the newer one then hears nothing.
        """
        self.client_id = str(uuid.uuid4())
        self._hang_up()

    def wait_for_change(self, seconds: float) -> None:
        """Wait until the queue's length was told, or the stream opened or broke; not longer than `seconds`."""
        with self._changed:
            self._changed.wait(seconds)

    def wait_until_open(self, seconds: float) -> bool:
        """Wait until the stream is open. Returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self.connected or self._closed.is_set(), seconds) and self.connected

    def _read_on(self) -> None:
        pause = RECONNECT_FIRST_S
        while not self._closed.is_set():
            try:
                events = self._comfyui.events(self.client_id)
            except (EngineDown, EngineTrouble):
                self._closed.wait(pause)
                pause = min(pause * 2, RECONNECT_LAST_S)
                continue
            pause = RECONNECT_FIRST_S
            self._opened(events)
            try:
                self._read(events)
            except EngineDown as error:
                _log.debug("%s", error.detail)
            finally:
                self._broke(events)

    def _read(self, events: Events) -> None:
        while not self._closed.is_set():
            try:
                frame = events.next(timeout_s=None)
            except BadFrame:
                continue
            if frame is None:
                continue
            if isinstance(frame, Message) and frame.type == "status":
                self._note_status(frame)
                continue
            listener = self._listener
            if listener is not None:
                listener.put(frame)

    def _note_status(self, frame: Message) -> None:
        status = frame.body.get("status")
        facts = status.get("exec_info") if isinstance(status, dict) else None
        remaining = facts.get("queue_remaining") if isinstance(facts, dict) else None
        with self._changed:
            self.remaining = remaining if isinstance(remaining, int) else None
            self._changed.notify_all()

    def _opened(self, events: Events) -> None:
        with self._changed:
            self._events = events
            self.generation += 1
            self._changed.notify_all()
        if self._closed.is_set():
            self._hang_up()

    def _broke(self, events: Events) -> None:
        with self._changed:
            self._events, self.remaining = None, None
            self._changed.notify_all()
        events.close()
        listener = self._listener
        if listener is not None:
            listener.put(None)

    def _hang_up(self) -> None:
        events = self._events
        if events is not None:
            events.close()
