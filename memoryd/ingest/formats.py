"""What a file's content is: by the installed plugins first, else by the signatures of formats that no plugin reads yet.

The content decides, never the name: a JPEG named .png is recorded as a JPEG.
"""

from __future__ import annotations

from typing import BinaryIO

from memoryd.catalog.facts import AssetKind
from memoryd.ingest.media import promised
from memoryd.plugin_api.door import HEAD_SIZE, IngestPlugin, choose_plugin, read_stream
from memoryd.plugin_api.facts import Completeness, Reading

SHORTEST_FILE = 16
"""Bytes below which no format can be told: whoever writes it has only begun."""

_SIGNATURES: tuple[tuple[int, bytes, AssetKind, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", AssetKind.IMAGE, "image/png"),
    (0, b"\xff\xd8\xff", AssetKind.IMAGE, "image/jpeg"),
    (8, b"WEBP", AssetKind.IMAGE, "image/webp"),
    (0, b"GIF8", AssetKind.IMAGE, "image/gif"),
    (0, b"II*\x00", AssetKind.IMAGE, "image/tiff"),
    (0, b"MM\x00*", AssetKind.IMAGE, "image/tiff"),
    (0, b"II+\x00", AssetKind.IMAGE, "image/tiff"),
    (0, b"BM", AssetKind.IMAGE, "image/bmp"),
    (0, b"8BPS", AssetKind.IMAGE, "image/vnd.adobe.photoshop"),
    (0, b"v/1\x01", AssetKind.IMAGE, "image/x-exr"),
    (0, b"#?RADIANCE", AssetKind.IMAGE, "image/vnd.radiance"),
    (0, b"#?RGBE", AssetKind.IMAGE, "image/vnd.radiance"),
    (0, b"\xff\x0a", AssetKind.IMAGE, "image/jxl"),
    (0, b"\x00\x00\x00\x0cJXL ", AssetKind.IMAGE, "image/jxl"),
    (4, b"ftypavi", AssetKind.IMAGE, "image/avif"),
    (4, b"ftyphei", AssetKind.IMAGE, "image/heic"),
    (4, b"ftypmif1", AssetKind.IMAGE, "image/heif"),
    (4, b"ftypqt", AssetKind.VIDEO, "video/quicktime"),
    (4, b"ftypM4A", AssetKind.AUDIO, "audio/mp4"),
    (4, b"ftyp", AssetKind.VIDEO, "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", AssetKind.VIDEO, "video/webm"),
    (8, b"AVI ", AssetKind.VIDEO, "video/x-msvideo"),
    (0, b"fLaC", AssetKind.AUDIO, "audio/flac"),
    (0, b"OggS", AssetKind.AUDIO, "audio/ogg"),
    (8, b"WAVE", AssetKind.AUDIO, "audio/wav"),
    (0, b"ID3", AssetKind.AUDIO, "audio/mpeg"),
    (0, b"\xff\xfb", AssetKind.AUDIO, "audio/mpeg"),
    (0, b"\xff\xf3", AssetKind.AUDIO, "audio/mpeg"),
    (0, b"\xff\xf1", AssetKind.AUDIO, "audio/aac"),
    (0, b"glTF", AssetKind.MODEL3D, "model/gltf-binary"),
)
"""(offset, bytes, kind, media type), more particular ones first. Source: each format's own specification."""

_UNSIGNED = frozenset(
    (
        "image/x-tga",
        "image/svg+xml",
        "model/gltf+json",
        "model/obj",
        "model/ply",
        "model/stl",
        "model/vnd.usdz+zip",
        "application/x-comfyui-latent",
        "audio/mpeg",
        "audio/aac",
        "video/quicktime",
    )
)
"""Media types whose files need not begin with a signature we know: their names are believed."""


def plugin_for(body: BinaryIO) -> IngestPlugin | None:
    """Return the plugin that reads this content, None where none is installed that does."""
    return choose_plugin(head_of(body))


def head_of(body: BinaryIO) -> bytes:
    """Return the content's first bytes."""
    body.seek(0)
    return body.read(HEAD_SIZE)


def read(plugin: IngestPlugin, body: BinaryIO) -> tuple[Completeness, Reading | None]:
    """Return whether the file is whole and what it says, nothing where it is partial. Raises: OSError."""
    reading = read_stream(plugin, body)
    completeness = reading.completeness
    if completeness is None:
        body.seek(0)
        completeness = plugin.completeness(body)
    return completeness, None if completeness is Completeness.PARTIAL else reading


def recognise(head: bytes, name: bytes) -> tuple[AssetKind, str] | None:
    """Return what content without a plugin is; None where its name promises a format that it does not begin as."""
    for offset, signature, kind, media_type in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return _by_name(name, kind, media_type)
    kind, media_type = promised(name)
    return (kind, media_type) if media_type in _UNSIGNED or kind is AssetKind.OTHER else None


def _by_name(name: bytes, kind: AssetKind, media_type: str) -> tuple[AssetKind, str]:
    # One signature, several formats: Matroska is WebM's superset, BM begins a text as well.
    if media_type == "video/webm" and promised(name)[1] == "video/x-matroska":
        return promised(name)
    return kind, media_type
