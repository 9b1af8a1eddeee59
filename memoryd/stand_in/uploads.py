"""Takes files in and gives them out, as ComfyUI's upload and view do."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image, PngImagePlugin

from memoryd.stand_in.folders import Folders, inside

UPLOAD_LIMIT = 100 * 1024 * 1024
"""Bytes of an upload. Source: ComfyUI's --max-upload-size."""


def keep_upload(folder: Path, name: str, content: bytes, *, overwrite: bool) -> str:
    """Write an upload and return its name: another one where different content lies there and may not be replaced.

    Raises: OutsideFolder, OSError.
    """
    path = inside(folder, name)
    if path == folder.absolute():
        raise IsADirectoryError(str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    while not overwrite and path.exists() and path.read_bytes() != content:
        number += 1
        path = inside(folder, f"{Path(name).stem} ({number}){Path(name).suffix}")
    path.write_bytes(content)
    return path.name


def with_mask(original: Path, mask: bytes) -> bytes:
    """Return the original with the upload's alpha and the original's own texts, as a PNG. Raises: OSError."""
    with Image.open(original) as file, Image.open(io.BytesIO(mask)) as painted:
        texts = PngImagePlugin.PngInfo()
        for key, value in getattr(file, "text", {}).items():
            texts.add_text(key, value)
        picture = file.convert("RGBA")
        picture.putalpha(painted.convert("RGBA").getchannel("A"))
        written = io.BytesIO()
        picture.save(written, "PNG", pnginfo=texts, compress_level=4)
        return written.getvalue()


def read_original(folders: Folders, reference: str) -> Path | None:
    """Return the file that an upload's `original_ref` names (JSON), None where it names none.

    Raises: OutsideFolder, ValueError where it is no JSON.
    """
    told = json.loads(reference)
    folder = folders.of_type(str(told.get("type") or "output")) if isinstance(told, dict) else None
    if folder is None or not told.get("filename"):
        return None
    path = inside(inside(folder, str(told.get("subfolder") or "")), str(told["filename"]))
    return path if path.is_file() else None


def preview(path: Path, wish: str) -> tuple[bytes, str]:
    """Return a picture re-encoded as `wish` says (`webp;90`, `jpeg;80`), without texts, and its media type.

    Raises: OSError where it is no picture.
    """
    kind, _, quality = wish.partition(";")
    kind = kind if kind in ("webp", "jpeg") else "webp"
    with Image.open(path) as picture:
        written = io.BytesIO()
        level = int(quality) if quality.isdigit() else 90
        (picture.convert("RGB") if kind == "jpeg" else picture).save(written, kind, quality=level)
    return written.getvalue(), f"image/{kind}"


def one_channel(path: Path, channel: str) -> bytes:
    """Return a picture's colours (`rgb`) or its transparency (`a`) as a PNG without texts. Raises: OSError."""
    with Image.open(path) as picture:
        shown = picture.convert("RGBA")
        if channel == "rgb":
            shown = shown.convert("RGB")
        else:
            alpha = shown.getchannel("A")
            shown = Image.new("RGBA", picture.size)
            shown.putalpha(alpha)
        written = io.BytesIO()
        shown.save(written, "PNG")
    return written.getvalue()
