"""The event stream of one client id at a ComfyUI: what happens to the runs that this client submitted."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from memoryd.comfyui.errors import EngineDown
from memoryd.comfyui.frames import Frame, read_frame

FRAME_LIMIT = 64 * 1024 * 1024
"""Bytes of one WebSocket message; `progress_state` grows with the graph, previews are far smaller."""

OPEN_TIMEOUT_S = 5
KEEPALIVE_IDLE_S = 30
"""After how long without a byte the network is asked whether the other side is still there. ComfyUI itself is not: its
event loop may be busy for longer than any ping would wait."""

_FEATURES = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
"""Said first: previews then name their node and run. Source: ComfyUI 0.3.64 and 0.29, server.py."""


class Events:
    """The event stream of one client id. Close it (from any thread), or use it as a context manager."""

    def __init__(self, connection: ClientConnection, opened: ExitStack) -> None:
        """`connection` is open; closing `opened` closes it."""
        self._socket = connection
        self._opened = opened

    def __enter__(self) -> Events:
        """Enter a block at whose end the stream is closed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the stream."""
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the other side closes. Raises: EngineDown when it breaks, BadFrame."""
        while True:
            frame = self.next(timeout_s=None)
            if frame is not None:
                yield frame

    def next(self, timeout_s: float | None) -> Frame | None:
        """Return the next frame, or None when none came in time. Raises: EngineDown when the stream ended, BadFrame."""
        try:
            return read_frame(self._socket.recv(timeout=timeout_s))
        except TimeoutError:
            return None
        except (ConnectionClosed, OSError) as error:
            raise EngineDown(f"the event stream ended: {error}", hint="ComfyUI was stopped or restarted") from error

    def close(self) -> None:
        """Close the stream."""
        self._opened.close()


def open_events(address: str) -> Events:
    """Return the open stream at a WebSocket address. Raises: OSError, WebSocketException."""
    opened = ExitStack()
    connection = opened.enter_context(
        connect(
            address,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=1,
            max_size=FRAME_LIMIT,
            proxy=None,
            ping_interval=None,
        )
    )
    with contextlib.suppress(OSError):
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    try:
        connection.send(_FEATURES)
    except ConnectionClosed as error:
        opened.close()
        raise OSError(str(error)) from error
    return Events(connection, opened)


__all__ = ["Events", "WebSocketException", "open_events"]
