"""Safetensors headers: ComfyUI's `.latent` files, and model files that carry a graph. Tensors are never read.

Source: the safetensors format: a length (u64), a JSON header, then the tensors.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk
from memoryd.plugin_api.json_parts import JSON_LIMIT, members, string_of

HEADER_LIMIT = 100_000_000
"""Bytes of a header, as the format itself limits it."""

_OFFSETS = re.compile(rb'"data_offsets"\s*:\s*\[\s*[0-9]{1,20}\s*,\s*([0-9]{1,20})\s*\]')
_PIECE = 2**20
_OVERLAP = 128


def is_safetensors(head: bytes) -> bool:
    """Tell a safetensors file by its head: a believable length, then a JSON object."""
    if len(head) < 16:
        return False
    length = struct.unpack("<Q", head[:8])[0]
    return 8 <= length <= HEADER_LIMIT and head[8:9] == b"{" and head[9:].lstrip()[:1] in (b'"', b"}")


def read_safetensors(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the file in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "latent", "application/x-safetensors", with_texts=texts, kind="other")
    head = walk.at(0, 4096)
    if len(head) < 16:
        return walk.truncated()
    if not is_safetensors(head):
        return walk.broken("the file does not begin as one of safetensors does")
    length = struct.unpack("<Q", head[:8])[0]
    if 8 + length > walk.size:
        return walk.truncated("header")
    reach, is_latent = _tensors(walk, length)
    if is_latent:
        walk.kind, walk.media_type = "latent", "application/x-comfyui-latent"
    if texts:
        _metadata(walk, length)
    return walk.complete() if 8 + length + reach <= walk.size else walk.truncated("tensors")


def _tensors(walk: Walk, length: int) -> tuple[int, bool]:
    """How far the tensors reach behind the header, and whether one of them is a latent."""
    reach, position, latent = 0, 8, False
    while position < 8 + length and walk.step():
        piece = walk.at(position, min(_PIECE, 8 + length - position))
        reach = max(reach, max(map(int, _OFFSETS.findall(piece)), default=0))
        latent = latent or b'"latent_tensor"' in piece
        if len(piece) < _PIECE:
            break
        position += _PIECE - _OVERLAP
    return reach, latent


def _metadata(walk: Walk, length: int) -> None:
    # The library that writes these files puts `__metadata__` first: tensors after it are not looked at.
    text = walk.at(8, min(length, JSON_LIMIT)).decode("utf-8", "replace")
    for name, value in members(text):
        if name == "__metadata__":
            for key, word in members(value):
                said = string_of(word)
                if said is not None:
                    walk.carry("metadata", key, said.encode("utf-8", "replace"))
            return
    if length > JSON_LIMIT:
        walk.find("text-too-large", f"a header of {length} bytes is beyond JSON_LIMIT: it is read to there")
