"""MP4, MOV and M4V films: tags of ComfyUI, VideoHelperSuite and ffmpeg."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.mp4 import is_mp4, read_mp4

plugin = ContainerPlugin(name="mp4", version="1", begins=is_mp4, structure=read_mp4)
