"""What belongs to a file's reading though it is not among its own texts: sidecar files and content credentials."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from memoryd.ingest.manifests import with_manifest
from memoryd.ingest.sidecars import with_sidecars
from memoryd.plugin_api.facts import Reading


def whole_reading(reading: Reading, stream: BinaryIO, path: Path | None = None, folder: Path | None = None) -> Reading:
    """Return the reading with what its content credentials say and what lies beside the file.

    `stream` is the file's own bytes. Without a `path` the file lies nowhere; `folder` (its own where not given) bounds
    what is opened beside it. Raises: OSError where the stream fails.
    """
    if path is not None:
        reading = with_sidecars(reading, path.parent if folder is None else folder, path)
    return with_manifest(reading, stream)
