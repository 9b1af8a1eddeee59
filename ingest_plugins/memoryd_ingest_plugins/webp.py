"""WebP pictures, still and moving: EXIF (where ComfyUI keeps its graphs), XMP, and words hidden in alpha."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.riff import is_webp, read_webp

plugin = ContainerPlugin(name="webp", version="1", begins=is_webp, structure=read_webp)
