"""What was computed before, by the same key as ComfyUI's: class, `is_changed`, all inputs, and the same of every ancestor.

Node ids and titles are not in the key. A submitted `is_changed` is trusted instead of computed: a trap of the real thing.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from typing import Any

import numpy as np

from memoryd.foundation.canonical_json import Json, NotCanonical, canonical_digest
from memoryd.stand_in.facts import Latent, NodeResult
from memoryd.stand_in.folders import Folders, OutsideFolder

CACHE_LIMIT = 256 * 1024 * 1024
"""Bytes of pictures that are kept; the longest unused go first."""


class ExecutionCache:
    """Results of nodes by key. Used by one thread."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._kept: OrderedDict[bytes, NodeResult] = OrderedDict()
        self._size = 0

    def find(self, key: bytes | None) -> NodeResult | None:
        """Return what was kept under the key."""
        if key is None or key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    def keep(self, key: bytes | None, result: NodeResult) -> None:
        """Keep a result, and drop the longest unused ones beyond CACHE_LIMIT."""
        if key is None:
            return
        replaced = self._kept.pop(key, None)
        self._size += _size(result) - (_size(replaced) if replaced else 0)
        self._kept[key] = result
        while self._size > CACHE_LIMIT and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._size -= _size(dropped)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._size = 0


def note_changes(prompt: dict[str, Any], folders: Folders) -> None:
    """Write into each LoadImage node the SHA-256 of the file's bytes, unless the sender already did."""
    for node in prompt.values():
        if node["class_type"] == "LoadImage" and "is_changed" not in node:
            try:
                digest = hashlib.sha256(folders.annotated(str(node["inputs"]["image"])).read_bytes()).hexdigest()
                node["is_changed"] = [digest]
            except (OSError, OutsideFolder, KeyError):
                # Equal to nothing, not even itself: never found in the cache.
                node["is_changed"] = math.nan


def cache_keys(prompt: dict[str, Any], order: list[str]) -> dict[str, bytes | None]:
    """Return the key of each node of `order`, in which ancestors come first; None where a result is never kept."""
    keys: dict[str, bytes | None] = {}
    for node_id in order:
        node = prompt[node_id]
        members: list[Json] = [node["class_type"], node.get("is_changed")]
        known = True
        for name in sorted(node["inputs"]):
            value = node["inputs"][name]
            if is_link(value) and value[0] in keys:
                parent = keys[value[0]]
                known = known and parent is not None
                value = {"from": parent.hex() if parent else None, "slot": value[1]}
            members.append([name, value])
        try:
            keys[node_id] = canonical_digest(members) if known else None
        except NotCanonical:
            keys[node_id] = None
    return keys


def is_link(value: object) -> bool:
    """Tell whether an input takes another node's output."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _size(result: NodeResult) -> int:
    arrays = [value.base if isinstance(value, Latent) else value for value in result.values]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
