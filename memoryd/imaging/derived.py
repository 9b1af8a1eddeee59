"""What came of decoding an asset once: small pictures, digests, fingerprints, traits, and what could not be done."""

from __future__ import annotations

import dataclasses

from memoryd.foundation.findings import Finding
from memoryd.imaging.pixels import PixelDigest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SmallPicture:
    """One small picture. `recipe` names what it shows and how it was made, `size` is the longest edge asked for."""

    recipe: str
    size: int
    content: bytes
    media_type: str
    width: int
    height: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TakenFingerprint:
    """What a frame shows, in 32 bytes. `telling` is False where so little is seen that others would match by chance."""

    recipe: str
    frame: int
    mirrored: bool
    code: bytes
    telling: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ColourProfile:
    """The profile that a picture carries: its own name for itself, and the SHA-256 of its bytes."""

    name: str
    sha256: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What content is like. Width and height in pixels as stored, duration in seconds, rates in frames or samples a second.

    `layers` are an EXR's, in name order; `channels` the channels of sound.
    """

    width: int | None = None
    height: int | None = None
    frames: int | None = None
    duration: float | None = None
    frame_rate: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    profile: ColourProfile | None = None
    layers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """All that came of one asset. A finding says what could not be derived, and why."""

    pictures: tuple[SmallPicture, ...] = ()
    pixels: PixelDigest | None = None
    fingerprints: tuple[TakenFingerprint, ...] = ()
    traits: Traits = Traits()
    findings: tuple[Finding, ...] = ()
