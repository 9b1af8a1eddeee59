"""What recognition hands out."""

from __future__ import annotations

import dataclasses
import enum

from memoryd.foundation.ids import AssetId
from memoryd.imaging.derived import TakenFingerprint
from memoryd.imaging.pixels import PixelDigest


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


class By(enum.StrEnum):
    """By what a file was recognised, strongest first."""

    FILE = "file hash"
    """The same bytes: it is the asset."""
    SIGNED = "signed credentials"
    """It verifies, and a signer whom this installation trusts says of what it was made."""
    PIXELS = "pixel digest"
    """The same pixels; the file around them is another."""
    FINGERPRINT = "fingerprint"
    """It shows nearly the same, as it is or mirrored."""
    TEXT = "text in the file"
    """Its own text names the run; texts are copied and edited, and prove nothing."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is known of a file that is looked for. `fingerprints` as derived, those of the mirror image among them."""

    sha256: bytes
    pixels: PixelDigest | None = None
    fingerprints: tuple[TakenFingerprint, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An asset that a file may be. `distance`: bits of 256 in which the codes differ, 0 for equal bytes or pixels.

    `exact`: every byte is equal. `mirrored`: it is the asset's mirror image that it shows.
    """

    asset_id: AssetId
    by: By
    distance: int
    exact: bool = False
    mirrored: bool = False
