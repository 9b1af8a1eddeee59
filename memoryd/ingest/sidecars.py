"""Texts that lie beside a picture and tell of it: `a.json`, `a.png.json`, `a.txt`, `a.png.txt` for `a.png`.

Only small regular files inside the same folder are read; a sidecar is no asset of its own.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from memoryd.ingest.opening import NotOpened, open_inside
from memoryd.plugin_api.facts import Carrier, Reading

SIDECAR_LIMIT = 1_000_000
"""Bytes of a sidecar that is read. Source: those of the programs that write them have 20,000 at most."""

_SUFFIXES = ((".json", "sidecar:json"), (".txt", "sidecar:text"))


def with_sidecars(reading: Reading, folder: Path, path: Path) -> Reading:
    """Return the reading with what lies beside the file; a file that has its own graph is not asked for more.

    `folder` is absolute and free of links; nothing outside it is opened.
    """
    if reading.prompt is not None or reading.workflow is not None:
        return reading
    found = tuple(_beside(folder, path))
    return dataclasses.replace(reading, carriers=(*reading.carriers, *found)) if found else reading


def _beside(folder: Path, path: Path) -> Iterator[Carrier]:
    for suffix, place in _SUFFIXES:
        for name in (path.stem + suffix, path.name + suffix):
            sidecar = path.with_name(name)
            if sidecar != path and (raw := _read(folder, sidecar)) is not None:
                yield Carrier(place=place, key=name.encode("utf-8", "replace").decode(), raw=raw)
                break


def _read(folder: Path, sidecar: Path) -> bytes | None:
    try:
        face = os.lstat(sidecar)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(face.st_mode) or not 0 < face.st_size <= SIDECAR_LIMIT:
        return None
    opened = open_inside(folder, sidecar)
    if isinstance(opened, NotOpened):
        return None
    try:
        with open(opened.descriptor, "rb") as stream:  # noqa: PTH123 - it is a descriptor
            raw = stream.read(SIDECAR_LIMIT + 1)
    except OSError:
        # What lies beside a picture must not keep the picture out.
        return None
    return raw if len(raw) <= SIDECAR_LIMIT else None
