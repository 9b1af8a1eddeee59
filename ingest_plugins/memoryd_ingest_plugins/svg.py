"""SVG pictures: the words in `metadata`."""

from __future__ import annotations

from memoryd.plugin_api.container_plugin import ContainerPlugin
from memoryd.plugin_api.svg import is_svg, read_svg

plugin = ContainerPlugin(name="svg", version="1", begins=is_svg, structure=read_svg)
