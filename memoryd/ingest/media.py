"""Which files a studio's memory takes in, told by their names, and what kind of content a name promises.

The content decides where a plugin knows it (a PNG named .jpg is read as a PNG). The name only decides what is looked at
at all in a folder, and what an unknown content is called: texts beside pictures, hidden files and half-downloaded ones
are passed by. A file that a person names by itself is always looked at.
"""

from __future__ import annotations

from memoryd.catalog.facts import AssetKind

_IMAGES = {
    b"png": "image/png",
    b"apng": "image/apng",
    b"jpg": "image/jpeg",
    b"jpeg": "image/jpeg",
    b"jpe": "image/jpeg",
    b"jfif": "image/jpeg",
    b"webp": "image/webp",
    b"gif": "image/gif",
    b"avif": "image/avif",
    b"heic": "image/heic",
    b"heif": "image/heif",
    b"hif": "image/heif",
    b"jxl": "image/jxl",
    b"tif": "image/tiff",
    b"tiff": "image/tiff",
    b"bmp": "image/bmp",
    b"tga": "image/x-tga",
    b"exr": "image/x-exr",
    b"hdr": "image/vnd.radiance",
    b"svg": "image/svg+xml",
    b"psd": "image/vnd.adobe.photoshop",
}
_VIDEOS = {
    b"mp4": "video/mp4",
    b"m4v": "video/mp4",
    b"mov": "video/quicktime",
    b"webm": "video/webm",
    b"mkv": "video/x-matroska",
    b"ogv": "video/ogg",
    b"avi": "video/x-msvideo",
}
_AUDIO = {
    b"flac": "audio/flac",
    b"mp3": "audio/mpeg",
    b"wav": "audio/wav",
    b"ogg": "audio/ogg",
    b"oga": "audio/ogg",
    b"mka": "audio/x-matroska",
    b"opus": "audio/ogg",
    b"m4a": "audio/mp4",
    b"aac": "audio/aac",
}
_MODELS_3D = {
    b"glb": "model/gltf-binary",
    b"gltf": "model/gltf+json",
    b"obj": "model/obj",
    b"ply": "model/ply",
    b"stl": "model/stl",
    b"usdz": "model/vnd.usdz+zip",
}

_BY_SUFFIX: dict[bytes, tuple[AssetKind, str]] = {
    **{suffix: (AssetKind.IMAGE, media_type) for suffix, media_type in _IMAGES.items()},
    **{suffix: (AssetKind.VIDEO, media_type) for suffix, media_type in _VIDEOS.items()},
    **{suffix: (AssetKind.AUDIO, media_type) for suffix, media_type in _AUDIO.items()},
    **{suffix: (AssetKind.MODEL3D, media_type) for suffix, media_type in _MODELS_3D.items()},
    b"latent": (AssetKind.LATENT, "application/x-comfyui-latent"),
}

_UNFINISHED = (b".part", b".partial", b".crdownload", b".tmp", b".download")
"""What downloaders and copy tools append while they write."""


def is_taken(name: bytes) -> bool:
    """Tell whether a file of this name (without folders) is looked at when its folder is taken in."""
    if name.startswith((b".", b"~", b"@eaDir")) or name.lower().endswith(_UNFINISHED):
        return False
    return _suffix(name) in _BY_SUFFIX


def is_walked(name: bytes) -> bool:
    """Tell whether a folder of this name is walked into: hidden ones (thumbnail caches, version control) are not."""
    return not name.startswith((b".", b"@eaDir", b"__MACOSX"))


def is_reached(path: bytes) -> bool:
    """Tell whether a walk comes to a path below a folder: none of the folders on the way is passed by (a trash, a cache)."""
    return all(is_walked(folder) for folder in path.split(b"/")[:-1])


def promised(name: bytes) -> tuple[AssetKind, str]:
    """Return the kind and media type that a file's name promises; OTHER and octets where it promises nothing."""
    return _BY_SUFFIX.get(_suffix(name), (AssetKind.OTHER, "application/octet-stream"))


def _suffix(name: bytes) -> bytes:
    _, dot, suffix = name.rpartition(b".")
    return suffix.lower() if dot else b""
