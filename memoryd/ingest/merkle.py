"""One digest over all files of a batch, so that one audit entry vouches for each of five hundred."""

from __future__ import annotations

from memoryd.foundation.merkle import merkle_root

__all__ = ["merkle_root"]
