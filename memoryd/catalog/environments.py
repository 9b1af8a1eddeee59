"""What runs ran in: ComfyUI, node packs, Python, torch, driver, GPU, flags; named by the hash of its document."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping

from memoryd.catalog.column_limits import optional_name
from memoryd.catalog.queries import enrichment as queries
from memoryd.foundation.canonical_json import Json, canonical_bytes, read_json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound, TooLarge

ENVIRONMENT_LIMIT = 1_000_000
"""Bytes of an environment's canonical JSON. Real ones, with 100 node packs, stay below 50,000."""


class EnvironmentNotFound(NotFound):
    """There is no such environment."""


class EnvironmentTooLarge(TooLarge):
    """This environment's document is too large."""


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
    document = read_json(zlib.decompress(packed))
    assert isinstance(document, dict)
    return document
