"""WAV sounds: INFO lists and ID3 tags."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.riff import is_wav, read_wav

plugin = ContainerPlugin(name="wav", version="1", begins=is_wav, structure=read_wav)
