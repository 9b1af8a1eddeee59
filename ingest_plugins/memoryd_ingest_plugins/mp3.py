"""MP3 sounds: ID3 tags."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.mp3 import is_mp3, read_mp3

plugin = ContainerPlugin(name="mp3", version="1", begins=is_mp3, structure=read_mp3)
