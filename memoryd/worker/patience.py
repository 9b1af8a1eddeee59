"""Calls that are made until they are answered: server and ComfyUI may be away for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from memoryd.comfyui.errors import EngineDown, EngineTrouble
from memoryd.foundation.logging import log_for
from memoryd.worker.server_link import BytesDiffer, ServerDown
from memoryd.worker.stopping import Stopping

QUIET_START_S = 15.0
"""How long after its start a worker that cannot reach its server does not call that a warning."""

PAUSE_FIRST_S = 0.5
PAUSE_LAST_S = 15.0
"""Between tries while a part does not answer: doubled from the first to the last."""

_BEGAN = time.monotonic()
_log = log_for(__name__)
Answer = TypeVar("Answer")


def patiently(stopping: Stopping, call: Callable[[], Answer]) -> Answer | None:
    """Return the call's answer, however long server or ComfyUI are away; None when asked to end before it came."""
    pause = PAUSE_FIRST_S
    while True:
        try:
            return call()
        except (ServerDown, BytesDiffer, EngineDown, EngineTrouble) as error:
            # At a start of everything at once the server is simply not there yet.
            level = logging.INFO if time.monotonic() - _BEGAN < QUIET_START_S else logging.WARNING
            _log.log(level, "%s %s; trying again in %.1f s", error.title, error.detail, pause)
        if stopping.wait(pause):
            return None
        pause = min(pause * 2, PAUSE_LAST_S)
