"""Properties of an XMP packet, found without an XML parser: a packet from a stranger must not resolve entities."""

from __future__ import annotations

import html
import re

from memoryd.plugin_api.facts import FileTexts
from memoryd_ingest_plugins.dialects.spoken import words_of

PACKET_LIMIT = 2_000_000
"""Characters of a packet that are read."""

_TAGS = re.compile(r"<[^>]*>")
_ITEM = re.compile(r"<rdf:li\b[^>]*>(.*?)</rdf:li>", re.DOTALL)


def packets_of(file: FileTexts) -> list[tuple[int, str]]:
    """Return index and text of the file's XMP packets."""
    return [
        (index, words_of(carrier)[:PACKET_LIMIT])
        for index, carrier in enumerate(file.carriers)
        if carrier.place.endswith(":xmp") or carrier.key == "XML:com.adobe.xmp"
    ]


def property_of(packet: str, name: str) -> str | None:
    """Return a property's value by its local name (`CreatorTool`): attribute or element, the first item of a list."""
    attribute = re.search(rf"[\w.-]+:{name}\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", packet)
    if attribute is not None:
        return html.unescape(attribute[1] if attribute[1] is not None else attribute[2])
    opening = re.search(rf"<([\w.-]+:{name})\b([^>]*)>", packet)
    if opening is None or opening[2].endswith("/"):
        resource = re.search(r"rdf:resource\s*=\s*\"([^\"]*)\"", opening[2]) if opening is not None else None
        return html.unescape(resource[1]) if resource is not None else None
    end = packet.find(f"</{opening[1]}>", opening.end())
    if end < 0:
        return None
    body = packet[opening.end() : end]
    item = _ITEM.search(body)
    return html.unescape(_TAGS.sub("", item[1] if item is not None else body)).strip()
