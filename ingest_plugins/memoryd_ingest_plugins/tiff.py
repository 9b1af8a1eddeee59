"""TIFF pictures: their words in tags, XMP and IPTC."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.tiff import SIGNATURES, read_tiff


def _begins(head: bytes) -> bool:
    return head.startswith(SIGNATURES)


plugin = ContainerPlugin(name="tiff", version="1", begins=_begins, structure=read_tiff)
