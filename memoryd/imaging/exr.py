"""OpenEXR pictures: their layers, a digest of their exact values, and how they look in sRGB.

A preview takes the first layer that has colour as linear light of Rec. 709 primaries, clips it to what a screen shows
(what is no number is black, what is infinite is the brightest) and applies sRGB's curve. Where the environment variable
OCIO names a configuration and the package `opencolorio` is installed, the configuration's default display and view are
applied to its role `scene_linear` instead.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import OpenEXR  # type: ignore[import-not-found]  # a compiled module without stubs
from numpy.typing import NDArray
from PIL import Image

from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.imaging.derived import Derived, SmallPicture, TakenFingerprint, Traits
from memoryd.imaging.fingerprints import fingerprints
from memoryd.imaging.open_files import path_of
from memoryd.imaging.pixels import PixelDigest
from memoryd.imaging.recipes import Part
from memoryd.imaging.thumbnails import small_pictures

MAGIC = b"\x76\x2f\x31\x01"

EXR_PIXEL_RECIPE = "exr-v1"
"""SHA-256 over one line `memoryd exr v1` and, part by part and channel by channel in the order of their names (bytes), a
line `<part> <channel> <type> <width>x<height>` and the samples by row, big-endian, bit by bit: NaN payloads count."""

SAMPLES_LIMIT = 200_000_000
"""Samples of all channels of all parts: 800 MB at 32 bits each."""
CHANNELS_LIMIT = 1_024
PARTS_LIMIT = 256

_DEFAULT_LAYER = "rgba"
_COLOURS = ("R", "G", "B", "A")

Channels = Mapping[str, NDArray[Any]]


def derive_exr(file: BinaryIO, parts: frozenset[Part]) -> Derived:
    """Return what is wanted of an EXR; what cannot be derived is a finding. Raises: OSError, MemoryError."""
    path = path_of(file)
    try:
        with OpenEXR.File(path, header_only=True) as header:
            traits, samples = _read_header(header)
            channels = sum(len(part.header["channels"]) for part in header.parts)
        if samples > SAMPLES_LIMIT or samples == 0:
            detail = f"{samples} samples; SAMPLES_LIMIT is {SAMPLES_LIMIT}"
            return Derived(traits=traits, findings=(Finding(code="too-many-pixels", detail=detail),))
        with OpenEXR.File(path, separate_channels=True) as opened:
            # A part that cannot be decoded is left out by the library, with a line on its standard output.
            if sum(len(part.channels) for part in opened.parts) != channels:
                finding = Finding(code="pixels-damaged", detail="not all of the EXR's channels can be decoded")
                return Derived(traits=traits, findings=(finding,))
            return _derive(opened, traits, parts)
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        reason = storable(str(error).splitlines()[0] if str(error) else type(error).__name__)[0][:200]
        # The library names the file as it was opened, which says nothing to anybody.
        detail = f"the EXR cannot be decoded: {reason.replace(path, 'it')}"
        return Derived(findings=(Finding(code="pixels-damaged", detail=detail),))


def _read_header(opened: Any) -> tuple[Traits, int]:
    width = height = samples = 0
    layers: set[str] = set()
    if len(opened.parts) > PARTS_LIMIT:
        raise ValueError(f"{len(opened.parts)} parts; PARTS_LIMIT is {PARTS_LIMIT}")
    for part in opened.parts:
        low, high = part.header["dataWindow"]
        across, down = int(high[0]) - int(low[0]) + 1, int(high[1]) - int(low[1]) + 1
        channels = part.header["channels"]
        if across < 1 or down < 1 or len(channels) > CHANNELS_LIMIT:
            raise ValueError(f"{across} x {down} pixels, {len(channels)} channels; CHANNELS_LIMIT is {CHANNELS_LIMIT}")
        if not width:
            width, height = across, down
        samples += across * down * len(channels)
        layers |= {_layer_of(channel.name, _part_name(part)) for channel in channels}
    return Traits(width=width, height=height, frames=1, layers=tuple(sorted(layers))), samples


def _part_name(part: Any) -> str:
    return storable(str(part.header.get("name", "")))[0]


def _layer_of(channel: str, part: str) -> str:
    layer, _, _ = storable(channel)[0].rpartition(".")
    return ".".join(name for name in (part, layer) if name) or (
        _DEFAULT_LAYER if channel in _COLOURS or channel == "Y" else channel
    )


def _derive(opened: Any, traits: Traits, parts: frozenset[Part]) -> Derived:
    held = [
        (_part_name(part), {name: channel.pixels for name, channel in part.channels.items()}) for part in opened.parts
    ]
    pixels = _digest(held, traits) if Part.PIXEL_DIGEST in parts else None
    pictures: tuple[SmallPicture, ...] = ()
    codes: tuple[TakenFingerprint, ...] = ()
    if parts & {Part.THUMBNAIL, Part.FINGERPRINT}:
        shown = _shown(next((channels for _, channels in held if channels), {}))
        if shown is None:
            finding = Finding(code="no-colour", detail="the EXR has no channel that can be shown as a picture")
            return Derived(pixels=pixels, traits=traits, findings=(finding,))
        pictures = small_pictures(shown) if Part.THUMBNAIL in parts else ()
        codes = fingerprints(shown) if Part.FINGERPRINT in parts else ()
    return Derived(pictures=pictures, pixels=pixels, fingerprints=codes, traits=traits)


def _digest(held: Sequence[tuple[str, Channels]], traits: Traits) -> PixelDigest:
    digest = hashlib.sha256(b"memoryd exr v1\n")
    for part, channels in held:
        for name in sorted(channels, key=lambda one: one.encode("utf-8", "surrogateescape")):
            samples = channels[name]
            head = f"{part} {name} {samples.dtype.name} {samples.shape[1]}x{samples.shape[0]}\n"
            digest.update(head.encode("utf-8", "surrogateescape"))
            digest.update(np.ascontiguousarray(samples.astype(samples.dtype.newbyteorder(">"), copy=False)).data)
    modes = sorted({samples.dtype.name for _, channels in held for samples in channels.values()})
    return PixelDigest(
        recipe=EXR_PIXEL_RECIPE,
        digest=digest.digest(),
        width=traits.width or 0,
        height=traits.height or 0,
        mode="+".join(modes),
        frames=1,
    )


def _shown(channels: Channels) -> Image.Image | None:
    """Return the first layer that has colour, the unnamed one before all, else the first channel as grey."""
    prefixes = sorted({name.rpartition(".")[0] for name in channels})
    for prefix in prefixes:
        whole = {colour: channels.get(f"{prefix}.{colour}" if prefix else colour) for colour in (*_COLOURS, "Y")}
        if all(whole[colour] is not None for colour in "RGB"):
            planes = [whole[colour] for colour in "RGB"]
        elif whole["Y"] is not None:
            planes = [whole["Y"]] * 3
        else:
            continue
        if len({plane.shape for plane in planes if plane is not None}) == 1:
            return _as_picture(planes, whole["A"])  # type: ignore[arg-type]  # none is None
    grey = next((channels[name] for name in sorted(channels)), None)
    return None if grey is None else _as_picture([grey] * 3, None)


def _as_picture(planes: Sequence[NDArray[Any]], alpha: NDArray[Any] | None) -> Image.Image:
    light: NDArray[np.float32] = np.nan_to_num(
        np.stack(planes, axis=-1).astype(np.float32), nan=0.0, posinf=3.0e38, neginf=0.0
    )
    opacity = None if alpha is None else _opacity(alpha, light.shape[:2])
    if opacity is not None:
        # Colour is stored multiplied by coverage. Source: OpenEXR, Technical Introduction, "Alpha".
        light = (light / np.maximum(opacity, 1e-6)[..., None]).astype(np.float32)
    shown = _by_configuration(light)
    if shown is None:
        shown = srgb_curve(light)
    eight = (np.clip(np.nan_to_num(shown), 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    if opacity is not None:
        eight = np.dstack([eight, (opacity * 255.0 + 0.5).astype(np.uint8)])
    return Image.fromarray(eight)


def _opacity(alpha: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    if alpha.shape != shape:
        return None
    opacity = np.clip(np.nan_to_num(alpha.astype(np.float32), nan=1.0), 0.0, 1.0)
    # Renderers that know no coverage write zeros, or ones, everywhere.
    return None if opacity.min() >= 1.0 or opacity.max() <= 0.0 else opacity


def srgb_curve(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return linear light as sRGB values of 0 to 1, clipped. Source: IEC 61966-2-1."""
    clipped = np.clip(light, 0.0, 1.0)
    return np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * np.power(clipped, 1 / 2.4) - 0.055).astype(
        np.float32
    )


def _by_configuration(light: NDArray[np.float32]) -> NDArray[np.float32] | None:
    place = os.environ.get("OCIO")
    processor = _ocio_processor(place) if place else None
    if processor is None:
        return None
    samples = np.array(light, dtype=np.float32, order="C")
    processor.applyRGB(samples)
    return samples


@functools.lru_cache(maxsize=2)
def _ocio_processor(place: str) -> Any | None:
    try:
        import PyOpenColorIO as ocio  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: N813
    except ImportError:
        return None
    try:
        configuration = ocio.Config.CreateFromFile(place)
        display = configuration.getDefaultDisplay()
        return configuration.getProcessor(
            ocio.ROLE_SCENE_LINEAR, display, configuration.getDefaultView(display), ocio.TRANSFORM_DIR_FORWARD
        ).getDefaultCPUProcessor()
    except (ocio.Exception, ocio.ExceptionMissingFile):
        # A configuration that cannot be used is the studio's to mend; until then the plain curve shows the picture.
        return None
