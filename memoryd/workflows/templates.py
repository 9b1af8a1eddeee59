"""A prompt document with places to fill in: its graph, its rows and what it says of a making, for whatever stands there.

That reading is blind to what is filled in is not believed but tried: every template is read with two very different
fillings, and is kept only where what was read of the one, filled like the other, is what was read of the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from memoryd.comfyui.specs import NodeSpecs
from memoryd.workflows.facts import Graph, Node, Parameters, Polarity, PromptUse, SamplerUse, Value
from memoryd.workflows.graph_moulds import GraphMould
from memoryd.workflows.identity import spelled_nodes
from memoryd.workflows.literals import literal_behind
from memoryd.workflows.node_shapes import shape_of
from memoryd.workflows.parameters import parameters_of_output
from memoryd.workflows.saving_output import SavingOutput, find_saving_output, name_kind, only_saving_output
from memoryd.workflows.spelling import Spelled, quoted

REMEMBERED_READINGS = 8
"""Ways in which one template is read: by saving nodes, and by specifications."""

TEXT_LIMIT = 4_000
"""Characters of a text that is filled in; longer ones are read anew, since there are limits to what texts hold together."""

SEED_LIMIT = 2**64 - 1

Literal: TypeAlias = "int | str"

Parts: TypeAlias = "tuple[int | str, ...]"
"""A text that is filled in: what always stands there, and the numbers of the places between it."""

Trial: TypeAlias = "tuple[Graph, Sequence[Literal]]"
"""What was read of a filling, and the filling."""

TOKEN = re.compile(rb'[1-9][0-9]{6,19}(?=[,}\s])|"(?=(?:[^"\\]|\\.){22})[^"\\<\x00-\x1f]*+(?:\\.[^"\\<\x00-\x1f]*+)*+"')
"""A literal that may be filled in: a large number, or a text of 22 characters or more."""


def trial(number: int, count: int) -> list[tuple[int, str]]:
    """Return a seed and a text for each place, for one of the two trials: short and small, or as long and large as may be."""
    if number == 0:
        return [(7_340_033 + place, f"filled in for trial {_letters(place)}") for place in range(count)]
    whole = [f"{_letters(place)} 1, (filled: in)\nfor \u4e2d trial.\\ " for place in range(count)]
    return [
        (SEED_LIMIT - place, (text * (TEXT_LIMIT // len(text) + 1))[:TEXT_LIMIT]) for place, text in enumerate(whole)
    ]


def token_of(value: Literal) -> bytes:
    """Return how a literal is written in a document."""
    return (quoted(value) if isinstance(value, str) else str(value)).encode("ascii")


def _letters(number: int) -> str:
    return f"{chr(97 + number // 26)}{chr(97 + number % 26)}q"


class Told:
    """What a template's graph says of the making of the files that one node saved. `parameters` are of its first trial.

    `texts` are those of its prompts, in order. None of it where the values have a say in it.
    """

    __slots__ = ("parameters", "specs", "texts")

    def __init__(self, specs: NodeSpecs | None, parameters: Parameters | None, values: Sequence[Literal]) -> None:
        """`values` are those of the first trial."""
        self.specs = specs
        self.parameters = parameters
        self.texts: tuple[tuple[Polarity, Parts], ...] = (
            () if parameters is None else tuple([(use.polarity, parts(use.text, values)) for use in parameters.prompts])
        )


class Template:
    """A document's graph, with places to fill in"""

    __slots__ = (
        *("_alone", "_changing", "_kinds", "_mould", "_places", "_readings", "_spelled", "_trials"),
        *("_pieces", "classes"),
    )

    def __init__(self, trials: Sequence[Trial], places: Sequence[tuple[str, str]], pieces: Sequence[bytes]) -> None:
        """`trials` are two fillings and what was read of them; `places` are (node, input), in the document's order.

        `pieces` are what stands before, between and after them.
        """
        self._pieces = tuple(pieces)
        self._trials = tuple(trials)
        self._kinds = tuple([isinstance(value, str) for value in trials[0][1]])
        self._places = tuple(places)
        self._spelled = [*spelled_nodes(trials[0][0])]
        order = {id_: index for index, id_ in enumerate(trials[0][0].nodes)}
        changing: dict[str, list[tuple[int, str, int]]] = {}
        for number, (id_, name) in enumerate(places):
            changing.setdefault(id_, []).append((self._spelled[order[id_]].place_of(name), name, number))
        self._changing = tuple([(order[id_], id_, tuple(where)) for id_, where in changing.items()])
        self._readings: dict[tuple[int, SavingOutput | None], Told] = {}
        self._alone: dict[tuple[bool, str | None, int], tuple[NodeSpecs | None, SavingOutput | None]] = {}
        self._mould: GraphMould | str | None = "not tried"
        self.classes = frozenset(node.class_type for node in trials[0][0].nodes.values())

    def tokens(self, raw: bytes) -> list[bytes] | None:
        """Return what stands in the places of a document, None where it is none of this template's."""
        first, *others = self._pieces
        if not raw.startswith(first):
            return None
        at = len(first)
        found = []
        for piece, is_text in zip(others, self._kinds, strict=True):
            match = TOKEN.match(raw, at)
            if match is None or (raw[at] == 34) is not is_text:
                return None
            end = match.end()
            if not raw.startswith(piece, end):
                return None
            found.append(raw[at:end])
            at = end + len(piece)
        return found if at == len(raw) else None

    def trial_values(self, number: int) -> Sequence[Literal]:
        """Return what one of the two trials filled in."""
        return self._trials[number][1]

    def written(self, values: Sequence[Literal]) -> bytes:
        """Return the document with these values."""
        first, *others = self._pieces
        return first + b"".join([token_of(value) + piece for value, piece in zip(values, others, strict=True)])

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
            nodes[index] = nodes[index].refilled(graph.nodes[id_], [(at, name) for at, name, _ in where])
        return nodes

    @property
    def mould(self) -> GraphMould | None:
        """What makes rows of the graph with any values, None where they change more than what belongs to one run."""
        if isinstance(self._mould, str):
            changing = {index: [(at, number) for at, _, number in where] for index, _, where in self._changing}
            self._mould = GraphMould.of(self._trials[0][0], self._spelled, changing)
        return self._mould

    def parameters(
        self, graph: Graph, values: Sequence[Literal], filename: str | None, specs: NodeSpecs | None
    ) -> Parameters:
        """Return what `read_parameters` does of the graph with these values."""
        saving = self._saving(graph, filename, specs)
        told = self._told(saving, specs)
        if told.parameters is None:
            return parameters_of_output(graph, saving, specs=specs)
        return _filled(told.parameters, self._trials[0][1], values)

    def told(self, values: Sequence[Literal], filename: str | None, specs: NodeSpecs | None) -> Told | None:
        """Return what graphs of this template say of a file of this name, None where the values have a say in it."""
        known = self._alone.get((*name_kind(filename), id(specs)))
        if known is not None and known[0] is specs and known[1] is not None:
            saving: SavingOutput | None = known[1]
        else:
            saving = self._saving(self.graph(values), filename, specs)
        told = self._told(saving, specs)
        return None if told.parameters is None else told

    def _told(self, saving: SavingOutput | None, specs: NodeSpecs | None) -> Told:
        key = (id(specs), saving)
        known = self._readings.get(key)
        if known is None or known.specs is not specs:
            if len(self._readings) >= REMEMBERED_READINGS:
                self._readings.clear()
            known = self._readings[key] = self._read(saving, specs)
        return known

    def _saving(self, graph: Graph, filename: str | None, specs: NodeSpecs | None) -> SavingOutput | None:
        key = (*name_kind(filename), id(specs))
        known = self._alone.get(key)
        if known is None or known[0] is not specs:
            if len(self._alone) >= REMEMBERED_READINGS:
                self._alone.clear()
            known = self._alone[key] = (specs, only_saving_output(graph, filename, specs))
        return known[1] if known[1] is not None else find_saving_output(graph, filename, specs)

    def _read(self, saving: SavingOutput | None, specs: NodeSpecs | None) -> Told:
        (first, some), (second, others) = self._trials
        told = parameters_of_output(first, saving, specs=specs)
        is_blind = not self._is_chosen(first, specs) and _filled(told, some, others) == parameters_of_output(
            second, saving, specs=specs
        )
        return Told(specs, told if is_blind else None, some)

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


def parts(text: str, values: Sequence[Literal]) -> Parts:
    """Return a text cut at those of its values that are texts."""
    found: list[int | str] = [text]
    for number, value in enumerate(values):
        if isinstance(value, str):
            cut: list[int | str] = []
            for part in found:
                if isinstance(part, str) and value in part:
                    between = [number] * (2 * part.count(value) + 1)
                    cut += [*_alternating(part.split(value), between)]
                else:
                    cut.append(part)
            found = cut
    return tuple([part for part in found if part != ""])


def _alternating(texts: Sequence[str], numbers: list[int]) -> list[int | str]:
    woven: list[int | str] = [*numbers]
    woven[::2] = texts
    return woven


def _filled(told: Parameters, were: Sequence[Literal], values: Sequence[Literal]) -> Parameters:
    """The same with these values in place of those that it was read with."""
    put = dict(zip(were, values, strict=True))
    return Parameters(
        node=told.node,
        certain=told.certain,
        samplers=tuple([_sampler(use, put) for use in told.samplers]),
        prompts=tuple([_prompt(use, were, values) for use in told.prompts]),
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


def _prompt(use: PromptUse, were: Sequence[Literal], values: Sequence[Literal]) -> PromptUse:
    # Joined from several: each of the trial's texts stands there once for each time it was joined.
    cut = parts(use.text, were)
    if not any(isinstance(part, int) for part in cut):
        return use
    return PromptUse(
        node=use.node,
        input=use.input,
        polarity=use.polarity,
        text=text_of(cut, values),
        is_template=use.is_template,
        source=use.source,
        confidence=use.confidence,
    )


def longest(cut: Parts) -> int:
    """Return the most characters that a text can have."""
    return sum([len(part) if isinstance(part, str) else TEXT_LIMIT for part in cut])


def text_of(cut: Parts, values: Sequence[Literal]) -> str:
    """Return a text with these values filled in."""
    return "".join([part if isinstance(part, str) else str(values[part]) for part in cut])


__all__ = [
    "SEED_LIMIT",
    "TEXT_LIMIT",
    "TOKEN",
    "Literal",
    "Parts",
    "Template",
    "Told",
    "longest",
    "parts",
    "text_of",
    "token_of",
    "trial",
]
