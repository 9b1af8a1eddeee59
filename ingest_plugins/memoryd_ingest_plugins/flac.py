"""FLAC sounds: Vorbis comments."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.flac import SIGNATURE, read_flac


def _begins(head: bytes) -> bool:
    return head.startswith(SIGNATURE)


plugin = ContainerPlugin(name="flac", version="1", begins=_begins, structure=read_flac)
