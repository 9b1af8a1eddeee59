"""GIF pictures: comments and XMP."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.gif import SIGNATURES, read_gif


def _begins(head: bytes) -> bool:
    return head.startswith(SIGNATURES)


plugin = ContainerPlugin(name="gif", version="1", begins=_begins, structure=read_gif)
