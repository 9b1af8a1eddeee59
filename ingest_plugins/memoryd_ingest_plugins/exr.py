"""OpenEXR pictures: the words of their headers."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.exr import SIGNATURE, read_exr


def _begins(head: bytes) -> bool:
    return head.startswith(SIGNATURE)


plugin = ContainerPlugin(name="exr", version="1", begins=_begins, structure=read_exr)
