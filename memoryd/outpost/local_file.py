"""Reads one file of this machine into what is sent of it: hash, sizes, verbatim texts, and a small picture."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import io
import os
import re
import stat
import time
from pathlib import Path
from typing import BinaryIO

from memoryd.catalog.facts import AssetKind
from memoryd.foundation.errors import MemorydError
from memoryd.imaging.thumbnails import thumbnail
from memoryd.ingest import formats
from memoryd.ingest.asset_wire import CARRIERS_LIMIT, AssetSent, CarrierSent, FindingSent
from memoryd.ingest.settling import STABLE_FOR_S, is_cut_off
from memoryd.ingest.sidecars import with_sidecars
from memoryd.outpost.spool import Face
from memoryd.plugin_api.facts import Completeness, Reading

THUMBNAIL_SIZE = 256
IN_MEMORY_LIMIT = 64 * 2**20
"""Bytes of a file that is read at once; a larger one is hashed in pieces."""

FACTS_LIMIT = 16 * 2**20
"""Bytes of one file's texts that are sent. Source: well below what a server takes in one request."""

_PIECE = 2**20
_SPELLED_OUT = re.compile(r"\\udc([89a-f][0-9a-f])")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """A file as read."""

    face: Face
    sent: AssetSent


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NotRead:
    """Why a file was not read. `again`: somebody may still be writing it; `face` None: it is not there."""

    why: str
    again: bool = False
    face: Face | None = None


def face_of(found: os.stat_result) -> Face:
    """Return a file's face."""
    return Face(size=found.st_size, mtime_ns=found.st_mtime_ns)


def read_file(folder: Path, place: str) -> ReadFile | NotRead:
    """Return the file at `place` (below the folder, with `/`) as read. Never raises for what the file is."""
    path = folder / spelled(place)
    try:
        before = path.lstat()
        if not stat.S_ISREG(before.st_mode):
            return NotRead(why="not a plain file", face=face_of(before))
        with path.open("rb") as stream:
            return _read(folder, place, stream, before)
    except FileNotFoundError:
        return NotRead(why="gone")
    except OSError as error:
        return NotRead(why=error.strerror or type(error).__name__, again=True)


def place_name(name: bytes) -> str:
    """Return a path below the folder as it is sent: bytes that are no UTF-8 are spelled out, and read back by spelled()."""
    return name.decode("utf-8", "surrogateescape").encode("utf-8", "backslashreplace").decode()


def spelled(place: str) -> str:
    """Return a sent path as this machine spells it."""
    return _SPELLED_OUT.sub(lambda found: chr(0xDC00 + int(found[1], 16)), place)


def _read(folder: Path, place: str, stream: BinaryIO, before: os.stat_result) -> ReadFile | NotRead:
    face = face_of(before)
    sha256, body = _hashed(stream, before.st_size)
    after = os.fstat(stream.fileno())
    if face_of(after) != face:
        return NotRead(why="changed while it was read", again=True, face=face)
    changed_at, now = before.st_mtime, time.time()
    plugin = formats.plugin_for(body) if before.st_size >= formats.SHORTEST_FILE else None
    if plugin is None:
        return _unread(place, face, sha256, body, changed_at, now)
    completeness, reading = formats.read(plugin, body)
    if completeness is Completeness.PARTIAL or reading is None:
        return NotRead(why="ends in the middle", again=not is_cut_off(changed_at=changed_at, now=now), face=face)
    if completeness is Completeness.BROKEN:
        return NotRead(why=reading.findings[0].detail if reading.findings else "not a whole file", face=face)
    reading = with_sidecars(reading, folder, folder / spelled(place))
    return ReadFile(face=face, sent=_sent(place, face, sha256, reading, _small(reading, body)))


def _unread(place: str, face: Face, sha256: str, body: BinaryIO, changed_at: float, now: float) -> ReadFile | NotRead:
    if face.size < formats.SHORTEST_FILE or 0 <= now - changed_at < STABLE_FOR_S:
        return NotRead(why="was just written", again=not is_cut_off(changed_at=changed_at, now=now), face=face)
    name = place.rpartition("/")[2].encode()
    recognised = formats.recognise(formats.head_of(body), name)
    if recognised is None or recognised[0] is AssetKind.OTHER:
        return NotRead(why="its content is of no format that is remembered", face=face)
    kind, media_type = recognised
    reading = Reading(plugin="none", version="0", media_type=media_type, kind=kind.value)
    sent = _sent(place, face, sha256, reading, _small(reading, body))
    finding = FindingSent(code="no-plugin", detail="no installed format plugin reads this content", where=media_type)
    return ReadFile(face=face, sent=sent.model_copy(update={"findings": [*sent.findings, finding]}))


def _hashed(stream: BinaryIO, size: int) -> tuple[str, BinaryIO]:
    if size <= IN_MEMORY_LIMIT:
        content = stream.read(IN_MEMORY_LIMIT + 1)
        return hashlib.sha256(content).hexdigest(), io.BytesIO(content)
    digest = hashlib.sha256()
    while piece := stream.read(_PIECE):
        digest.update(piece)
    stream.seek(0)
    return digest.hexdigest(), stream


def _sent(place: str, face: Face, sha256: str, reading: Reading, small: bytes | None) -> AssetSent:
    findings = [
        FindingSent(code=f.code[:100], detail=f.detail[:2000], where=(f.where or "")[:1000]) for f in reading.findings
    ]
    carriers, room = [], FACTS_LIMIT
    for carrier in reading.carriers[:CARRIERS_LIMIT]:
        room -= len(carrier.raw)
        if room < 0:
            break
        carriers.append(CarrierSent.model_construct(place=carrier.place[:100], key=carrier.key[:1000], raw=carrier.raw))
    if len(carriers) < len(reading.carriers):
        left = len(reading.carriers) - len(carriers)
        findings.append(
            FindingSent(code="texts-left-out", detail=f"{left} texts are too large to be sent (FACTS_LIMIT)")
        )
    moment = datetime.datetime.fromtimestamp(max(0, face.mtime_ns) / 1e9, datetime.UTC)
    return AssetSent.model_construct(
        sha256=sha256,
        size=face.size,
        media_type=reading.media_type,
        path=place,
        modified_at=moment,
        width=reading.width,
        height=reading.height,
        frames=reading.frames,
        plugin=reading.plugin[:100],
        plugin_version=reading.version[:100],
        carriers=carriers,
        prompt=_within(reading.prompt, carriers),
        workflow=_within(reading.workflow, carriers),
        findings=findings[:100],
        thumbnail=small,
    )


def _within(index: int | None, carriers: list[CarrierSent]) -> int | None:
    return index if index is not None and index < len(carriers) else None


def _small(reading: Reading, body: BinaryIO) -> bytes | None:
    if reading.kind != AssetKind.IMAGE.value:
        return None
    body.seek(0)
    try:
        return thumbnail(body, THUMBNAIL_SIZE)
    except (MemorydError, OSError):
        return None  # a picture that cannot be decoded has no small one; its facts are sent all the same
