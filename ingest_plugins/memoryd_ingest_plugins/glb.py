"""Binary glTF models: the words in `asset.extras`."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.glb import SIGNATURE, read_glb


def _begins(head: bytes) -> bool:
    return head.startswith(SIGNATURE)


plugin = ContainerPlugin(name="glb", version="1", begins=_begins, structure=read_glb)
