"""One decode of any asset: which family of formats it is, told by its content."""

from __future__ import annotations

from typing import BinaryIO

from memoryd.foundation.findings import Finding
from memoryd.imaging import exr
from memoryd.imaging.derived import Derived
from memoryd.imaging.deriving import derive_picture
from memoryd.imaging.recipes import Part
from memoryd.imaging.sound import NoSoundReader, derive_sound
from memoryd.imaging.video import NoVideoReader, derive_video, looks_like_video

_HEAD = 16
_PICTURE_BRANDS = (b"avif", b"avis", b"mif1", b"miaf")
_SOUND = (b"fLaC", b"OggS", b"ID3")


def derive(file: BinaryIO, media_type: str, parts: frozenset[Part]) -> Derived:
    """Return what is wanted of an open file; what cannot be derived is a finding. Raises: OSError, MemoryError."""
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(0)
    family = media_type.partition("/")[0]
    try:
        if head.startswith(exr.MAGIC):
            return exr.derive_exr(file, parts)
        if family == "audio" or head.startswith(_SOUND) or (head[:4] == b"RIFF" and head[8:12] == b"WAVE"):
            return derive_sound(file, parts)
        if looks_like_video(head) and head[8:12] not in _PICTURE_BRANDS and family != "image":
            return derive_video(file, parts)
        if family == "video":
            return _nothing("not-decodable", "its content is no container of video that memoryd decodes")
    except NoVideoReader:
        return _nothing("no-decoder", "video is decoded by the package opencv-python-headless, which is not installed")
    except NoSoundReader:
        return _nothing("no-decoder", "sound is decoded by the package soundfile, which is not installed")
    return derive_picture(file, parts)


def _nothing(code: str, detail: str) -> Derived:
    return Derived(findings=(Finding(code=code, detail=detail),))
