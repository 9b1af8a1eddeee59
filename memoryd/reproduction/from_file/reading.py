"""What a file tells of itself, before the memory is asked: hash, pixels, fingerprint, and its own texts.

Pictures are decoded in processes of their own, within limits of time and memory; nothing that a file names is fetched, and
nothing of it is kept.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from memoryd.catalog.facts import MadeSource
from memoryd.disclosure.facts import FileVerdict, Trust
from memoryd.disclosure.pki import Anchors
from memoryd.disclosure.verifying import verify_stream
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.imaging.decoders import Decoders
from memoryd.imaging.derived import Derived, TakenFingerprint
from memoryd.imaging.recipes import Part
from memoryd.imaging.sight import codes_without_soft_border
from memoryd.ingest.assembling import Assembled, Content
from memoryd.ingest.facts import Folder
from memoryd.ingest.knowledge import knowing
from memoryd.ingest.uploads import NAME_LIMIT, UploadBroken, UploadUnknown, understand_stored
from memoryd.plugin_api.facts import DocumentKind
from memoryd.recognition.facts import Shown
from memoryd.reproduction.from_file.facts import FileRead

FILE_LIMIT = 2 * 2**30
"""Bytes of a file that is looked up. What is larger has its SHA-256: `memoryd show` finds an asset by that."""

BODY_LIMIT = FILE_LIMIT + 64 * 1024
"""Bytes of a request that brings one: the form around the file included."""

DECODERS = 2
"""Decoding processes of one server process that files from clients may take; what comes in by itself has its own."""

AT_ONCE = 8
"""Files that are looked at, or wait for a decoder, at one time: more would hold up everybody else's requests."""

WAIT_S = 20.0
"""How long a request waits for its turn."""

DECODING_LIMIT_S = 30.0
"""For one file: somebody waits for the answer."""

_PARTS = frozenset({Part.PIXEL_DIGEST, Part.FINGERPRINT, Part.THUMBNAIL, Part.TRAITS})
_SMALLEST = 256

_decoders = Decoders(DECODERS)
atexit.register(_decoders.close)
_turns = threading.BoundedSemaphore(AT_ONCE)


class TooManyAtOnce(Unavailable):
    """Too many files are looked at just now."""


def read_file(database: Database, scope: TenantScope, anchors: Anchors, stream: BinaryIO, *, name: str) -> FileRead:
    """Return what a file tells, read from a seekable stream; what could not be read is a finding.

    Raises: TooManyAtOnce; NoDecoder; FileTooLarge, beyond VERIFY_BYTES_LIMIT.
    """
    name = storable(name.replace("\\", "/").rpartition("/")[2])[0][:NAME_LIMIT]
    with _turn():
        verdict = verify_stream(stream, anchors)
        assert verdict.sha256 is not None
        assembled, findings = _texts(database, scope, stream, name, verdict)
        media_type = assembled.asset.media_type if assembled else verdict.media_type or "application/octet-stream"
        derived = _decoders.derive(stream, media_type, _PARTS, seconds=DECODING_LIMIT_S)
    signed, claimed = _originals(verdict)
    claim = assembled.asset.claim if assembled else None
    return FileRead(
        name=name,
        size=verdict.size or 0,
        media_type=media_type,
        shown=Shown(
            sha256=verdict.sha256, pixels=derived.pixels, fingerprints=(*derived.fingerprints, *_softly(derived))
        ),
        width=derived.traits.width,
        height=derived.traits.height,
        small=_small(derived),
        graph=assembled.graph.identities.exact if assembled and assembled.graph else None,
        claimed_job=claim.job_id if claim else None,
        claimed_asset=claim.asset_id if claim else None,
        signed_original=signed,
        claimed_original=claimed,
        holds_graph=assembled is not None and any(each.kind is DocumentKind.PROMPT for each in assembled.documents),
        findings=(*findings, *derived.findings),
    )


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=WAIT_S):
        raise TooManyAtOnce(f"{AT_ONCE} at one time (AT_ONCE)", hint="ask again in a minute")
    try:
        yield
    finally:
        _turns.release()


def _texts(
    database: Database, scope: TenantScope, stream: BinaryIO, name: str, verdict: FileVerdict
) -> tuple[Assembled | None, tuple[Finding, ...]]:
    """Return what the file's own texts say, None where it is no kind of file that has texts we read."""
    assert verdict.sha256 is not None
    content = Content(
        sha256=verdict.sha256,
        size=verdict.size or 0,
        made_at=datetime.datetime.now(datetime.UTC),
        made_source=MadeSource.DECLARED,
        location=None,
        filename=name,
    )
    stream.seek(0)
    try:
        # It lies in no folder: no sidecar, no rule of a folder says anything of it.
        assembled = understand_stored(stream, content, knowing(Folder(path=Path()), database, scope))
    except (UploadBroken, UploadUnknown) as error:
        return None, (Finding(code=error.slug, detail=error.detail),)
    return assembled, ()


def _originals(verdict: FileVerdict) -> tuple[bytes | None, bytes | None]:
    told = (verdict.generation or {}).get("original_sha256")
    try:
        digest = bytes.fromhex(told) if isinstance(told, str) and len(told) == 64 else None
    except ValueError:
        digest = None
    trusted = verdict.good and verdict.signer is not None and verdict.signer.trust is not Trust.NOBODY
    return (digest, None) if trusted else (None, digest)


def _softly(derived: Derived) -> tuple[TakenFingerprint, ...]:
    large = next((each.content for each in reversed(derived.pictures) if each.size > _SMALLEST), None)
    return () if large is None else codes_without_soft_border(large)


def _small(derived: Derived) -> bytes | None:
    return next((each.content for each in derived.pictures if each.size == _SMALLEST), None)
