"""What a graph says about how one saved picture was made: samplers, prompts, models, input files, size.

Only what the saving node depends on counts: a LoRA in the graph that no output uses had no effect. What the same run
made for other outputs is told apart from it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.findings import Finding
from memoryd.plugin_api.facts import Confidence
from memoryd.workflows.ancestry import ancestors, executed_outputs
from memoryd.workflows.facts import Graph, InputUse, ModelUse, Node, Parameters, PromptUse, SamplerUse, Source
from memoryd.workflows.joined_texts import Joining
from memoryd.workflows.literals import integer_behind
from memoryd.workflows.model_uses import find_inputs, find_models
from memoryd.workflows.node_shapes import Sampling, shape_of
from memoryd.workflows.prompts import find_prompts
from memoryd.workflows.samplers import find_samplers, picture_chain, read_sampler
from memoryd.workflows.saving_output import SavingOutput, find_saving_output

SAMPLERS_LIMIT = 200
"""Sampling passes of one picture that are read."""

SIZE_LIMIT = 2**31 - 1

_SIZE = re.compile(r"(?<!\d)(\d{2,5})\s*[x\u00d7*]\s*(\d{2,5})(?!\d)", re.IGNORECASE)
_LESS_SURE = {Confidence.HIGH: Confidence.MEDIUM, Confidence.MEDIUM: Confidence.LOW, Confidence.LOW: Confidence.LOW}
_Use = TypeVar("_Use", SamplerUse, PromptUse, ModelUse, InputUse)


def read_parameters(
    graph: Graph, *, filename: str | None = None, specs: NodeSpecs | None = None, source: Source = Source.EXECUTED
) -> Parameters:
    """Return what the ancestors of the saving node say.

    `filename` (plain) helps to tell which of several saving nodes wrote the file; `certain` is False where it cannot be
    told, and what only some of them came from is then less sure. Samplers come in order of execution, the one whose
    latent the picture shows last (`final`). Prompts are those of the samplers that the picture came through, the final
    one's first. A value that stands behind a node which computes is None: not known, never guessed. Branches that a
    switch did not let through say nothing. From an editor's graph (`source`) no fact is surer than medium. Texts are as
    parse_graph leaves them: fit for the database.
    """
    return parameters_of_output(graph, find_saving_output(graph, filename, specs), specs=specs, source=source)


def parameters_of_output(
    graph: Graph, saving: SavingOutput | None, *, specs: NodeSpecs | None = None, source: Source = Source.EXECUTED
) -> Parameters:
    """Return what the ancestors of a known saving node say; otherwise as `read_parameters`."""
    if saving is None:
        return Parameters(node=None, certain=False)
    order = ancestors(graph, (saving.node,))
    found = _read(graph, order, picture_chain(graph, saving.node), specs, saving.node)
    if not saving.certain:
        detail = "several nodes save, and the file does not say which"
        finding = Finding(code="several-outputs", detail=detail, where=saving.node)
        found = dataclasses.replace(found, certain=False, findings=(finding, *found.findings))
        found = _doubted(graph, found, saving.others)
    outputs = executed_outputs(graph, specs)
    if len(outputs) > 1:
        found = dataclasses.replace(found, rest_of_run=_rest(graph, outputs, set(order), specs))
    return found if source is Source.EXECUTED else _from_editor(found, source)


def _read(
    graph: Graph, order: Sequence[str], chain: Sequence[str], specs: NodeSpecs | None, saving: str | None
) -> Parameters:
    executed = find_samplers(graph, order)[:SAMPLERS_LIMIT]
    through = [id_ for id_ in chain if id_ in executed] if executed else []
    final = through[0] if through else (executed[-1] if executed else None)
    findings: tuple[Finding, ...] = ()
    joining = Joining()
    prompts = _prompts(graph, through or executed[-1:], joining)
    if not any(use.text for use in prompts) and len(executed) > 1:
        # What the picture came through takes its prompt some other way: that of the passes before is the next best.
        prompts = _prompts(graph, executed[::-1], joining)
    if joining.is_exhausted:
        detail = "texts are joined from too many nodes (JOINED_LIMIT, JOIN_STEPS_LIMIT): parts are left out"
        findings = (Finding(code="prompt-not-whole", detail=detail, where=saving or ""),)
    width, height = _size(graph, chain if saving is not None else order[::-1])
    return Parameters(
        node=saving,
        samplers=_samplers(graph, executed, final, specs),
        prompts=prompts,
        models=tuple(find_models(graph, order, prompts, specs)),
        inputs=tuple(find_inputs(graph, order)),
        width=width,
        height=height,
        generates=bool(executed),
        tool="comfyui",
        findings=findings,
    )


def _rest(graph: Graph, outputs: Sequence[str], own: set[str], specs: NodeSpecs | None) -> Parameters | None:
    """What the other outputs of the run came from, as far as this one did not; None where that is nothing."""
    rest = [id_ for id_ in ancestors(graph, outputs, lazy_only=True) if id_ not in own]
    if len(rest) < 2:
        return None
    found = _read(graph, rest, (), specs, None)
    return found if found.samplers or found.models else None


def _doubted(graph: Graph, found: Parameters, others: Sequence[str]) -> Parameters:
    """The same, less sure of what not all candidates came from."""
    shared = set(graph.nodes)
    for other in others:
        shared.intersection_update(ancestors(graph, (other,)))

    def doubted(uses: tuple[_Use, ...]) -> tuple[_Use, ...]:
        return tuple(
            use if use.node in shared else dataclasses.replace(use, confidence=_LESS_SURE[use.confidence])
            for use in uses
        )

    return dataclasses.replace(
        found,
        samplers=doubted(found.samplers),
        prompts=doubted(found.prompts),
        models=doubted(found.models),
        inputs=doubted(found.inputs),
    )


def _from_editor(found: Parameters, source: Source) -> Parameters:
    """The same, said to be what was drawn rather than what was executed."""

    def drawn(uses: tuple[_Use, ...]) -> tuple[_Use, ...]:
        return tuple(
            dataclasses.replace(
                use,
                source=source,
                confidence=Confidence.MEDIUM if use.confidence is Confidence.HIGH else use.confidence,
            )
            for use in uses
        )

    return dataclasses.replace(
        found,
        samplers=drawn(found.samplers),
        prompts=drawn(found.prompts),
        models=drawn(found.models),
        inputs=drawn(found.inputs),
        rest_of_run=None if found.rest_of_run is None else _from_editor(found.rest_of_run, source),
    )


def _samplers(
    graph: Graph, executed: Sequence[str], final: str | None, specs: NodeSpecs | None
) -> tuple[SamplerUse, ...]:
    ordered = [id_ for id_ in executed if id_ != final]
    if final is not None:
        ordered.append(final)
    return tuple(read_sampler(graph, id_, final=id_ == final, specs=specs) for id_ in ordered)


def _prompts(graph: Graph, samplers: Sequence[str], joining: Joining) -> tuple[PromptUse, ...]:
    found: dict[tuple[str, str, str], PromptUse] = {}
    for id_ in samplers:
        for use in find_prompts(graph, id_, joining):
            found.setdefault((use.node, use.input, use.polarity), use)
    return tuple(found.values())


def _size(graph: Graph, chain: Iterable[str]) -> tuple[int | None, int | None]:
    """Width and height that the nearest node asks for which makes or resizes the picture or its latent."""
    for id_ in chain:
        found = size_at(graph, graph.nodes[id_])
        if found is not None:
            return found
    return None, None


def size_at(graph: Graph, node: Node) -> tuple[int | None, int | None] | None:
    """Return width and height that a node asks for, None where it asks for none (or is only told to write one down)."""
    inputs = node.inputs
    shape = shape_of(node.class_type, tuple(inputs))
    if shape.is_saving:
        return None
    for name in shape.presets:
        preset = inputs[name]
        spelled = _SIZE.search(preset) if isinstance(preset, str) and len(preset) < 200 else None
        if spelled is not None:
            width, height = int(spelled[1]), int(spelled[2])
            return (height, width) if _is_swapped(inputs.get("swap_dimensions")) else (width, height)
    if "width" in inputs and "height" in inputs and shape.sampling is not Sampling.SETTINGS:
        width_behind = integer_behind(graph, inputs["width"], ("width",))
        height_behind = integer_behind(graph, inputs["height"], ("height",))
        if 0 < (width_behind or 0) <= SIZE_LIMIT and 0 < (height_behind or 0) <= SIZE_LIMIT:
            return width_behind, height_behind
    return None


def _is_swapped(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in ("on", "true", "yes"))
