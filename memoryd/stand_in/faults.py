"""Faults on demand: what goes wrong with a real engine on a bad day, for trying out what memoryd makes of it.

Armed over HTTP at `/memoryd_stand_in/faults`, a path that no ComfyUI has; the next node that is executed strikes.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import NotAcceptable

WORDS = ("raise", "exit", "kill", "stuck_s", "deaf_s")
"""`raise`: [exception class, message]; `exit`: a code; `kill`: a signal's number; `stuck_s`: the node neither ends nor
looks whether it was interrupted; `deaf_s`: at once, the engine answers nobody."""

_SLICE_S = 0.02


class UnknownFault(NotAcceptable):
    """There is no such fault."""


class NodeFailed(Exception):
    """A node failed with somebody else's exception."""

    def __init__(self, kind: str, message: str) -> None:
        """`kind` is the name under which the history knows the exception."""
        super().__init__(message)
        self.kind = kind


class Faults:
    """The next fault, if one is armed. Thread-safe."""

    def __init__(self) -> None:
        """Nothing is armed."""
        self._armed: Mapping[str, Json] = {}
        self._lock = threading.Lock()

    def arm(self, fault: Mapping[str, Json]) -> None:
        """Let the next executed node fail so; {} disarms. Raises: UnknownFault."""
        unknown = [name for name in fault if name not in WORDS]
        if unknown:
            raise UnknownFault(unknown[0], hint="one of " + ", ".join(WORDS))
        with self._lock:
            self._armed = dict(fault)

    def strike(self) -> None:
        """Do what is armed, once. Raises: NodeFailed."""
        with self._lock:
            fault, self._armed = self._armed, {}
        match fault:
            case {"raise": [str(kind), str(message)]}:
                raise NodeFailed(kind, message)
            case {"exit": int(code)}:
                os._exit(code)
            case {"kill": int(number)}:
                os.kill(os.getpid(), signal.Signals(number))
                time.sleep(1)  # until the signal arrives
            case {"stuck_s": int() | float() as seconds}:
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    time.sleep(_SLICE_S)


def be_deaf(fault: Mapping[str, Json]) -> None:
    """Hold the calling thread, the event loop's, up for `deaf_s`: nobody is answered meanwhile."""
    match fault.get("deaf_s"):
        case int() | float() as seconds:
            time.sleep(seconds)
