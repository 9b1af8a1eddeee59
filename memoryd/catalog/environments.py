"""What runs ran in: ComfyUI, node packs, Python, torch, driver, GPU, flags; named by the hash of its document."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import zlib
from collections.abc import Mapping, Sequence

from memoryd.access.facts import Sees
from memoryd.catalog.column_limits import optional_name
from memoryd.catalog.queries import environments as queries
from memoryd.foundation.canonical_json import Json, canonical_bytes, read_json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound, TooLarge
from memoryd.foundation.ids import AssetId, GenerationId, JobId
from memoryd.foundation.paging import Page, decode_id, encode_cursor, page_size

ENVIRONMENT_LIMIT = 1_000_000
"""Bytes of an environment's canonical JSON. Real ones, with 100 node packs, stay below 50,000."""


RUNS_COUNTED = 10_000
"""Runs of one environment that are counted for a list; of more it is said that there are more."""


class EnvironmentNotFound(NotFound):
    """There is no such environment."""


class EnvironmentTooLarge(TooLarge):
    """This environment's document is too large."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEnvironment:
    """An environment that some run had. `sha256` is 32 bytes."""

    sha256: bytes
    document: Mapping[str, Json]
    recorded_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunCount:
    """Runs that had an environment, as far as the caller may see them: RUNS_COUNTED at most."""

    runs: int = 0
    last_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunWithEnvironment:
    """A run that had an environment, and the assets it made."""

    generation_id: GenerationId
    job_id: JobId | None
    project: str | None
    started_at: datetime.datetime | None
    recorded_at: datetime.datetime
    assets: tuple[AssetId, ...]


def keep_environment(session: Session, document: Mapping[str, Json]) -> bytes:
    """Keep an environment, and return its name: the SHA-256 (32 bytes) of its canonical JSON.

    Its member `comfyui` and the names of its `devices` are kept apart as well, for people and for disclosures.
    Raises: EnvironmentTooLarge; NotCanonical for what JSON cannot spell.
    """
    raw = canonical_bytes(document)
    if len(raw) > ENVIRONMENT_LIMIT:
        raise EnvironmentTooLarge(f"{len(raw)} bytes", hint=f"at most {ENVIRONMENT_LIMIT} (ENVIRONMENT_LIMIT)")
    digest = hashlib.sha256(raw).digest()
    version = document.get("comfyui")
    queries.insert_environment(
        session,
        hash=digest,
        document=zlib.compress(raw),
        comfyui_version=optional_name(version if isinstance(version, str) else None),
        gpu=optional_name(_devices(document) or None),
    )
    return digest


def _devices(document: Mapping[str, Json]) -> str:
    devices = document.get("devices")
    names = [device.get("name") for device in devices if isinstance(device, dict)] if isinstance(devices, list) else []
    return ", ".join(name for name in names if isinstance(name, str))


def load_environment(session: Session, digest: bytes) -> dict[str, Json]:
    """Return the document of an environment. Raises: EnvironmentNotFound."""
    packed = queries.find_environment(session, digest)
    if packed is None:
        raise EnvironmentNotFound(f"environment {digest.hex()}")
    return _unpacked(packed)


def list_recorded(
    session: Session, *, before: tuple[datetime.datetime, bytes] | None, limit: int
) -> list[RecordedEnvironment]:
    """Return the tenant's environments, newest first; those after one that is named by its time and hash."""
    return [_recorded(row) for row in queries.list_recorded(session, before=before, limit=limit)]


def find_recorded(session: Session, digests: Sequence[bytes]) -> dict[bytes, RecordedEnvironment]:
    """Return those of these environments that some run had."""
    return {bytes(row.hash): _recorded(row) for row in queries.find_recorded(session, digests)}


def list_hashes(session: Session, first: bytes, last: bytes, *, limit: int) -> list[bytes]:
    """Return the hashes of recorded environments from `first` to `last`."""
    return queries.list_hashes(session, first, last, limit=limit)


def count_runs(session: Session, digests: Sequence[bytes], sees: Sees) -> dict[bytes, RunCount]:
    """Return how many runs had each of these environments, as far as the caller may see them."""
    rows = queries.count_runs(session, digests, sees, limit=RUNS_COUNTED)
    return {bytes(row.hash): RunCount(runs=row.runs, last_at=row.last_at) for row in rows}


def list_runs(
    session: Session, digest: bytes, sees: Sees, *, cursor: str | None, limit: int | None
) -> Page[RunWithEnvironment]:
    """Return a page of the runs that had an environment, newest first. Raises: BadCursor; BadPageSize."""
    size, before = page_size(limit), decode_id(cursor)
    rows = queries.list_runs(session, digest, sees, before=before, limit=size + 1)
    runs = [
        RunWithEnvironment(
            generation_id=GenerationId(row.id),
            job_id=JobId(row.job_id) if row.job_id is not None else None,
            project=row.project,
            started_at=row.started_at,
            recorded_at=row.recorded_at,
            assets=tuple(AssetId(one) for one in row.assets),
        )
        for row in rows[:size]
    ]
    return Page(rows=runs, next_cursor=encode_cursor(str(runs[-1].generation_id)) if len(rows) > size else None)


def _recorded(row: queries.Found) -> RecordedEnvironment:
    return RecordedEnvironment(sha256=bytes(row.hash), document=_unpacked(row.document), recorded_at=row.recorded_at)


def _unpacked(packed: bytes) -> dict[str, Json]:
    document = read_json(zlib.decompress(packed))
    assert isinstance(document, dict)
    return document
