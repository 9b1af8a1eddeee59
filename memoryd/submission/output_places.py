"""Where a job's outputs are written for people: `{project}/{date}/{workflow}/`, under the home's folder of outputs.

Names come from graphs and people, so they are hostile: every part is reduced to a harmless file name, so that no output
can land outside its folder, and a name that is taken gets a number.
"""

from __future__ import annotations

import datetime
import os
import re
import secrets
from pathlib import Path

from memoryd.catalog.facts import LocationRecord
from memoryd.storage.copying import copy_bytes

TEMPLATE = "{project}/{date}/{workflow}"
OUTPUTS_FOLDER = "outputs"
PART_LIMIT = 80
"""Bytes of one folder's or file's name, well below the 255 of common file systems with room for a number."""
NUMBERS_LIMIT = 10_000

_UNSAFE = re.compile(r"[^\w.\- ]+")
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
)
"""Names that a Windows machine, looking at the same folder, cannot open."""


class NoFreeNameError(OSError):
    """Every numbered variant of a name is taken."""


def safe_part(text: str, *, fallback: str) -> str:
    """Return a text as one harmless name: no separator, no leading dot, nothing reserved, at most PART_LIMIT bytes."""
    cleaned = _UNSAFE.sub("_", text).strip(" ._-")
    while len(cleaned.encode()) > PART_LIMIT:
        cleaned = cleaned[:-1]
    cleaned = cleaned.strip(" ._-")
    return fallback if not cleaned or cleaned.split(".")[0].lower() in _RESERVED else cleaned


def folder_for(home: Path, *, tenant: str, project: str, workflow: str, at: datetime.datetime) -> Path:
    """Return the folder of a job's outputs, by TEMPLATE. Nothing is made."""
    parts = TEMPLATE.format(
        project=safe_part(project, fallback="project"),
        date=at.astimezone(datetime.UTC).date().isoformat(),
        workflow=safe_part(workflow, fallback="workflow"),
    )
    return home / OUTPUTS_FOLDER / safe_part(tenant, fallback="tenant") / parts


def write_copy(source: Path, folder: Path, filename: str) -> Path:
    """Write a copy of `source` under a free name like `filename` in `folder`, on disk when this returns; return its path.

    Raises: OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem, suffix = os.path.splitext(Path(filename.replace("\\", "/")).name)  # noqa: PTH122
    ending = _UNSAFE.sub("", suffix)[:20]
    base = safe_part(stem, fallback="output")
    unfinished = folder / f".{secrets.token_hex(8)}.part"
    try:
        with source.open("rb") as read, unfinished.open("xb") as written:
            copy_bytes(read, written)
            written.flush()
            os.fsync(written.fileno())
        for number in range(NUMBERS_LIMIT):
            target = folder / (f"{base}{ending}" if number == 0 else f"{base} ({number}){ending}")
            try:
                # A link fails where the name is taken, at any moment: a rename would replace what is there.
                os.link(unfinished, target)
            except FileExistsError:
                continue
            return target
    finally:
        unfinished.unlink(missing_ok=True)
    raise NoFreeNameError(f"{base!r} in {folder} is taken {NUMBERS_LIMIT} times over")


def location_of(path: Path) -> LocationRecord:
    """Return a written file as the memory records its place (no watched folder: an absolute path). Raises: OSError."""
    stat = path.stat()
    return LocationRecord(
        watch_root_id=None,
        path=os.fsencode(path.absolute()),
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        inode=stat.st_ino,
        device=stat.st_dev,
    )
