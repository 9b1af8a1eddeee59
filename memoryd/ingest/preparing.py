"""Reads files into what recording needs, without a database: one reading of the bytes, hashed and understood.

Nothing that a file contains, and no fault of ours, ends a batch: each file has its own outcome.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from memoryd.catalog.facts import AssetKind, LocationRecord, MadeSource
from memoryd.foundation.findings import Finding
from memoryd.foundation.logging import log_for
from memoryd.ingest import formats
from memoryd.ingest.alike_files import ready_alike
from memoryd.ingest.assembling import Assembled, Content, Stopwatch, assemble, unread
from memoryd.ingest.beside import whole_reading
from memoryd.ingest.facts import FileState, Folder, Prepared, PreparedFile, Reason
from memoryd.ingest.media import is_taken
from memoryd.ingest.opening import NotOpened, open_inside, relative_path, shown_path
from memoryd.ingest.settling import STABLE_FOR_S, is_cut_off
from memoryd.ingest.walking import look
from memoryd.plugin_api.facts import Completeness

WHOLE_IN_MEMORY_LIMIT = 64 * 2**20
"""Bytes of a file that is read at once; a larger one is hashed in pieces, and its texts are sought out after that."""

FILE_SIZE_LIMIT = 256 * 2**30
"""Bytes of a file that is taken in at all. A day of uncompressed 4K video is below it."""

ENDS_IN_THE_MIDDLE = "ends in the middle"

_PIECE = 2**20

_log = log_for(__name__)


def prepare_file(
    folder: Folder, path: Path, *, now: float | None = None, named: bool = False, ready: bool = False
) -> tuple[PreparedFile, dict[str, float]]:
    """Return one file as read, and the seconds by stage. Never raises for what the file is.

    `folder.path` is absolute and free of links. `now` is the wall clock in seconds. A file that a person `named` by
    itself is read whatever its name promises. With `ready` it comes as rows where others like it were read before.
    """
    watch = Stopwatch()
    try:
        file = _prepare(folder, path, time.time() if now is None else now, named, ready, watch)
    except OSError as error:
        file = refused(folder, path, Reason.UNREADABLE, error.strerror or type(error).__name__)
    except Exception as error:
        # INV-8: whatever we failed on is kept with its name; the other files of its batch are recorded all the same.
        _log.warning("fault while reading %s", shown_path(path), exc_info=True)
        file = refused(folder, path, Reason.FAULT, f"{type(error).__name__} while it was read")
    return file, watch.seconds


def prepare_here(folder: Folder, paths: Sequence[Path], *, named: bool = False) -> Prepared:
    """Return files as read, one after the other in this process. Raises nothing for what the files are."""
    files: list[PreparedFile] = []
    seconds: dict[str, float] = {}
    for path in paths:
        file, spent = prepare_file(folder, path, named=named)
        files.append(file)
        for stage, value in spent.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    return Prepared(folder=folder, files=tuple(files), seconds=seconds)


def refuse(file: PreparedFile, reason: Reason, detail: str) -> PreparedFile:
    """Return a file that is no longer waited for."""
    return dataclasses.replace(file, state=FileState.REFUSED, reason=reason, detail=detail)


def _prepare(folder: Folder, path: Path, now: float, named: bool, ready: bool, watch: Stopwatch) -> PreparedFile:
    name = os.fsencode(path.name)
    opened = open_inside(folder.path, path)
    if isinstance(opened, NotOpened):
        return _outcome(folder, path, opened)
    try:
        before = opened.stat
        changed_at = max(before.st_mtime, before.st_ctime)
        place = _place(folder, path)
        location = _location(folder, place, before)
        folder = folder.for_path(place)
        base = PreparedFile(
            path=path,
            place=place,
            root_id=folder.root_id,
            shown=shown_path(path),
            state=FileState.WAITING,
            location=location,
        )
        if before.st_size > FILE_SIZE_LIMIT:
            return refuse(base, Reason.TOO_LARGE, f"{before.st_size} bytes (FILE_SIZE_LIMIT is {FILE_SIZE_LIMIT})")
        with watch.stage("read"):
            sha256, body = _read(opened.descriptor, before.st_size)
        after = os.fstat(opened.descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            return dataclasses.replace(base, reason=Reason.CHANGING, detail="changed while it was read")
        made_at, findings = _made_at(before.st_mtime, now)
        content = Content(
            sha256=sha256,
            size=before.st_size,
            made_at=made_at,
            made_source=MadeSource.FILE_TIME,
            location=location,
            filename=shown_path(name),
            findings=(*findings, *folder.findings),
        )
        return _understand(base, content, body, folder, named or is_taken(name), changed_at, now, ready, watch)
    finally:
        os.close(opened.descriptor)


def _understand(
    base: PreparedFile,
    content: Content,
    body: BinaryIO,
    folder: Folder,
    taken: bool,
    changed_at: float,
    now: float,
    ready: bool,
    watch: Stopwatch,
) -> PreparedFile:
    if content.size < formats.SHORTEST_FILE:
        completeness, reading = Completeness.PARTIAL, None
    else:
        with watch.stage("carriers"):
            plugin = formats.plugin_for(body)
            completeness, reading = (Completeness.COMPLETE, None) if plugin is None else formats.read(plugin, body)
    if completeness is Completeness.PARTIAL:
        if is_cut_off(changed_at=changed_at, now=now):
            return refuse(base, Reason.CUT_OFF, ENDS_IN_THE_MIDDLE)
        return dataclasses.replace(base, reason=Reason.CUT_OFF, detail=ENDS_IN_THE_MIDDLE)
    if completeness is Completeness.BROKEN:
        told = reading.findings if reading else ()
        return refuse(base, Reason.BROKEN, told[0].detail if told else "not a whole file of its format")
    if reading is None:
        return _without_plugin(base, content, body, folder, taken, changed_at, now)
    reading = whole_reading(reading, body, base.path, folder.path)
    if reading.kind not in {kind.value for kind in AssetKind}:
        reading = dataclasses.replace(reading, kind=AssetKind.OTHER.value)
    if ready and (made := ready_alike(content, reading, folder, watch)) is not None:
        return PreparedFile(
            path=base.path,
            place=base.place,
            shown=base.shown,
            state=FileState.READ,
            root_id=base.root_id,
            location=base.location,
            ready=made,
        )
    return _recorded_as(base, FileState.READ, assemble(content, reading, folder, watch))


def _without_plugin(
    base: PreparedFile,
    content: Content,
    body: BinaryIO,
    folder: Folder,
    taken: bool,
    changed_at: float,
    now: float,
) -> PreparedFile:
    if not taken:
        return dataclasses.replace(base, state=FileState.IGNORED, detail="not a kind of file that is remembered")
    if 0 <= now - changed_at < STABLE_FOR_S:
        # Its format has no rules we know to tell a whole file by: it must at least stand still.
        return dataclasses.replace(base, reason=Reason.CHANGING, detail="was just written")
    recognised = formats.recognise(formats.head_of(body), os.fsencode(base.path.name))
    if recognised is None:
        return refuse(
            base, Reason.BROKEN, "its content is not of the format that its name promises, nor of another one"
        )
    return _recorded_as(base, FileState.UNREAD, unread(content, *recognised, folder))


def _recorded_as(base: PreparedFile, state: FileState, assembled: Assembled) -> PreparedFile:
    return PreparedFile(
        path=base.path,
        place=base.place,
        shown=base.shown,
        state=state,
        root_id=base.root_id,
        location=base.location,
        asset=assembled.asset,
        documents=assembled.documents,
        graph=assembled.graph,
        findings=assembled.asset.findings,
        learned=assembled.learned,
    )


def _read(descriptor: int, size: int) -> tuple[bytes, BinaryIO]:
    """The SHA-256 of an open file, and its content: in memory, or to be read from the file, which the caller closes."""
    if size <= WHOLE_IN_MEMORY_LIMIT:
        # As much as there should be: a file that is growing shows it by its stat afterwards.
        data = os.read(descriptor, size)
        while 0 < len(data) < size and (more := os.read(descriptor, size - len(data))):
            data += more
        return hashlib.sha256(data).digest(), io.BytesIO(data)
    digest = hashlib.sha256()
    stream = open(descriptor, "rb", closefd=False)  # noqa: SIM115 - it is a descriptor, and the caller's
    for piece in _pieces(stream):
        digest.update(piece)
    stream.seek(0)
    return digest.digest(), stream


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _made_at(mtime: float, now: float) -> tuple[datetime.datetime, tuple[Finding, ...]]:
    if 0 <= mtime <= now:
        return datetime.datetime.fromtimestamp(mtime, datetime.UTC), ()
    present = datetime.datetime.fromtimestamp(now, datetime.UTC)
    with contextlib.suppress(OverflowError, ValueError, OSError):
        made = datetime.datetime.fromtimestamp(mtime, datetime.UTC)
        if made <= present:
            return made, ()
    # A time from the future would stand first in every list for ever.
    return present, (Finding(code="time-in-future", detail="the file's time lies in the future: the present is used"),)


def _place(folder: Folder, path: Path) -> bytes:
    below = None if folder.root_id is None else relative_path(folder.path, path)
    return os.fsencode(path) if below is None else below


def _location(folder: Folder, place: bytes, found: os.stat_result) -> LocationRecord:
    return LocationRecord(
        watch_root_id=folder.root_id,
        path=place,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        inode=found.st_ino,
        device=found.st_dev,
    )


def _outcome(folder: Folder, path: Path, opened: NotOpened) -> PreparedFile:
    if opened.reason is not None:
        return refused(folder, path, opened.reason, opened.detail)
    return PreparedFile(
        path=path,
        place=_place(folder, path),
        root_id=folder.root_id,
        shown=shown_path(path),
        state=opened.state,
        detail=opened.detail,
    )


def refused(folder: Folder, path: Path, reason: Reason, detail: str) -> PreparedFile:
    """Return a file that could not even be begun, with the reason."""
    place = _place(folder, path)
    below = relative_path(folder.path, path)
    face = look(folder.path, below) if below is not None else None
    location = None
    if face is not None:
        location = LocationRecord(
            watch_root_id=folder.root_id,
            path=place,
            size=face.size,
            mtime_ns=face.mtime_ns,
            inode=face.inode,
            device=face.device,
        )
    return PreparedFile(
        path=path,
        place=place,
        root_id=folder.root_id,
        shown=shown_path(path),
        state=FileState.REFUSED,
        location=location,
        reason=reason,
        detail=detail,
    )
