"""From the bytes of a prompt document to a graph. Whatever is in the bytes, the answer is a graph or a finding.

Source for the grammar: ComfyUI 0.29, comfy_execution/graph.py (a link is a list of two: a node's id and a slot).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Container, Mapping

import orjson

from memoryd.foundation.canonical_json import JSON_DEPTH_LIMIT, Json, JsonTooDeep, NotCanonical, NotJson, read_json
from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.workflows.facts import Graph, Link, Node, Value
from memoryd.workflows.identity import spelled_nodes
from memoryd.workflows.spelling import REMEMBERED_NODES, Remembered
from memoryd.workflows.topology import topology

DOCUMENT_LIMIT = 32 * 1024 * 1024
"""Bytes of a prompt document: as much as a format plugin hands out for one text."""

NODES_LIMIT = 20_000
"""Nodes of one graph. The largest of 1,206 real files has below 1,000."""

FINDINGS_LIMIT = 20
"""Findings about single values of one graph; more of the same say nothing new."""

_MAY_BE_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|\xed[\xa0-\xbf]")
"""Escapes (or raw bytes) of which a NUL or a lone surrogate can come; a pair of surrogates looks the same here."""

REMEMBERED_NODE_BYTES = 4_096
"""A node is remembered up to this length: longer ones hold a text of their own and do not come again."""


@functools.lru_cache(REMEMBERED_NODES)
def _link(node: str, slot: int) -> Link:
    return Link(node=node, slot=slot)


@dataclasses.dataclass(slots=True)
class _Reader:
    """One document's reading."""

    clean_texts: bool
    findings: list[Finding] = dataclasses.field(default_factory=list)

    def find(self, code: str, detail: str, where: str = "") -> None:
        if len(self.findings) < FINDINGS_LIMIT:
            self.findings.append(Finding(code=code, detail=detail, where=where))

    def text(self, text: str, where: str) -> str:
        if not self.clean_texts:
            return text
        clean, replaced = storable(text)
        if replaced:
            self.find(
                "text-not-storable", "NUL or lone surrogates in a text were replaced by U+FFFD", storable(where)[0]
            )
        return clean

    def literal(self, value: Json, where: str, depth: int = 0) -> Json:
        if isinstance(value, str):
            return self.text(value, where)
        if isinstance(value, float) and not math.isfinite(value):
            self.find("not-a-number", "NaN or infinity where a value must be: taken as no value", where)
            return None
        if isinstance(value, (list, dict)):
            if depth >= JSON_DEPTH_LIMIT:
                raise JsonTooDeep(f"nested deeper than {JSON_DEPTH_LIMIT} levels (JSON_DEPTH_LIMIT)")
            if isinstance(value, list):
                return [self.literal(item, where, depth + 1) for item in value]
            return {self.text(name, where): self.literal(item, where, depth + 1) for name, item in value.items()}
        return value

    def value(self, value: Json, ids: Container[object], id_: str, name: str) -> Value:
        kind = type(value)
        if kind is int or kind is bool or (kind is str and not self.clean_texts):
            return value
        where = f"{id_}.{name}"
        if isinstance(value, list) and len(value) == 2:
            source, slot = value
            if isinstance(source, str) and type(slot) is int and source in ids:
                return _link(self.text(source, where), slot)
        if isinstance(value, dict) and "__value__" in value:
            # ComfyUI's way to say: a literal, although it looks like a link.
            return self.literal(value["__value__"], where)
        return self.literal(value, where)

    def node(self, id_: str, raw: Mapping[str, Json], ids: Container[object]) -> Node | None:
        class_type, inputs, meta = raw.get("class_type"), raw.get("inputs", {}), raw.get("_meta")
        if not isinstance(class_type, str) or not isinstance(inputs, dict):
            return None
        title = meta.get("title") if isinstance(meta, dict) else None
        if not self.clean_texts and "is_changed" not in raw and (plain := _plain_inputs(inputs, ids)) is not None:
            return Node(id=id_, class_type=class_type, inputs=plain, title=title if isinstance(title, str) else None)
        clean_id = self.text(id_, "node")
        changed = raw.get("is_changed")
        return Node(
            id=clean_id,
            class_type=self.text(class_type, clean_id),
            inputs={self.text(name, clean_id): self.value(v, ids, clean_id, name) for name, v in inputs.items()},
            title=self.text(title, clean_id) if isinstance(title, str) else None,
            # NaN here is ComfyUI's ordinary way to say "run me again each time": no finding.
            is_changed=_Reader(clean_texts=self.clean_texts).literal(changed, clean_id)
            if changed is not None
            else None,
        )


def _plain_inputs(inputs: Mapping[str, Json], ids: Container[object]) -> dict[str, Value] | None:
    """What `_Reader.value` makes of each of the inputs; None where one is not as plain as most are."""
    plain: dict[str, Value] = {}
    for name, value in inputs.items():
        kind = type(value)
        if kind is str or kind is int or kind is bool or (kind is float and math.isfinite(value)):  # type: ignore[arg-type]
            plain[name] = value
        elif isinstance(value, list) and len(value) == 2:
            source, slot = value
            if not isinstance(source, str) or type(slot) is not int or source not in ids:
                return None
            plain[name] = _link(source, slot)
        else:
            return None
    return plain


def parse_graph(raw: bytes) -> tuple[Graph | None, tuple[Finding, ...]]:
    """Return the graph of a prompt document (API format), or None with the findings that say why there is none.

    Numbers keep all digits. A list is a link only if it is exactly an existing node's id and an int. `is_changed` is
    kept apart from the inputs. Without a graph: beyond DOCUMENT_LIMIT, NODES_LIMIT or JSON_DEPTH_LIMIT; not JSON;
    an editor's graph; no node in it; an output that depends on itself. NaN and infinities are no value, NUL and
    lone surrogates U+FFFD, and a member that is no node is left out: each with a finding beside the graph.
    """
    if len(raw) > DOCUMENT_LIMIT:
        return None, (Finding(code="document-too-large", detail=f"{len(raw)} bytes are beyond DOCUMENT_LIMIT"),)
    reader = _Reader(
        clean_texts=(b"\\u" in raw or b"\xed" in raw) and _MAY_BE_UNSTORABLE.search(raw) is not None,
    )
    try:
        graph = _graph(reader, _document(reader, raw))
    except JsonTooDeep as error:
        reader.find("nested-too-deeply", error.detail)
        graph = None
    except NotJson as error:
        reader.find("not-json", storable(error.detail)[0])
        graph = None
    return graph, tuple(reader.findings)


_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_OVERWRITTEN = re.compile("|".join(f'(?<="){"class_type"[:at]}\x00{"class_type"[at + 1 :]}(?=")' for at in range(10)))
"""The word that makes a node one, with a byte of it overwritten."""


def _document(reader: _Reader, raw: bytes) -> Json:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        # The PNG specification says latin-1 for these texts; every byte is a character there.
        text = raw.decode("latin-1")
    try:
        value = read_json(text)
    except NotJson:
        whole = _CONTROL.sub("\ufffd", _OVERWRITTEN.sub("class_type", text))
        if whole == text:
            raise
        # A byte of it was overwritten by some program: the rest still says what was executed.
        reader.find("text-not-storable", "control characters in the document were replaced by U+FFFD")
        value = read_json(whole)
    return read_json(value) if isinstance(value, str) else value


def _graph(reader: _Reader, document: Json) -> Graph | None:
    if not isinstance(document, dict):
        reader.find("not-a-graph", "the document is no JSON object")
        return None
    if isinstance(document.get("nodes"), list) and "links" in document:
        reader.find("editor-graph", "this is the editor's graph: what was drawn, not what was executed")
        return None
    if len(document) > NODES_LIMIT:
        reader.find("too-many-nodes", f"{len(document)} nodes are beyond {NODES_LIMIT} (NODES_LIMIT)")
        return None
    ids = {
        id_
        for id_, member in document.items()
        if isinstance(member, dict) and isinstance(member.get("class_type"), str)
    }
    nodes: dict[str, Node] = {}
    for id_, member in document.items():
        node = _node(reader, id_, member, ids) if isinstance(member, dict) and id_ in ids else None
        if node is None:
            reader.find("not-a-node", "a member without class and inputs is left out", storable(id_[:100])[0])
        else:
            nodes[node.id] = node
    if not nodes:
        reader.find("not-a-graph", "the document holds no node")
        return None
    graph = Graph(nodes=nodes)
    try:
        shape = topology(graph, spelled_nodes(graph))
    except NotCanonical as error:
        reader.find("not-a-graph", error.detail)
        return None
    if shape.cyclic:
        reader.find("graph-has-cycle", "an output depends on itself: ComfyUI cannot have executed this")
        return None
    return graph


_nodes: Remembered[tuple[str, bytes], tuple[Node, tuple[str, ...], tuple[str, ...]]] = Remembered(REMEMBERED_NODES)
"""By id and text: the node, the ids it takes from, and those it would take from if they were there."""


def _node(reader: _Reader, id_: str, member: dict[str, Json], ids: set[str]) -> Node | None:
    if reader.clean_texts:
        return reader.node(id_, member, ids)
    try:
        key = (id_, orjson.dumps(member))
    except TypeError:
        # An integer beyond 64 bits, or nested too deeply for the fast writer.
        return reader.node(id_, member, ids)
    if b"null" in key[1]:
        # What is no number is written so too.
        return reader.node(id_, member, ids)
    known = _nodes.get(key)
    if known is not None and ids.issuperset(known[1]) and ids.isdisjoint(known[2]):
        return known[0]
    if len(key[1]) > REMEMBERED_NODE_BYTES:
        return reader.node(id_, member, ids)
    findings = len(reader.findings)
    node = reader.node(id_, member, ids)
    if node is not None and len(reader.findings) == findings:
        taken = tuple([value.node for value in node.inputs.values() if isinstance(value, Link)])
        missed = tuple([found for value in node.inputs.values() if (found := _might_link_to(value)) is not None])
        _nodes.keep(key, (node, taken, missed))
    return node


def _might_link_to(value: Value) -> str | None:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int:
        return value[0]
    return None
