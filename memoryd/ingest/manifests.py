"""What a file's content credentials (C2PA) say, as one more text among its carriers. The only place here that knows c2pa.

Nothing is ever fetched: by default the library would follow an address that stands in the file.
Source: c2pa-python 0.38.1, measured: of 113 files 111 open, a damaged or pre-release manifest raises.
"""

from __future__ import annotations

import dataclasses
import json
from typing import BinaryIO

from c2pa import C2paError, Context, Reader  # type: ignore[import-untyped]

from memoryd.foundation.findings import Finding
from memoryd.plugin_api.facts import Carrier, Reading

STORE_PLACE = "c2pa:store"
STORE_KEY = "c2pa"

STORE_LIMIT = 4_000_000
"""Characters of a manifest store that are kept. Source: the longest seen has 90,000."""

_SETTINGS = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": False},
}
"""Whether anybody vouches for the signer is not asked here: a disclosure's verification does that."""


def with_manifest(reading: Reading, stream: BinaryIO) -> Reading:
    """Return the reading with its manifest store as a carrier; one that cannot be read is a finding.

    Raises: OSError where the stream fails.
    """
    if not reading.has_manifest:
        return reading
    try:
        told = _store(stream, reading.media_type)
    except C2paError as error:
        return _with_finding(reading, "manifest-not-read", str(error)[:300])
    if told is None:
        return _with_finding(reading, "manifest-not-read", "the place for a manifest store holds none")
    if len(told) > STORE_LIMIT:
        return _with_finding(
            reading, "manifest-too-large", f"{len(told)} characters (STORE_LIMIT is {STORE_LIMIT}): not kept"
        )
    carrier = Carrier(place=STORE_PLACE, key=STORE_KEY, raw=told.encode("utf-8", "replace"))
    return dataclasses.replace(reading, carriers=(*reading.carriers, carrier))


def _store(stream: BinaryIO, media_type: str) -> str | None:
    stream.seek(0)
    reader = Reader.try_create(media_type, stream, context=Context.from_dict(_SETTINGS))
    if reader is None:
        return None
    with reader:
        store = json.loads(str(reader.json()))
    # The results tell the same as the status, in a hundred lines.
    store.pop("validation_results", None)
    return json.dumps(store, ensure_ascii=False, separators=(",", ":"))


def _with_finding(reading: Reading, code: str, detail: str) -> Reading:
    finding = Finding(code=code, detail=detail, where=STORE_PLACE)
    return dataclasses.replace(reading, findings=(*reading.findings, finding))
