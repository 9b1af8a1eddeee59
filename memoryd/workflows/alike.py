"""Documents that are alike in everything but their seeds and prompts: read once, and remembered with places to fill in.

A person's pictures of one evening differ in little else. What their graph is, and what it says of the making, is then
known from those that came before; only seeds and texts are put in. A value is filled in only where reading is blind to
what it is: texts that name a LoRA or an embedding, numbers small enough to choose a branch and the like are read anew.

That it is blind is not believed but tried: every template is read with two very different fillings, and is kept only
where what was read of the one, filled like the other, is what was read of the other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import orjson

from memoryd.comfyui.specs import NodeSpecs
from memoryd.workflows.facts import Graph, Link, Node, Parameters, PromptUse, SamplerUse, Value
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.identity import spelled_nodes
from memoryd.workflows.literals import literal_behind
from memoryd.workflows.node_roles import names_media_file, names_model_file
from memoryd.workflows.node_shapes import shape_of
from memoryd.workflows.parameters import parameters_of_output
from memoryd.workflows.saving_output import SavingOutput, find_saving_output, name_kind, only_saving_output
from memoryd.workflows.spelling import Remembered, Spelled

REMEMBERED_DOCUMENTS = 256
"""Templates of each generation: about 60 KB each at 20 nodes."""

REMEMBERED_READINGS = 8
"""Ways in which one template is read: by saving nodes, and by specifications."""

DOCUMENT_LIMIT = 200_000
"""Bytes of a document that is remembered. Of 1,206 real files 3 have a larger one."""

PLACES_LIMIT = 64
"""Places to fill in one document."""

TEXT_LIMIT = 4_000
"""Characters of a text that is filled in; longer ones are read anew, since there are limits to what texts hold together."""

SHORTEST_TEXT = 22
"""Characters of a text that is filled in: shorter ones may be names or choices."""

_PLACE = re.compile(
    rb'("(?:seed|noise_seed|text|text_g|text_l|clip_l|clip_g|t5xxl|prompt|positive_prompt|negative_prompt|positive|negative'
    rb'|string|value)": ?)([1-9][0-9]{6,19}(?=[,}\s])|"(?=(?:[^"\\]|\\.){22})[^"\\<\x00-\x1f]*+(?:\\.[^"\\<\x00-\x1f]*+)*+")'
)
"""A literal that may be filled in, after its name. Inside a JSON string every quote has a backslash before it: nothing there
is like this, and to put another literal of the same kind in its place changes that literal and nothing else."""

_SEED_LIMIT = 2**64 - 1
_LETTERS = re.compile(r"[^\W\d_]{3}")

Literal: TypeAlias = "int | str"


def _is_blind(value: Literal) -> bool:
    """Tell whether every reader takes this value for no more than a large seed, or prose."""
    if isinstance(value, int):
        return value <= _SEED_LIMIT
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


def _trial(number: int, count: int) -> list[tuple[int, str]]:
    """A seed and a text for each place, for one of the two trials: short and small, or as long and large as may be."""
    if number == 0:
        return [(7_340_033 + place, f"filled in for trial {_letters(place)}") for place in range(count)]
    whole = [f"{_letters(place)} 1, (filled: in)\nfor \u4e2d trial.\\ " for place in range(count)]
    return [
        (_SEED_LIMIT - place, (text * (TEXT_LIMIT // len(text) + 1))[:TEXT_LIMIT]) for place, text in enumerate(whole)
    ]


def _letters(number: int) -> str:
    return f"{chr(97 + number // 26)}{chr(97 + number % 26)}q"


@dataclasses.dataclass(frozen=True, slots=True)
class _Reading:
    """What was read of a template's graph: None where the values have a say in it."""

    specs: NodeSpecs | None
    filled: Parameters | None


class Template:
    """A document's graph, with places to fill in."""

    __slots__ = ("_alone", "_changing", "_places", "_readings", "_spelled", "_trials")

    def __init__(self, trials: Sequence[tuple[Graph, Sequence[Literal]]], places: Sequence[tuple[str, str]]) -> None:
        """`trials` are two fillings and what was read of them; `places` are (node, input), in the document's order."""
        self._trials = tuple(trials)
        self._places = tuple(places)
        self._spelled = spelled_nodes(trials[0][0])
        order = {id_: index for index, id_ in enumerate(trials[0][0].nodes)}
        changing: dict[str, list[tuple[int, str]]] = {}
        for id_, name in places:
            changing.setdefault(id_, []).append((self._spelled[order[id_]].place_of(name), name))
        self._changing = tuple([(order[id_], id_, tuple(where)) for id_, where in changing.items()])
        self._readings: dict[tuple[int, SavingOutput | None], _Reading] = {}
        self._alone: dict[tuple[bool, str | None, int], tuple[NodeSpecs | None, SavingOutput | None]] = {}

    def graph(self, values: Sequence[Literal]) -> Graph:
        """Return the graph with these values."""
        nodes = dict(self._trials[0][0].nodes)
        inputs: dict[str, dict[str, Value]] = {}
        for (id_, name), value in zip(self._places, values, strict=True):
            own = inputs.get(id_)
            if own is None:
                own = inputs[id_] = dict(nodes[id_].inputs)
            own[name] = value
        for id_, own in inputs.items():
            node = nodes[id_]
            nodes[id_] = Node(
                id=id_, class_type=node.class_type, inputs=own, title=node.title, is_changed=node.is_changed
            )
        return Graph(nodes=nodes)

    def nodes(self, graph: Graph) -> list[Spelled]:
        """Return what `spelled_nodes` gives of a graph that `graph` gave."""
        nodes = self._spelled.copy()
        for index, id_, where in self._changing:
            nodes[index] = nodes[index].refilled(graph.nodes[id_], where)
        return nodes

    def parameters(
        self, graph: Graph, values: Sequence[Literal], filename: str | None, specs: NodeSpecs | None
    ) -> Parameters:
        """Return what `read_parameters` does of the graph with these values."""
        saving = self._saving(graph, filename, specs)
        key = (id(specs), saving)
        known = self._readings.get(key)
        if known is None or known.specs is not specs:
            if len(self._readings) >= REMEMBERED_READINGS:
                self._readings.clear()
            known = self._readings[key] = self._read(saving, specs)
        if known.filled is None:
            return parameters_of_output(graph, saving, specs=specs)
        return _filled(known.filled, self._trials[0][1], values)

    def _saving(self, graph: Graph, filename: str | None, specs: NodeSpecs | None) -> SavingOutput | None:
        key = (*name_kind(filename), id(specs))
        known = self._alone.get(key)
        if known is None or known[0] is not specs:
            if len(self._alone) >= REMEMBERED_READINGS:
                self._alone.clear()
            known = self._alone[key] = (specs, only_saving_output(graph, filename, specs))
        return known[1] if known[1] is not None else find_saving_output(graph, filename, specs)

    def _read(self, saving: SavingOutput | None, specs: NodeSpecs | None) -> _Reading:
        (first, some), (second, others) = self._trials
        told = parameters_of_output(first, saving, specs=specs)
        is_blind = not self._is_chosen(first, specs) and _filled(told, some, others) == parameters_of_output(
            second, saving, specs=specs
        )
        return _Reading(specs, told if is_blind else None)

    def _is_chosen(self, graph: Graph, specs: NodeSpecs | None) -> bool:
        """Tell whether one of the values chooses a branch, or is one of those that a server offers."""
        values = self._trials[0][1]
        for node in graph.nodes.values():
            switch = shape_of(node.class_type, tuple(node.inputs)).switch
            if switch is not None and switch.selector is not None:
                selected = literal_behind(graph, node.inputs.get(switch.selector))
                if isinstance(selected, (int, str)) and selected in values:
                    return True
        if specs is None:
            return False
        inputs = ((specs.inputs(graph.nodes[id_].class_type).get(name)) for id_, name in self._places)
        return any(spec is not None and spec.options for spec in inputs)


def _filled(told: Parameters, were: Sequence[Literal], values: Sequence[Literal]) -> Parameters:
    """The same with these values in place of those that it was read with."""
    put = dict(zip(were, values, strict=True))
    return Parameters(
        node=told.node,
        certain=told.certain,
        samplers=tuple([_sampler(use, put) for use in told.samplers]),
        prompts=tuple([_prompt(use, put) for use in told.prompts]),
        models=told.models,
        inputs=told.inputs,
        width=told.width,
        height=told.height,
        generates=told.generates,
        tool=told.tool,
        tool_version=told.tool_version,
        settings=told.settings,
        findings=told.findings,
        rest_of_run=None if told.rest_of_run is None else _filled(told.rest_of_run, were, values),
    )


def _sampler(use: SamplerUse, put: Mapping[Literal, Literal]) -> SamplerUse:
    seed = None if use.seed is None else put.get(use.seed)
    if not isinstance(seed, int):
        return use
    return SamplerUse(
        node=use.node,
        class_type=use.class_type,
        seed=seed,
        steps=use.steps,
        cfg=use.cfg,
        sampler=use.sampler,
        scheduler=use.scheduler,
        denoise=use.denoise,
        source=use.source,
        confidence=use.confidence,
        final=use.final,
    )


def _prompt(use: PromptUse, put: Mapping[Literal, Literal]) -> PromptUse:
    text = put.get(use.text)
    if not isinstance(text, str):
        text = use.text
        for was, value in put.items():
            if isinstance(was, str) and isinstance(value, str) and was in text:
                # Joined from several: each of the trial's texts stands there once for each time it was joined.
                text = text.replace(was, value)
        if text is use.text:
            return use
    return PromptUse(
        node=use.node,
        input=use.input,
        polarity=use.polarity,
        text=text,
        is_template=use.is_template,
        source=use.source,
        confidence=use.confidence,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class AlikeGraph:
    """A graph that is known but for the values of its places."""

    graph: Graph
    template: Template
    values: tuple[Literal, ...]

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


def find_alike(raw: bytes) -> AlikeGraph | None:
    """Return the graph of a prompt document if others like it were read before, None where it is to be parsed.

    Where it is found, `parse_graph` gives an equal graph, and no findings.
    """
    if len(raw) > DOCUMENT_LIMIT or not raw.isascii() or b"\0" in raw:
        return None
    pieces = _PLACE.split(raw)
    if not 4 <= len(pieces) <= 3 * PLACES_LIMIT + 1:
        return None
    try:
        values = tuple([_value(token) for token in pieces[2::3]])
    except orjson.JSONDecodeError:
        return None
    if not all(map(_is_blind, values)):
        return None
    # What is kept holds no NUL: how many pieces there are, and where each begins, is part of the key.
    kinds = bytes([b"st"[isinstance(value, str)] for value in values])
    kept = b"\0".join([*pieces[::3], *pieces[1::3], kinds])
    key = hashlib.sha256(kept).digest()
    known = _documents.get(key)
    if known is None:
        _documents.keep(key, _SEEN)
        return None
    if known is _SEEN:
        known = _documents.keep(key, _template(pieces, values) or _UNLIKE)
    if isinstance(known, str):
        return None
    return AlikeGraph(known.graph(values), known, values)


def _value(token: bytes) -> Literal:
    value: Literal = orjson.loads(token) if token[:1] == b'"' else int(token)
    return value


def _template(pieces: Sequence[bytes], values: Sequence[Literal]) -> Template | None:
    """The template of a document, None where it is not surely the same for all values."""
    trials: list[tuple[Graph, list[Literal]]] = []
    places: list[tuple[str, str] | None] = []
    for number in range(2):
        filling: list[Literal] = [
            text if isinstance(value, str) else seed
            for (seed, text), value in zip(_trial(number, len(values)), values, strict=True)
        ]
        written = list(pieces)
        written[2::3] = map(orjson.dumps, filling)
        graph, findings = parse_graph(b"".join(written))
        if graph is None or findings:
            return None
        found = [_places_of(graph, value) for value in filling]
        trials.append((graph, filling))
        if any(len(where) != 1 for where in found) or (places and places != [where[0] for where in found]):
            return None
        places = [where[0] for where in found]
    sure = [place for place in places if place is not None]
    template = Template(trials, sure)
    (_, _), (second, others) = trials
    return template if template.graph(others) == second else None


def _places_of(graph: Graph, value: Literal) -> list[tuple[str, str] | None]:
    return [
        (id_, name)
        for id_, node in graph.nodes.items()
        for name, given in node.inputs.items()
        if not isinstance(given, Link) and type(given) is type(value) and given == value
    ]
