"""Our own text in a file: what it claims of the job and asset it came from. Whether it is believed, `attribution` decides."""

from __future__ import annotations

from collections.abc import Sequence

from memoryd.catalog.facts import OwnClaim
from memoryd.foundation.canonical_json import NotJson, read_json
from memoryd.foundation.ids import AssetId, JobId, parse_id
from memoryd.plugin_api.facts import Carrier
from memoryd.plugin_api.texts import text_of

CHUNK_KEY = "memoryd"
"""The keyword of our own text in a file: JSON with `job`, `asset`, or both, as ids."""

CHUNK_LIMIT = 4_096
"""Bytes of our own text; what is longer is somebody else's."""


def read_claim(carriers: Sequence[Carrier]) -> OwnClaim | None:
    """Return what our own text in a file claims, None where there is none. A claim is no proof: see `attribution.decided`."""
    carrier = next((one for one in carriers if one.key.lower() == CHUNK_KEY), None)
    if carrier is None:
        return None
    if len(carrier.raw) > CHUNK_LIMIT:
        return OwnClaim()
    try:
        told = read_json(text_of(carrier))
    except NotJson:
        return OwnClaim()
    if not isinstance(told, dict):
        return OwnClaim()
    ids = {name: parse_id(value) if isinstance(value := told.get(name), str) else None for name in ("job", "asset")}
    return OwnClaim(
        job_id=None if ids["job"] is None else JobId(ids["job"]),
        asset_id=None if ids["asset"] is None else AssetId(ids["asset"]),
    )
