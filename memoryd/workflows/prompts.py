"""The texts that conditioned a sampler, traced back from it, each with the polarity it had there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from memoryd.plugin_api.facts import Confidence
from memoryd.workflows.facts import Graph, Link, Node, Polarity, PromptUse, Value
from memoryd.workflows.joined_texts import Joining, holds_text, joined_text
from memoryd.workflows.literals import chosen_branch
from memoryd.workflows.node_roles import input_files
from memoryd.workflows.node_shapes import NodeShape, shape_of

TEXTS_LIMIT = 500
"""Texts of one picture. Regional prompts have some dozens."""

VISITS_LIMIT = 20_000
"""Nodes walked through for the texts of one picture, counted anew for each sampler and polarity."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Step:
    """A node on the way from a sampler. `is_taken`: a side was chosen on the way; `is_sure`: no choice was left open."""

    id: str
    is_taken: bool
    is_sure: bool


def find_prompts(graph: Graph, sampler: str, joining: Joining) -> list[PromptUse]:
    """Return the texts that conditioned a sampler, positive first, nearest first; blank ones are left out.

    What ConditioningZeroOut wipes is not followed. `is_template` where a node on the way writes text at run time; where
    a switch leaves several, all of them, at low confidence. One `joining` serves all samplers of a picture: its limits
    hold for all together.
    """
    found: list[PromptUse] = []
    for polarity in (Polarity.POSITIVE, Polarity.NEGATIVE):
        found.extend(_of_polarity(graph, sampler, polarity, joining))
    return found[:TEXTS_LIMIT]


def _of_polarity(graph: Graph, sampler: str, polarity: Polarity, joining: Joining) -> Iterator[PromptUse]:
    # Below a sampler that takes no sides there is only what is wanted, until a node takes sides.
    waiting = [_Step(sampler, polarity is Polarity.POSITIVE, True)]
    seen = {(sampler, waiting[0].is_taken)}
    count = 0
    for step in waiting:
        joining.visits += 1
        if joining.visits > VISITS_LIMIT:
            joining.is_exhausted = True
            return
        node = graph.nodes[step.id]
        shape = shape_of(node.class_type, tuple(node.inputs))
        if shape.wipes or (shape.is_guider and not step.is_taken and not shape.negative and not shape.bundles):
            continue
        taken, is_taken = _taken(graph, node, shape, polarity, step)
        for name in taken.texts:
            text, is_template, is_joined_sure = joined_text(graph, node.inputs[name], joining, polarity)
            if count < TEXTS_LIMIT and text.strip():
                count += 1
                yield PromptUse(
                    node=step.id,
                    input=name,
                    polarity=polarity,
                    text=text,
                    is_template=is_template or shape.is_template,
                    confidence=_confidence(shape, step.is_sure and taken.is_sure and is_joined_sure, is_template),
                )
        for link in taken.links:
            key = (link.node, is_taken)
            if key not in seen and link.node in graph.nodes:
                seen.add(key)
                waiting.append(_Step(link.node, is_taken, step.is_sure and taken.is_sure))


def _confidence(shape: NodeShape, is_sure: bool, is_template: bool) -> Confidence:
    if not is_sure:
        return Confidence.LOW
    return Confidence.HIGH if shape.is_known and not is_template else Confidence.MEDIUM


@dataclasses.dataclass(frozen=True, slots=True)
class _Taken:
    """What to take at a node, and where to go on from it."""

    texts: tuple[str, ...] | list[str]
    links: list[Link]
    is_sure: bool = True


def _taken(graph: Graph, node: Node, shape: NodeShape, polarity: Polarity, step: _Step) -> tuple[_Taken, bool]:
    """What is wanted at this node, and whether a side was chosen by then."""
    inputs = node.inputs
    if shape.switch is not None:
        chosen = chosen_branch(graph, node)
        if chosen is not None:
            value = inputs[chosen]
            return _Taken([] if isinstance(value, Link) else [chosen], _links(inputs, (chosen,))), step.is_taken
        branches = [name for name in shape.switch.branches.values() if name in inputs]
        if any(isinstance(inputs[name], Link) for name in branches):
            links = _links(inputs, branches)
            return _Taken([], links, len(links) == 1), step.is_taken
    if shape.positive or shape.negative:
        own = shape.positive if polarity is Polarity.POSITIVE else shape.negative
        texts = [name for name in own if holds_text(graph, inputs[name], polarity)]
        links = [value for name in own if isinstance(value := inputs[name], Link) and name not in texts]
        if not texts and not links and not any(isinstance(inputs[name], str) for name in own):
            # Nothing by its own names: what comes in a bundle has the side still to be chosen.
            return _Taken([], _links(inputs, shape.bundles or shape.conditioning)), step.is_taken
        return _Taken(texts, links), True
    conditioning = _links(inputs, shape.conditioning)
    if conditioning and (shape.sampling > 0 or shape.is_service):
        return _Taken([], conditioning), step.is_taken
    if step.is_taken:
        texts = [name for name in shape.texts if holds_text(graph, inputs[name], polarity)]
        if texts and input_files(node.class_type) is None:
            if not conditioning and not shape.is_known:
                conditioning = _links(inputs, [name for name in shape.onward if name not in texts])
            return _Taken(texts, conditioning), True
    return _Taken([], _links(inputs, shape.onward)), step.is_taken


def _links(inputs: dict[str, Value] | object, names: Iterable[str]) -> list[Link]:
    return [value for name in names if isinstance(value := inputs[name], Link)]  # type: ignore[index]
