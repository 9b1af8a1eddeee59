"""Plain log lines on standard error: time, level, room, sentence. Secrets and prompts are never logged."""

from __future__ import annotations

import logging
import sys
import time


class _Lines(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


def begin_logging(level: str = "INFO") -> None:
    """Send memoryd's log lines to standard error. `level` is one of DEBUG, INFO, WARNING, ERROR."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("watchdog", "httpx", "httpcore", "websockets", "PIL", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def log_for(room: str) -> logging.Logger:
    """Return the logger of a room; pass `__name__`."""
    return logging.getLogger(room)
