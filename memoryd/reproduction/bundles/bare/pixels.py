"""Two pictures whose files differ, as far as Pillow tells what they show; memoryd itself compares more exactly."""

from __future__ import annotations

import io
import math

from .opening import plain

SIMILAR_PSNR_DB = 40.0
"""Decibels from which two pictures are called similar, as memoryd does."""


def compare_with_pillow(original: bytes, made: bytes) -> tuple[str, str]:
    """Return what can be said of two files whose bytes differ, as far as Pillow tells it."""
    try:
        from PIL import Image, ImageChops, ImageStat
    except ImportError:
        return "different", "the files differ; Pillow is not installed, so pixels were not compared"
    try:
        with Image.open(io.BytesIO(original)) as one, Image.open(io.BytesIO(made)) as other:
            # Pillow reads 16 bits a channel as 8, and tells nothing of how samples are to be shown.
            if _shown(original) is None or _shown(original) != _shown(made) or getattr(one, "n_frames", 1) != 1:
                return "different", "the files differ, and their pixels cannot be compared here: memoryd can"
            if (one.mode, one.size) != (other.mode, other.size) or one.mode not in ("1", "L", "LA", "RGB", "RGBA"):
                return "different", f"{one.mode} {one.size} and {other.mode} {other.size}"
            difference = ImageChops.difference(one.convert("RGBA"), other.convert("RGBA"))
            if one.tobytes() == other.tobytes():
                return "identical pixels", "every pixel is equal; the file around them is not"
            squares = sum(ImageStat.Stat(difference).sum2) / (one.size[0] * one.size[1] * 4)
            largest = max(max(difference.getchannel(band).getextrema()) for band in "RGBA")
    except Exception as error:  # whatever a decoder makes of a damaged file
        return "different", f"the files differ, and cannot be decoded here: {plain(error)}"
    psnr = math.inf if squares == 0 else 10 * math.log10(255**2 / squares)
    words = f"the largest difference is {largest} of 255, {psnr:.1f} dB (memoryd would also measure SSIM)"
    return ("similar" if psnr >= SIMILAR_PSNR_DB else "different"), words


def _shown(content: bytes) -> list[tuple[bytes, bytes]] | None:
    """Return how a PNG's samples are to be read, None for what is no PNG of 8 bits or fewer."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n") or len(content) < 33 or content[24] > 8 or content[25] == 3:
        return None
    parts, at = [], 33
    while at + 8 <= len(content):
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if kind == b"IDAT":
            break
        if kind in (b"gAMA", b"cHRM", b"iCCP", b"sRGB", b"cICP", b"pHYs", b"tRNS", b"eXIf", b"sBIT"):
            parts.append((kind, content[at + 8 : at + 8 + size]))
        at += 12 + size
    return parts
