"""Ogg sounds (Opus, Vorbis, FLAC): comments, also over many pages."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.ogg import SIGNATURE, read_ogg


def _begins(head: bytes) -> bool:
    return head.startswith(SIGNATURE)


plugin = ContainerPlugin(name="ogg", version="1", begins=_begins, structure=read_ogg)
