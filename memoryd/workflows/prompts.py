"""The texts that conditioned a sampler, traced back from it, each with the polarity it had there."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from memoryd.workflows.facts import Graph, Link, Node, Polarity, PromptUse, Value
from memoryd.workflows.literals import literal_behind
from memoryd.workflows.node_roles import (
    input_files,
    is_generating_service,
    names_model_file,
    text_inputs,
    writes_text_at_run_time,
)
from memoryd.workflows.recipe_v1 import class_words

TEXTS_LIMIT = 500
"""Texts of one picture. Regional prompts have some dozens."""

JOINED_LIMIT = 2_000_000
"""Characters joined from several nodes for one picture. A single node's text is taken whole, whatever its length."""

JOIN_DEPTH_LIMIT = 30
"""Nodes that join texts, one after the other. Real graphs have below ten."""

JOIN_STEPS_LIMIT = 2_000
"""Nodes looked at to join one picture's texts: those that each join the one before twice double it at every step."""

_POSITIVE = re.compile(r"^(?:opt_|base_|refiner_|optional_)?pos(?:itive)?(?:[_ ].*)?$|^cond1$|^positive\w*$")
_NEGATIVE = re.compile(r"^(?:opt_|base_|refiner_|optional_)?neg(?:ative)?(?:[_ ].*)?$|^cond2_negative$|^negative\w*$")
_CONDITIONING = re.compile(
    r"^(?:conditioning\w*|cond|cond2|conds|guider|text_embeds|basic_pipe|pipe|sdxl_tuple|embeds|context|ctx|base_ctx|detailer_pipe)$"
)
_ELSEWHERE = re.compile(
    r"^(?:\w*model\w*|clip|vae|\w*image\w*|\w*latent\w*|mask\w*|pixels|samples|noise|sigmas|sampler|control_net|clip_vision\w*|width"
    r"|height|seed|noise_seed|steps|cfg|strength\w*|ipadapter|bbox_detector|audio|start_percent|end_percent)(?:_\d+)?$"
)
_SWITCHED = {"on_true": True, "on_false": False}
_OPTION = re.compile(r"^(?:delimiter|separator|mode|action|style|language|device|parser|log_prompt|clean_whitespace)")


@dataclasses.dataclass(slots=True)
class Joining:
    """How much was joined for one picture so far. `is_exhausted`: a limit was met, and texts may lack parts."""

    steps: int = 0
    characters: int = 0
    is_template: bool = False
    is_exhausted: bool = False


def find_prompts(graph: Graph, sampler: str, joining: Joining) -> list[PromptUse]:
    """Return the texts that conditioned a sampler, positive first, nearest first; blank ones are left out.

    What ConditioningZeroOut wipes is not followed. `is_template` where a node on the way writes text at run time.
    One `joining` serves all samplers of a picture: JOINED_LIMIT and JOIN_STEPS_LIMIT hold for all together.
    """
    found: list[PromptUse] = []
    for polarity in (Polarity.POSITIVE, Polarity.NEGATIVE):
        found.extend(_of_polarity(graph, sampler, polarity, joining))
    return found[:TEXTS_LIMIT]


def _of_polarity(graph: Graph, sampler: str, polarity: Polarity, joining: Joining) -> Iterator[PromptUse]:
    waiting = [sampler]
    seen = {sampler}
    count = 0
    for id_ in waiting:
        node = graph.nodes[id_]
        if "zeroout" in node.class_type.lower():
            continue
        texts, links = _taken(graph, node, polarity, is_start=id_ == sampler)
        for name in texts:
            text, is_template = _text(graph, node.inputs[name], joining)
            if count < TEXTS_LIMIT and text.strip():
                count += 1
                yield PromptUse(
                    node=id_,
                    input=name,
                    polarity=polarity,
                    text=text,
                    is_template=is_template or writes_text_at_run_time(node.class_type),
                )
        for link in links:
            if link.node not in seen and link.node in graph.nodes:
                seen.add(link.node)
                waiting.append(link.node)


def _taken(graph: Graph, node: Node, polarity: Polarity, *, is_start: bool) -> tuple[list[str], list[Link]]:
    """What to take at a node, and where to go on from it: text inputs, and links of conditioning."""
    inputs = node.inputs
    sided = [name for name in inputs if _POSITIVE.match(name) or _NEGATIVE.match(name)]
    if sided:
        wanted = _POSITIVE if polarity is Polarity.POSITIVE else _NEGATIVE
        own = [name for name in sided if wanted.match(name)]
        texts = [name for name in own if _is_text(graph, inputs[name])]
        links = [value for name in own if name not in texts and isinstance(value := inputs[name], Link)]
        if len(sided) > len(own) or own:
            return texts, [*links, *_named(graph, node, _CONDITIONING)] if not own else links
    if is_start:
        if is_generating_service(node.class_type) and polarity is Polarity.POSITIVE:
            return [name for name in ("prompt", "text") if name in inputs], []
        links = _named(graph, node, _CONDITIONING)
        # A sampler without sides (BasicGuider's) has one conditioning, and it is the positive.
        return [], links
    # Below a guider that takes one conditioning only, there is no negative.
    if polarity is Polarity.NEGATIVE and _takes_one_conditioning(node):
        return [], []
    texts = [name for name in text_inputs(node.class_type) if name in inputs and _is_text(graph, inputs[name])]
    if texts and input_files(node.class_type) is None:
        return texts, _named(graph, node, _CONDITIONING)
    return [], [value for name, value in _switched(graph, node) if not _ELSEWHERE.match(name)]


def _takes_one_conditioning(node: Node) -> bool:
    return "guider" in class_words(node.class_type)


def _named(graph: Graph, node: Node, pattern: re.Pattern[str]) -> list[Link]:
    return [value for name, value in _switched(graph, node) if pattern.match(name)]


def _switched(graph: Graph, node: Node) -> Iterator[tuple[str, Link]]:
    """The node's links; of a switch whose position is known only the one that it lets through."""
    position = literal_behind(graph, node.inputs.get("switch")) if "on_true" in node.inputs else None
    for name, value in node.inputs.items():
        if isinstance(value, Link) and not (
            isinstance(position, bool) and _SWITCHED.get(name, position) is not position
        ):
            yield name, value


def _is_text(graph: Graph, value: Value) -> bool:
    """Whether an input holds a text, or a link to a node that gives one."""
    if not isinstance(value, Link):
        return isinstance(value, str)
    node = graph.nodes.get(value.node)
    if node is None:
        return False
    words = class_words(node.class_type)
    if not words.isdisjoint(
        ("encode", "encoder", "conditioning", "apply", "guider", "sampler", "controlnet", "loader", "zero")
    ):
        return False
    return any(isinstance(other, str) for other in node.inputs.values()) or not words.isdisjoint(
        ("text", "string", "prompt", "concat", "join", "primitive", "show", "wildcard", "reroute", "any")
    )


def _text(graph: Graph, value: Value, joining: Joining) -> tuple[str, bool]:
    """The text of an input, and whether it is a template; what several nodes give is joined as they say."""
    joining.is_template = False
    return _gather(graph, value, joining, 0), joining.is_template


def _gather(graph: Graph, value: Value, joining: Joining, depth: int) -> str:
    if isinstance(value, str):
        return value
    node = graph.nodes.get(value.node) if isinstance(value, Link) else None
    if node is None:
        return ""
    joining.steps += 1
    if depth > JOIN_DEPTH_LIMIT or joining.steps > JOIN_STEPS_LIMIT or joining.characters > JOINED_LIMIT:
        joining.is_exhausted = True
        return ""
    if writes_text_at_run_time(node.class_type):
        joining.is_template = True
    parts = [_gather(graph, node.inputs[name], joining, depth + 1) for name in _text_parts(graph, node)]
    separator = next((s for name in ("delimiter", "separator") if isinstance(s := node.inputs.get(name), str)), " ")
    joined = separator.join(part for part in parts if part)
    joining.characters += len(joined)
    return joined


def _text_parts(graph: Graph, node: Node) -> list[str]:
    """The inputs that a node's text is made of, as far as their names or kinds tell."""
    inputs = node.inputs
    known = text_inputs(node.class_type)
    named = [name for name in inputs if name in known and isinstance(inputs[name], (str, Link))]
    if "populated_text" in named:
        return ["populated_text"]
    if named:
        return named
    literals = [n for n, v in inputs.items() if isinstance(v, str) and not _OPTION.match(n) and not names_model_file(v)]
    if literals:
        return literals[:1] if len(literals) == 1 else [name for name in literals if len(str(inputs[name])) > 20]
    return [name for name, value in _switched(graph, node) if not _ELSEWHERE.match(name)]
