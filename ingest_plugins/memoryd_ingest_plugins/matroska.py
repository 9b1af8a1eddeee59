"""WebM and Matroska films: tags, in whatever case ffmpeg wrote them."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.matroska import SIGNATURE, read_matroska


def _begins(head: bytes) -> bool:
    return head.startswith(SIGNATURE)


plugin = ContainerPlugin(name="matroska", version="1", begins=_begins, structure=read_matroska)
