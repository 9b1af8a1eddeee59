"""What a likeness was seen by, in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CODE_BITS = 256
"""Bits of a fingerprint."""

_SEEN_BY: Mapping[object, str] = {
    "pixels": "the same pixels",
    "fingerprint": "it shows nearly the same",
    "mirrored": "it shows nearly the same, mirrored",
}
_SPOKEN = ("by", "distance", "recipe", "child_size", "parent_size")


def seen_by(evidence: Mapping[str, Any]) -> str:
    """Return a proposal's evidence as a phrase: `it shows nearly the same (3 of 256 bits differ); 64 x 64, from 128 x 128`."""
    how = evidence.get("by")
    phrases = [_SEEN_BY.get(how, f"by {how}")] if how else []
    if how != "pixels" and "distance" in evidence:
        apart = f"{evidence['distance']} of {CODE_BITS} bits differ"
        phrases = [f"{phrase} ({apart})" for phrase in phrases] or [apart]
    child, parent = _size(evidence.get("child_size")), _size(evidence.get("parent_size"))
    if child and parent:
        phrases.append(f"both {child}" if child == parent else f"{child}, from {parent}")
    phrases += [f"{name.replace('_', ' ')} {value}" for name, value in evidence.items() if name not in _SPOKEN]
    return "; ".join(phrases)


def _size(edges: object) -> str | None:
    if not isinstance(edges, (list, tuple)) or len(edges) != 2 or None in edges:
        return None
    return f"{edges[0]} x {edges[1]}"
