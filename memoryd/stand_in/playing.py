"""A machine that the stand-in plays: what is told of it, how it rounds, how it packs files. Without one, nothing is changed.

What a real machine would show in its environment is told; what it would not show (that it does not repeat itself) is not.
"""

from __future__ import annotations

import dataclasses
import secrets

from memoryd.foundation.canonical_json import Json, canonical_digest

FILE_ONLY = frozenset({"pillow"})
"""Members that touch no pixel."""
_LEVELS = (1, 2, 3, 5, 6, 7, 8, 9)
"""zlib's levels, without the one that ComfyUI saves with."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine that is played; None plays nothing of that. `jitter`: it rounds otherwise in each run."""

    torch: str | None = None
    threads: int | None = None
    simd: str | None = None
    pillow: str | None = None
    jitter: bool = False

    def told(self) -> dict[str, Json]:
        """Return the members of its environment."""
        members: dict[str, Json] = {"torch": self.torch, "simd": self.simd, "pillow": self.pillow}
        if self.threads is not None:
            members["threads"] = {"intra_op": self.threads, "inter_op": 1}
        return {name: value for name, value in members.items() if value is not None}

    def rounding(self) -> int | None:
        """Return what decides which samples are rounded otherwise: equal machines round alike. None: none are."""
        if self.jitter:
            return secrets.randbits(64)
        told = {name: value for name, value in self.told().items() if name not in FILE_ONLY}
        return int.from_bytes(canonical_digest(told), "big") if told else None

    def level(self, level: int) -> int:
        """Return with which level of zlib it packs a file that others pack with `level`: the pixels stay."""
        if self.pillow is None:
            return level
        return _LEVELS[canonical_digest(self.pillow)[0] % len(_LEVELS)]


ITSELF = Machine()
"""Nothing is played."""
