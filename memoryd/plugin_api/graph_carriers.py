"""Which of a file's texts are ComfyUI's graphs, whatever the container and the slot that carry them.

Source: ComfyUI's own savers, and those of the node packs met in 1,206 files: keys `prompt` and `workflow` in any case, a
word before the JSON in an EXIF tag, a graph alone in a comment, one comment that holds both.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from memoryd.foundation.findings import Finding
from memoryd.plugin_api.facts import Carrier
from memoryd.plugin_api.json_parts import members, string_of
from memoryd.plugin_api.texts import text_of

MEMBERS_TRIED = 64
"""Members of an object by which it is told whether it is a graph."""

LOOKED_INTO_LIMIT = 5 * 2**20
"""Bytes of a file's texts that are looked into for graphs that no key names; a comment in UTF-16 has two a letter."""

_WORD = re.compile(r"(prompt|workflow)\s*:\s*[{\"]", re.IGNORECASE)
_GRAPHS = ("prompt", "workflow")
_BEFORE_JSON = b'\xef\xbb\xbf \t\r\n"'
_NO_GRAPHS = frozenset(("XML:com.adobe.xmp", "parameters"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FoundGraphs:
    """A file's texts with those that were cut out of others, and where the graphs are, by index."""

    carriers: tuple[Carrier, ...]
    prompt: int | None = None
    workflow: int | None = None
    findings: tuple[Finding, ...] = ()


def find_graphs(carriers: Sequence[Carrier]) -> FoundGraphs:
    """Return where the executed and the editor's graph are. The first that can be one counts.

    A text that holds both (`{"prompt": …, "workflow": …}`) is kept, and each graph becomes a text of its own after all
    others, at `<container>:comment`.
    """
    found: dict[str, int] = {}
    findings: list[Finding] = []
    texts = list(carriers)
    for word in _GRAPHS:
        named = [index for index, carrier in enumerate(texts) if carrier.key.lower() == word]
        if named:
            _choose(word, texts, named, found, findings)
    if len(found) < len(_GRAPHS):
        room = LOOKED_INTO_LIMIT
        for index, carrier in enumerate(carriers):
            if carrier.key.lower() not in _GRAPHS and carrier.key not in _NO_GRAPHS and len(carrier.raw) <= room:
                room -= len(carrier.raw)
                _look_into(index, carrier, texts, found)
    return FoundGraphs(
        carriers=tuple(texts),
        prompt=found.get("prompt"),
        workflow=found.get("workflow"),
        findings=tuple(findings),
    )


def _choose(word: str, texts: list[Carrier], named: list[int], found: dict[str, int], findings: list[Finding]) -> None:
    # Other programs use the key `prompt` for plain text: only an object (or one inside a JSON string) can be a graph.
    graphs = [index for index in named if texts[index].raw.lstrip(_BEFORE_JSON)[:1] == b"{"]
    if len(named) > 1:
        findings.append(
            Finding(code="key-twice", detail=f"{len(named)} texts have the key: the first counts", where=word)
        )
    if graphs:
        found[word] = graphs[0]
    else:
        findings.append(Finding(code="not-a-graph", detail="the text is no JSON object", where=word))


def _look_into(index: int, carrier: Carrier, texts: list[Carrier], found: dict[str, int]) -> None:
    """Take in a text whose key does not name it as a graph."""
    if b"{" not in carrier.raw[:40]:
        return
    text = text_of(carrier).strip("\ufeff \t\r\n")
    word = _WORD.match(text)
    if word is not None:
        found.setdefault(word.group(1).lower(), index)
        return
    if text[:1] == '"':
        text = string_of(text) or ""
    if text[:1] != "{" or ('"class_type"' not in text and '"nodes"' not in text and "class_type\\" not in text):
        return
    parts: dict[str, str] = {}
    for number, (key, value) in enumerate(members(text)):
        if number == MEMBERS_TRIED:
            break
        if value[:1] == "{" and '"class_type"' in value and key not in _GRAPHS and _is_node(value):
            found.setdefault("prompt", index)
            return
        if key == "nodes" and value[:1] == "[" and "links" in text:
            found.setdefault("workflow", index)
            return
        if key.lower() in _GRAPHS:
            parts.setdefault(key.lower(), value)
    container = carrier.place.partition(":")[0]
    for key, value in parts.items():
        inner = string_of(value) if value[:1] == '"' else value
        if key not in found and inner is not None and inner.lstrip()[:1] == "{":
            found[key] = len(texts)
            texts.append(Carrier(place=f"{container}:comment", key=key, raw=inner.encode("utf-8", "replace")))


def _is_node(value: str) -> bool:
    return any(key == "class_type" for key, _ in members(value))
