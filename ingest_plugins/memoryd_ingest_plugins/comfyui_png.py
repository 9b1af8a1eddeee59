"""PNG files, as ComfyUI and others write them: texts `prompt` and `workflow`, and any others beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from memoryd.foundation.findings import Finding
from memoryd.plugin_api.facts import Carrier, Completeness, Reading
from memoryd.plugin_api.png import SIGNATURE, read_png


class ComfyuiPng:
    """Reads PNG and APNG. What a file without ComfyUI's texts says is read as well: size, and texts under their keys."""

    name = "comfyui_png"
    version = "1"

    def sniff(self, head: bytes) -> bool:
        """Tell by the signature."""
        return head.startswith(SIGNATURE)

    def completeness(self, stream: BinaryIO) -> Completeness:
        """Tell by the chunks, to IEND."""
        return read_png(stream, texts=False).completeness

    def read(self, stream: BinaryIO) -> Reading:
        """Return size, frames and all texts; `prompt` and `workflow` are the first of their key that hold an object."""
        png = read_png(stream)
        findings = list(png.findings)
        return Reading(
            plugin=self.name,
            version=self.version,
            media_type="image/png" if png.frames is None else "image/apng",
            width=png.header.width if png.header else None,
            height=png.header.height if png.header else None,
            frames=png.frames,
            carriers=png.texts,
            prompt=_graph_under(png.texts, "prompt", findings),
            workflow=_graph_under(png.texts, "workflow", findings),
            findings=tuple(findings),
        )


def _graph_under(texts: Sequence[Carrier], key: str, findings: list[Finding]) -> int | None:
    # Other programs use the key `prompt` for plain text: only an object (or one inside a JSON string) can be a graph.
    under = [index for index, text in enumerate(texts) if text.key == key]
    graphs = [index for index in under if texts[index].raw.lstrip(b'\xef\xbb\xbf \t\r\n"')[:1] == b"{"]
    if len(under) > 1:
        findings.append(
            Finding(code="key-twice", detail=f"{len(under)} texts have the key: the first counts", where=key)
        )
    if under and not graphs:
        findings.append(Finding(code="not-a-graph", detail="the text is no JSON object", where=key))
    return graphs[0] if graphs else None


plugin = ComfyuiPng()
