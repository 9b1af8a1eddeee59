"""What recognition hands out."""

from __future__ import annotations

import dataclasses
import enum

from memoryd.foundation.ids import AssetId


class LikenessKind(enum.StrEnum):
    """By what an asset was recognised."""

    PIXELS = "pixels"
    """The same pixels, whatever the files are."""
    FINGERPRINT = "fingerprint"
    """It shows the same, or nearly."""
    MIRRORED = "mirrored"
    """Its mirror image does."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """An asset that may show the same. `distance`: bits of 256 in which the codes differ, 0 for the same pixels."""

    asset_id: AssetId
    distance: int
    kind: LikenessKind
