"""What a PNG says outside its texts: an EXIF block, profiles written as hexadecimal, content credentials, hidden words.

Source: PNG third edition (eXIf); ImageMagick's `Raw profile type` texts; C2PA 2 (caBX).
"""

from __future__ import annotations

import binascii
import dataclasses
from typing import BinaryIO

from memoryd.foundation.findings import Finding
from memoryd.plugin_api.container import TEXT_LIMIT, Walk
from memoryd.plugin_api.exif import read_exif
from memoryd.plugin_api.facts import Carrier
from memoryd.plugin_api.iptc import read_iptc, read_photoshop
from memoryd.plugin_api.png import PngStructure
from memoryd.plugin_api.stealth import hidden_in_png

PROFILE_PREFIX = "Raw profile type "

_TOOLS_KEYS = frozenset(
    (
        "parameters",
        "prompt",
        "workflow",
        "comment",
        "description",
        "usercomment",
        "imagedescription",
        "dream",
        "sd-metadata",
        "invokeai_metadata",
        "generation_data",
        "negative_prompt",
        "negative prompt",
        "fooocus_scheme",
        "parameters-json",
        "aigc",
    )
)
"""Keys under which tools write how a picture was made: where one is there, nothing needs to be hidden."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PngExtras:
    """Texts found outside the chunks of texts, and whether content credentials are there."""

    carriers: tuple[Carrier, ...] = ()
    has_manifest: bool = False
    findings: tuple[Finding, ...] = ()


def read_png_extras(stream: BinaryIO, png: PngStructure) -> PngExtras:
    """Return what a PNG says besides its texts. Reads pixels only where no tool's words are found, and few of them."""
    walk: Walk | None = None
    for chunk in png.chunks:
        if chunk.type == "eXIf":
            walk = walk or _walk(stream, png)
            if walk.fits(chunk.length, "eXIf"):
                read_exif(walk, walk.at(chunk.offset, chunk.length))
        elif chunk.type == "caBX":
            walk = walk or _walk(stream, png)
            walk.has_manifest = True
    for text in png.texts:
        if text.key.startswith(PROFILE_PREFIX):
            walk = walk or _walk(stream, png)
            _take_profile(walk, text.key[len(PROFILE_PREFIX) :].strip().lower(), text.raw)
    told = any(text.key.lower() in _TOOLS_KEYS for text in png.texts)
    told = told or (walk is not None and any(text.key.lower() in _TOOLS_KEYS for text in walk.carriers))
    header = png.header
    if (
        not told
        and header is not None
        and header.bit_depth == 8
        and header.colour_type in (2, 6)
        and not header.interlaced
    ):
        walk = walk or _walk(stream, png)
        pieces = [(chunk.offset, chunk.length) for chunk in png.chunks if chunk.type == "IDAT"]
        hidden_in_png(walk, pieces, channels=4 if header.colour_type == 6 else 3)
    if walk is None:
        return PngExtras()
    return PngExtras(carriers=tuple(walk.carriers), has_manifest=walk.has_manifest, findings=tuple(walk.findings))


def _walk(stream: BinaryIO, png: PngStructure) -> Walk:
    walk = Walk(stream, "png", "image/png")
    walk.text_bytes = sum(len(text.raw) for text in png.texts)
    if png.header is not None:
        walk.width, walk.height = png.header.width, png.header.height
    return walk


def _take_profile(walk: Walk, kind: str, raw: bytes) -> None:
    """A line with the profile's name, one with its length, then lines of hexadecimal digits."""
    if kind not in ("exif", "app1", "xmp", "iptc", "8bim") or len(raw) > TEXT_LIMIT:
        return
    parts = raw.strip().split(None, 2)
    if len(parts) < 3:
        return
    digits = parts[2].translate(None, b" \t\r\n")
    try:
        profile = binascii.unhexlify(digits[: len(digits) // 2 * 2])
    except binascii.Error:
        walk.find("text-malformed", "a profile is no hexadecimal text", kind)
        return
    if profile.startswith((b"Exif", b"II*\x00", b"MM\x00*")):
        read_exif(walk, profile)
    elif kind == "xmp" or b"<x:xmpmeta" in profile[:512] or b"<?xpacket" in profile[:512]:
        walk.carry("xmp", "XML:com.adobe.xmp", profile.removeprefix(b"http://ns.adobe.com/xap/1.0/\x00"))
    elif profile.startswith(b"8BIM"):
        read_photoshop(walk, profile)
    elif kind == "iptc":
        read_iptc(walk, profile)
