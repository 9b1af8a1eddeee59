"""How a picture's samples are to be shown: what makes two pictures of equal samples look unlike.

Colour profile, gamma and the like, orientation, the shape of a pixel, and how long the frames of an animation stand.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

from memoryd.imaging.unpacked_png import chunks
from memoryd.plugin_api.png import SIGNATURE

BOXES_LOOKED_AT = 1 << 16
"""Bytes at the start of an AVIF in which its properties stand; the pixels come behind them."""

_PNG_CHUNKS = {
    b"gAMA": "gamma",
    b"cHRM": "primaries",
    b"sRGB": "sRGB intent",
    b"cICP": "coded colour",
    b"mDCV": "mastering display",
    b"mDCv": "mastering display",
    b"cLLI": "light level",
    b"cLLi": "light level",
}
_BOXES = (b"colr", b"mdcv", b"clli", b"pasp", b"clap")
_TIFF_TAGS = {301: "transfer function", 318: "white point", 319: "primaries"}
_TURNING = (b"Raw profile type", b"XML:com.adobe.xmp")
"""Texts of a PNG that may turn the picture, as an `eXIf` chunk may."""
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")


class Appearance:
    """What is said about showing one picture, gathered while its frames are decoded."""

    def __init__(self, picture: Image.Image) -> None:
        """Nothing is read yet: some of it stands behind the pixels."""
        self._picture = picture
        self._durations: list[float] = []

    def frame_was_decoded(self) -> None:
        """Note how long the present frame stands."""
        self._durations.append(float(self._picture.info.get("duration") or 0.0))

    def words(self, content: bytes | None) -> dict[str, str]:
        """Return everything that is said, by name. `content` are the file's bytes, where they are at hand.

        Only what is said is there: no profile is no entry.
        """
        picture = self._picture
        info = picture.info
        said: dict[str, str] = {}
        orientation = self._orientation(content)
        if orientation != 1:
            said["orientation"] = str(orientation)
        profile = info.get("icc_profile")
        if isinstance(profile, bytes) and profile:
            said["colour profile"] = hashlib.sha256(profile).hexdigest()
        if len(self._durations) > 1:
            said["frame durations"] = " ".join(f"{each:g}" for each in self._durations)
            if info.get("loop") is not None:
                said["loops"] = str(info["loop"])
        ratio = _pixel_ratio(info)
        if ratio is not None:
            said["pixel shape"] = ratio
        if picture.format == "TIFF":
            said |= _tiff_words(picture)
        if content is not None and picture.format == "PNG":
            said |= {
                _PNG_CHUNKS[kind]: content[start:end].hex()
                for kind, start, end in chunks(content)
                if kind in _PNG_CHUNKS
            }
        if content is not None and picture.format == "AVIF":
            said |= _box_words(content[:BOXES_LOOKED_AT])
        return said

    def _orientation(self, content: bytes | None) -> object:
        if (
            self._picture.format == "PNG"
            and content is not None
            and not any(may_turn(content, kind, start) for kind, start, _ in chunks(content))
        ):
            # Asked for, Pillow would decode all pixels first: it may stand behind them.
            return 1
        return self._picture.getexif().get(ExifTags.Base.Orientation, 1)


def may_turn(content: bytes, kind: bytes, start: int) -> bool:
    """Tell whether a PNG's chunk, its data at `start`, may say how the picture is turned."""
    return kind == b"eXIf" or (kind in _TEXTS and content.startswith(_TURNING, start))


def apart(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of what two pictures do not have alike."""
    return tuple(name for name in sorted({*one, *other}) if one.get(name) != other.get(name))


def parts_apart(one: bytes, other: bytes) -> tuple[str, ...]:
    """Return what is not equal of two PNG files: `packing` of the pixels, `text prompt`, chunks by their name.

    Nothing for files of other formats.
    """
    if not (one.startswith(SIGNATURE) and other.startswith(SIGNATURE)):
        return ()
    left, right = _parts(one), _parts(other)
    return tuple(name for name in sorted({*left, *right}) if left.get(name) != right.get(name))


def _parts(content: bytes) -> dict[str, bytes]:
    parts: dict[str, bytes] = {}
    for kind, start, end in chunks(content):
        name = kind.decode("ascii", "replace")
        if kind in _TEXTS:
            name = "text " + content[start:end].partition(b"\0")[0].decode("latin-1")[:79]
        elif kind in (b"IDAT", b"fdAT", b"IHDR", b"PLTE", b"tRNS"):
            # Another palette or another packing of equal pixels.
            name = "packing"
        parts[name] = hashlib.sha256(parts.get(name, b"") + content[start:end]).digest()
    return parts


def _pixel_ratio(info: Mapping[Any, Any]) -> str | None:
    density = info.get("aspect") or info.get("dpi") or info.get("jfif_density")
    try:
        across, down = (float(each) for each in density or (1, 1))
        return None if across <= 0 or down <= 0 or abs(across / down - 1.0) < 1e-3 else f"{across / down:.4f}"
    except (TypeError, ValueError, ZeroDivisionError):
        return "unreadable"


def _tiff_words(picture: Image.Image) -> dict[str, str]:
    tags = getattr(picture, "tag_v2", {})
    return {name: str(tags[tag]) for tag, name in _TIFF_TAGS.items() if tag in tags}


def _box_words(content: bytes) -> dict[str, str]:
    said: dict[str, str] = {}
    for kind in _BOXES:
        at = content.find(kind)
        while at >= 4:
            (size,) = struct.unpack_from(">I", content, at - 4)
            name = f"{kind.decode('ascii')} box"
            said[name] = said.get(name, "") + hashlib.sha256(content[at : at - 4 + max(size, 8)]).hexdigest()
            at = content.find(kind, at + 4)
    return said
