"""Binary glTF: the words in `asset.extras`. Source: glTF 2.0, GLB; ComfyUI's SaveGLB writes graphs there."""

from __future__ import annotations

import struct
from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk
from memoryd.plugin_api.json_parts import JSON_LIMIT, members, string_of

SIGNATURE = b"glTF"

_JSON = b"JSON"


def read_glb(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the GLB in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "glb", "model/gltf-binary", with_texts=texts, kind="model3d")
    head = walk.at(0, 20)
    if not SIGNATURE.startswith(head[:4]):
        return walk.broken("the file does not begin as a GLB does")
    if len(head) < 20:
        return walk.truncated()
    version, total, length = struct.unpack("<III", head[4:16])
    if head[16:20] != _JSON or version not in (1, 2):
        return walk.broken("its first chunk is no JSON")
    if total > walk.size or 20 + length > walk.size:
        return walk.truncated()
    if texts:
        # What writers put first is read also of a scene that is too large to be looked through.
        _extras(walk, walk.at(20, min(length, JSON_LIMIT)).decode("utf-8", "replace"))
        if length > JSON_LIMIT and not walk.carriers:
            walk.find("text-too-large", f"a scene of {length} bytes is beyond JSON_LIMIT: it is read to there")
    return walk.complete()


def _extras(walk: Walk, scene: str) -> None:
    for name, value in members(scene):
        if name == "asset":
            for part, extras in members(value):
                if part == "extras":
                    for key, word in members(extras):
                        text = string_of(word)
                        walk.carry("extras", key, (word if text is None else text).encode("utf-8", "replace"))
                elif part == "generator":
                    walk.carry("extras", part, (string_of(extras) or "").encode("utf-8", "replace"))
