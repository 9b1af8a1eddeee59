"""One digest over all files of a batch, so that one audit entry vouches for each of five hundred.

Recipe: the leaves are sorted and without repetitions; a leaf is SHA-256(0x00 || digest), a node SHA-256(0x01 || left ||
right); an odd one is carried up as it is. Source: RFC 9162, section 2.1 (the prefixes keep leaves and nodes apart).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def merkle_root(digests: Iterable[bytes]) -> bytes | None:
    """Return the root (32 bytes) over a set of SHA-256 digests, whatever their order; None over nothing."""
    level = [hashlib.sha256(b"\x00" + digest).digest() for digest in sorted(set(digests))]
    while len(level) > 1:
        pairs = [
            hashlib.sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = pairs if len(level) % 2 == 0 else [*pairs, level[-1]]
    return level[0] if level else None
