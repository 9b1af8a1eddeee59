"""Is the new content of a known place the same picture, rewritten, or another picture under a reused name? Pure.

ComfyUI gives a name again after its file was deleted or moved, and two servers with one output folder overwrite each
other: a tag or an approval must not go over to a picture that nobody looked at. A tool that rewrites a picture (strips
or adds metadata, crops, recompresses) leaves the executed graph as it was, or leaves none.
Source: names reused by a real ComfyUI 0.29 after deletion.
"""

from __future__ import annotations

import dataclasses

from memoryd.catalog.facts import AssetRecord, Succession, SuccessionRecord


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a place held: its content (SHA-256, 32 bytes), the exact graphs known for it, and whether it was still there."""

    sha256: bytes
    exacts: frozenset[bytes] = frozenset()
    present: bool = True


def succession(asset: AssetRecord, before: Before | None) -> SuccessionRecord | None:
    """Return that this content is a rewrite of what its place held before; None where it is a picture of its own."""
    if before is None or not before.present or before.sha256 == asset.sha256:
        return None
    told = asset.generation.exact if asset.generation is not None else None
    if told is not None and told not in before.exacts:
        return None
    return SuccessionRecord(of=before.sha256, succession=Succession.REWRITTEN)
