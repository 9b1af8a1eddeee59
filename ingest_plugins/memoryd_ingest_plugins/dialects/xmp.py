"""Properties of an XMP packet, found without an XML parser: a packet from a stranger must not resolve entities."""

from __future__ import annotations

import html
import re

from memoryd.plugin_api.facts import FileTexts
from memoryd_ingest_plugins.dialects.spoken import words_of

PACKET_LIMIT = 2_000_000
"""Characters of a packet that are read."""

_ATTRIBUTES_LIMIT = 2_000
"""Characters between an element's name and the end of its tag."""

_TAGS = re.compile(r"<[^<>]*>")
_ITEM = re.compile(rf"<rdf:li\b[^<>]{{0,{_ATTRIBUTES_LIMIT}}}>")


def packets_of(file: FileTexts) -> list[tuple[int, str]]:
    """Return index and text of the file's XMP packets."""
    return [
        (index, words_of(carrier)[:PACKET_LIMIT])
        for index, carrier in enumerate(file.carriers)
        if carrier.place.endswith(":xmp") or carrier.key == "XML:com.adobe.xmp"
    ]


def property_of(packet: str, name: str) -> str | None:
    """Return a property's value by its local name (`CreatorTool`): attribute or element, the first item of a list."""
    attribute = re.search(rf":{name}\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", packet)
    if attribute is not None:
        return html.unescape(attribute[1] if attribute[1] is not None else attribute[2])
    opening = re.search(rf"<([\w.-]{{1,60}}:{name})\b([^>]{{0,{_ATTRIBUTES_LIMIT}}})>", packet)
    if opening is None or opening[2].endswith("/"):
        resource = re.search(r"rdf:resource\s*=\s*\"([^\"]*)\"", opening[2]) if opening is not None else None
        return html.unescape(resource[1]) if resource is not None else None
    end = packet.find(f"</{opening[1]}>", opening.end())
    if end < 0:
        return None
    return html.unescape(_TAGS.sub("", _first_item(packet[opening.end() : end]))).strip()


def _first_item(body: str) -> str:
    """What stands in the first item of a list, the whole body where there is none."""
    begin = _ITEM.search(body)
    end = body.find("</rdf:li>", begin.end()) if begin is not None else -1
    return body if begin is None or end < 0 else body[begin.end() : end]
