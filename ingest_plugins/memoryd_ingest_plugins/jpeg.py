"""JPEG pictures: EXIF, XMP, IPTC and comments, whoever wrote them."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.jpeg import SIGNATURE, read_jpeg


def _begins(head: bytes) -> bool:
    return head.startswith(SIGNATURE)


plugin = ContainerPlugin(name="jpeg", version="1", begins=_begins, structure=read_jpeg)
