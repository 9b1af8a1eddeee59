"""Documents that are alike in everything but their seeds and prompts: read once, and remembered with places to fill in.

A person's pictures of one evening differ in little else. What their graph is, and what it says of the making, is then
known from those that came before; only seeds and texts are put in. A value is filled in only where reading is blind to
what it is: texts that name a LoRA or an embedding, numbers small enough to choose a branch and the like are read anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import orjson

from memoryd.comfyui.specs import NodeSpecs
from memoryd.workflows.facts import Graph, Link, Parameters
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.node_roles import names_media_file, names_model_file
from memoryd.workflows.spelling import Remembered, Spelled
from memoryd.workflows.templates import SEED_LIMIT, TEXT_LIMIT, TOKEN, Literal, Template, token_of, trial

REMEMBERED_DOCUMENTS = 256
"""Templates of each generation: about 100 KB each at 20 nodes."""

DOCUMENT_LIMIT = 200_000
"""Bytes of a document that is remembered. Of 1,206 real files 3 have a larger one."""

PLACES_LIMIT = 64
"""Places to fill in one document."""

SHORTEST_TEXT = 22
"""Characters of a text that is filled in: shorter ones may be names or choices."""

ENDS = 64
"""Bytes of a document's beginning and end by which its likely templates are found."""

REMEMBERED_ENDS = 64
"""Ends that are remembered, with TRIED_LIMIT templates each: more templates than the memory of documents holds are never
kept by this."""

TRIED_LIMIT = 4
"""Templates with the same ends that are tried: the last ones that were met."""

REMEMBERED_TEXTS = 512
"""Texts of which it is remembered whether reading is blind to them: about 5 KB each at most."""

_PLACE = re.compile(
    rb'("(?:seed|noise_seed|text|text_g|text_l|clip_l|clip_g|t5xxl|prompt|positive_prompt|negative_prompt|positive|negative'
    rb'|string|value)": ?)(' + TOKEN.pattern + b")"
)
"""A literal that may be filled in, after its name. Inside a JSON string every quote has a backslash before it: nothing there
is like this, and to put another literal of the same kind in its place changes that literal and nothing else."""

_LETTERS = re.compile(r"[^\W\d_]{3}")


def _is_blind(value: Literal) -> bool:
    """Tell whether every reader takes this value for no more than a large seed, or prose."""
    if isinstance(value, int):
        return value <= SEED_LIMIT
    bare = value.strip()
    return (
        len(bare) >= SHORTEST_TEXT
        and len(value) <= TEXT_LIMIT
        and "<" not in value
        and "\x00" not in value
        and "embedding:" not in value.lower()
        and _LETTERS.search(value) is not None
        and not names_model_file(value)
        and not names_media_file(value)
    )


class AlikeGraph:
    """A graph that is known but for the values of its places; `tokens` are these as written."""

    __slots__ = ("_graph", "template", "tokens", "values")

    def __init__(self, template: Template, tokens: Sequence[bytes], values: tuple[Literal, ...]) -> None:
        """As `find_alike` found them."""
        self.template = template
        self.tokens = tokens
        self.values = values
        self._graph: Graph | None = None

    @property
    def graph(self) -> Graph:
        """What `parse_graph` gives."""
        if self._graph is None:
            self._graph = self.template.graph(self.values)
        return self._graph

    @property
    def nodes(self) -> list[Spelled]:
        """What `spelled_nodes` gives of this graph."""
        return self.template.nodes(self.graph)

    def parameters(self, filename: str | None, specs: NodeSpecs | None) -> Parameters:
        """Return what `read_parameters` does of this graph."""
        return self.template.parameters(self.graph, self.values, filename, specs)


_SEEN, _UNLIKE = "seen", "unlike"
_documents: Remembered[bytes, Template | str] = Remembered(REMEMBERED_DOCUMENTS)
"""By all of a document but what is filled in: its template once it came twice; _UNLIKE where it has none."""

_by_ends: Remembered[tuple[bytes, bytes], tuple[Template, ...]] = Remembered(REMEMBERED_ENDS)
_texts: Remembered[bytes, str] = Remembered(REMEMBERED_TEXTS)
"""By the text as written: those that reading is blind to."""

_last: tuple[bytes, AlikeGraph | None] = (b"", None)
"""The very document that was asked for last: who asks twice about one file gets one answer."""


def find_alike(raw: bytes) -> AlikeGraph | None:
    """Return the graph of a prompt document if others like it were read before, None where it is to be parsed.

    Where it is found, `parse_graph` gives an equal graph, and no findings.
    """
    global _last
    asked, answer = _last
    if asked is not raw:
        answer = _find(raw)
        _last = (raw, answer)
    return answer


def _find(raw: bytes) -> AlikeGraph | None:
    if len(raw) > DOCUMENT_LIMIT or not raw.isascii() or b"\0" in raw:
        return None
    # What splitting it gives, at a fifth of the price: up to each place a document that is a template's is that template.
    ends = (raw[:ENDS], raw[-ENDS:])
    likely = _by_ends.get(ends) or ()
    for number, template in enumerate(likely):
        tokens = template.tokens(raw)
        if tokens is not None:
            if number:
                _by_ends.keep(ends, (template, *[other for other in likely if other is not template]))
            values = _values(tokens)
            return None if values is None else AlikeGraph(template, tokens, values)
    pieces = _PLACE.split(raw)
    if not 4 <= len(pieces) <= 3 * PLACES_LIMIT + 1:
        return None
    tokens = pieces[2::3]
    values = _values(tokens)
    if values is None:
        return None
    # What is kept holds no NUL: how many pieces there are, and where each begins, is part of the key.
    kinds = bytes([b"st"[isinstance(value, str)] for value in values])
    key = hashlib.sha256(b"\0".join([*pieces[::3], *pieces[1::3], kinds])).digest()
    known = _documents.get(key)
    if known is None:
        _documents.keep(key, _SEEN)
        return None
    if known is _SEEN:
        known = _documents.keep(key, _template(pieces, values) or _UNLIKE)
    if isinstance(known, str):
        return None
    _by_ends.keep(ends, (known, *[other for other in likely if other is not known])[:TRIED_LIMIT])
    return AlikeGraph(known, tokens, values)


def _values(tokens: Sequence[bytes]) -> tuple[Literal, ...] | None:
    """What the tokens say, None where reading is not blind to one of them."""
    values: list[Literal] = []
    for token in tokens:
        if token[:1] == b'"':
            text = _texts.get(token)
            if text is None:
                try:
                    text = orjson.loads(token)
                except orjson.JSONDecodeError:
                    return None
                if not _is_blind(text):
                    return None
                _texts.keep(token, text)
            values.append(text)
        else:
            seed = int(token)
            if not _is_blind(seed):
                return None
            values.append(seed)
    return tuple(values)


def _template(pieces: Sequence[bytes], values: Sequence[Literal]) -> Template | None:
    """The template of a document, None where it is not surely the same for all values."""
    trials: list[tuple[Graph, list[Literal]]] = []
    places: list[tuple[str, str] | None] = []
    for number in range(2):
        filling: list[Literal] = [
            text if isinstance(value, str) else seed
            for (seed, text), value in zip(trial(number, len(values)), values, strict=True)
        ]
        written = list(pieces)
        written[2::3] = map(token_of, filling)
        graph, findings = parse_graph(b"".join(written))
        if graph is None or findings:
            return None
        found = [_places_of(graph, value) for value in filling]
        trials.append((graph, filling))
        if any(len(where) != 1 for where in found) or (places and places != [where[0] for where in found]):
            return None
        places = [where[0] for where in found]
    sure = [place for place in places if place is not None]
    between = [before + name for before, name in zip(pieces[::3], pieces[1::3], strict=False)]
    template = Template(trials, sure, [*between, pieces[-1]])
    (_, _), (second, others) = trials
    return template if template.graph(others) == second else None


def _places_of(graph: Graph, value: Literal) -> list[tuple[str, str] | None]:
    return [
        (id_, name)
        for id_, node in graph.nodes.items()
        for name, given in node.inputs.items()
        if not isinstance(given, Link) and type(given) is type(value) and given == value
    ]
