"""What a latent holds, without the texts around it: ComfyUI's writer puts those in another order each time."""

from __future__ import annotations

import hashlib

from memoryd.foundation.canonical_json import NotCanonical, NotJson, canonical_bytes, read_json

LATENT = "application/x-comfyui-latent"
HEADER_LIMIT = 100_000_000
"""Bytes of a header. Source: safetensors refuses longer ones."""
_LENGTH_BYTES = 8
_TEXTS = "__metadata__"


def latent_values(raw: bytes) -> bytes | None:
    """Return a digest (32 bytes) of the numbers of a latent with their names, kinds and shapes; None: it is no latent.

    Source: safetensors, Format; its writer keeps texts in a map whose order is drawn by chance (measured: 2 of 2 orders).
    """
    size = int.from_bytes(raw[:_LENGTH_BYTES], "little")
    if len(raw) < _LENGTH_BYTES or size > min(HEADER_LIMIT, len(raw) - _LENGTH_BYTES):
        return None
    try:
        header = read_json(raw[_LENGTH_BYTES : _LENGTH_BYTES + size])
        if not isinstance(header, dict):
            return None
        tensors = canonical_bytes({name: value for name, value in header.items() if name != _TEXTS})
    except (NotJson, NotCanonical):
        return None
    digest = hashlib.sha256(len(tensors).to_bytes(_LENGTH_BYTES, "little") + tensors)
    digest.update(raw[_LENGTH_BYTES + size :])
    return digest.digest()
