"""A node catalogue as a document: small for its way to the server, and read back with limits: anybody may send one."""

from __future__ import annotations

import json
import zlib

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.canonical_json import Json, NotJson, read_json
from memoryd.foundation.errors import NotAcceptable

PACKED_LIMIT = 16 * 2**20
"""Bytes of a packed catalogue. 5,000 classes with the lists of 3,000 model files have about 2 MB."""

UNPACKED_LIMIT = 256 * 2**20
"""Bytes of the same unpacked."""

_FOR_READERS = frozenset(("tooltip", "output_tooltips", "description", "help", "search_aliases"))
"""What the editor shows to people: half of the document, and nothing that decides what a value means."""

_DEPTH_LIMIT = 40


class CatalogueUnreadable(NotAcceptable):
    """This is no node catalogue."""


def pack_catalogue(specs: NodeSpecs) -> bytes:
    """Return a catalogue as zlib of JSON, without the words for people. Its digest stays the same."""
    # Bounds may be infinite in it: that is no canonical JSON, and need not be.
    return zlib.compress(json.dumps(_without_words(dict(specs.document), 0), separators=(",", ":")).encode("ascii"), 6)


def unpack_catalogue(packed: bytes) -> NodeSpecs:
    """Return the catalogue of a document. Raises: CatalogueUnreadable (also beyond PACKED_LIMIT, UNPACKED_LIMIT)."""
    hint = "a worker of this version of memoryd sends one when it registers"
    if len(packed) > PACKED_LIMIT:
        raise CatalogueUnreadable(f"{len(packed)} bytes (PACKED_LIMIT is {PACKED_LIMIT})", hint=hint)
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(packed, UNPACKED_LIMIT)
        document = read_json(raw) if unpacking.eof else None
    except (zlib.error, NotJson, RecursionError) as error:
        raise CatalogueUnreadable(str(error)[:200], hint=hint) from error
    if not isinstance(document, dict):
        raise CatalogueUnreadable("not a JSON object, or cut off, or beyond UNPACKED_LIMIT", hint=hint)
    return NodeSpecs(document)


def _without_words(value: Json, depth: int) -> Json:
    if depth > _DEPTH_LIMIT:
        return None
    if isinstance(value, dict):
        return {
            key: _without_words(member, depth + 1)
            for key, member in value.items()
            # An input may be called `description`: only what stands beside an input's type is dropped.
            if not (key in _FOR_READERS and not isinstance(member, list | dict))
        }
    if isinstance(value, list):
        return [_without_words(member, depth + 1) for member in value]
    return value
