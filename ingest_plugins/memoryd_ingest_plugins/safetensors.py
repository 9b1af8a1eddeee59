"""ComfyUI's `.latent` files and other safetensors: the words of their headers."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.safetensors import is_safetensors, read_safetensors

plugin = ContainerPlugin(name="safetensors", version="1", begins=is_safetensors, structure=read_safetensors)
