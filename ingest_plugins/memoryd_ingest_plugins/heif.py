"""AVIF and HEIF pictures: EXIF and XMP items."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.heif import is_heif, read_heif

plugin = ContainerPlugin(name="heif", version="1", begins=is_heif, structure=read_heif)
