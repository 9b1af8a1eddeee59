"""Plain log lines on standard error: time, level, room, sentence. Secrets and prompts are never logged."""

from __future__ import annotations

import logging
import sys
import time

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class _Lines(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


def begin_logging(level: str = "INFO") -> None:
    """Send memoryd's log lines to standard error.

    `level` is one of DEBUG, INFO, WARNING, ERROR, in any case; a word that is none of them counts as INFO (a process
    that reads it from its parent's environment has nobody to tell: `Settings` refuses it).
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    wanted = level.strip().upper()
    root.setLevel(wanted if wanted in LEVELS else "INFO")
    for chatty in ("watchdog", "httpx", "httpcore", "websockets", "PIL", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def log_for(room: str) -> logging.Logger:
    """Return the logger of a room; pass `__name__`."""
    return logging.getLogger(room)
