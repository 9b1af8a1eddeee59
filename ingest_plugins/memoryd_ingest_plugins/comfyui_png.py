"""PNG files, as ComfyUI and others write them: texts `prompt` and `workflow`, and any others beside them."""

from __future__ import annotations

from typing import BinaryIO

from memoryd.plugin_api.container import Structure
from memoryd.plugin_api.container_plugin import reading_of
from memoryd.plugin_api.facts import Completeness, Reading
from memoryd.plugin_api.png import SIGNATURE, read_png
from memoryd.plugin_api.png_extras import read_png_extras


class ComfyuiPng:
    """Reads PNG and APNG. What a file without ComfyUI's texts says is read as well: size, and texts under their keys."""

    name = "comfyui_png"
    version = "2"

    def sniff(self, head: bytes) -> bool:
        """Tell by the signature."""
        return head.startswith(SIGNATURE)

    def completeness(self, stream: BinaryIO) -> Completeness:
        """Tell by the chunks, to IEND."""
        return read_png(stream, texts=False).completeness

    def read(self, stream: BinaryIO) -> Reading:
        """Return size, frames and all texts: those of chunks in file order, then those that were unpacked from others."""
        png = read_png(stream)
        extras = read_png_extras(stream, png)
        structure = Structure(
            completeness=png.completeness,
            media_type="image/png" if png.frames is None else "image/apng",
            width=png.header.width if png.header else None,
            height=png.header.height if png.header else None,
            frames=png.frames,
            carriers=(*png.texts, *extras.carriers),
            has_manifest=extras.has_manifest,
            findings=(*png.findings, *extras.findings),
        )
        return reading_of(self.name, self.version, structure)


plugin = ComfyuiPng()
