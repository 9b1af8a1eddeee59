"""Who hears what: one socket per client id, as ComfyUI has it, with its quirks (a newer socket takes an id over)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from uuid import uuid4

from memoryd.foundation.canonical_json import Json


class Socket:
    """One listener: frames wait here until its connection sends them."""

    def __init__(self, sid: str) -> None:
        """Made on the event loop that will send."""
        self.sid = sid
        self._frames: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def put(self, text: str) -> None:
        """Add a frame, from any thread."""
        self._loop.call_soon_threadsafe(self._frames.put_nowait, text)

    async def next(self) -> str:
        """Return the next frame to send."""
        return await self._frames.get()


class Switchboard:
    """All sockets by client id. Thread-safe."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._sockets: dict[str, Socket] = {}
        self._lock = threading.Lock()

    def open(self, sid: str | None) -> Socket:
        """Return a new socket for the client id (one is made up where there is none); an older one goes deaf."""
        socket = Socket(sid or uuid4().hex)
        with self._lock:
            self._sockets[socket.sid] = socket
        return socket

    def close(self, socket: Socket) -> None:
        """Forget the client id: also where a newer socket holds it, which then goes deaf, as in ComfyUI."""
        with self._lock:
            self._sockets.pop(socket.sid, None)

    def tell(self, kind: str, body: Mapping[str, Json], sid: str | None = None) -> None:
        """Send a message to one client id, or to everybody."""
        text = json.dumps({"type": kind, "data": body})
        with self._lock:
            heard = (
                list(self._sockets.values()) if sid is None else [self._sockets[sid]] if sid in self._sockets else []
            )
            for socket in heard:
                socket.put(text)
