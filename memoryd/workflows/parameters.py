"""What a graph says about how one saved picture was made: samplers, prompts, models, input files, size.

Only what the saving node depends on counts: a LoRA in the graph that no output uses had no effect.
"""

from __future__ import annotations

from collections.abc import Sequence

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.findings import Finding
from memoryd.workflows.facts import Graph, Parameters, PromptUse, SamplerUse
from memoryd.workflows.literals import integer_behind
from memoryd.workflows.model_uses import find_inputs, find_models
from memoryd.workflows.prompts import Joining, find_prompts
from memoryd.workflows.samplers import find_samplers, picture_chain, read_sampler
from memoryd.workflows.saving_output import find_saving_output
from memoryd.workflows.tracing import execution_order

SAMPLERS_LIMIT = 200
"""Sampling passes of one picture that are read."""

SIZE_LIMIT = 2**31 - 1


def read_parameters(graph: Graph, *, filename: str | None = None, specs: NodeSpecs | None = None) -> Parameters:
    """Return what the ancestors of the saving node say.

    `filename` helps to tell which of several saving nodes wrote the file; `certain` is False where it cannot be told.
    Samplers come in order of execution, the one whose latent the picture shows last (`final`). Prompts are those of the
    samplers that the picture came through, the final one's first. A value that stands behind a node which computes is
    None: not known, never guessed. Texts are as parse_graph leaves them: fit for the database.
    """
    saving = find_saving_output(graph, filename)
    if saving is None:
        return Parameters(node=None, certain=False)
    order = execution_order(graph, (saving.node,))
    chain = picture_chain(graph, saving.node)
    executed = find_samplers(graph, order)[:SAMPLERS_LIMIT]
    through = [id_ for id_ in chain if id_ in executed] if executed else []
    final = through[0] if through else (executed[-1] if executed else None)
    findings: list[Finding] = []
    if not saving.certain:
        findings.append(
            Finding(
                code="several-outputs", detail="several nodes save, and the file does not say which", where=saving.node
            )
        )
    joining = Joining()
    prompts = _prompts(graph, through or executed[-1:], joining)
    if joining.is_exhausted:
        detail = "texts are joined from too many nodes (JOINED_LIMIT, JOIN_STEPS_LIMIT): parts are left out"
        findings.append(Finding(code="prompt-not-whole", detail=detail, where=saving.node))
    width, height = _size(graph, chain)
    return Parameters(
        node=saving.node,
        certain=saving.certain,
        samplers=_samplers(graph, executed, final, specs),
        prompts=prompts,
        models=tuple(find_models(graph, order, prompts)),
        inputs=tuple(find_inputs(graph, order)),
        width=width,
        height=height,
        generates=bool(executed),
        tool="comfyui",
        findings=tuple(findings),
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


def _size(graph: Graph, chain: Sequence[str]) -> tuple[int | None, int | None]:
    """Width and height that the nearest node asks for which makes or resizes the picture or its latent."""
    for id_ in chain:
        inputs = graph.nodes[id_].inputs
        if "width" in inputs and "height" in inputs:
            width = integer_behind(graph, inputs["width"], ("width",))
            height = integer_behind(graph, inputs["height"], ("height",))
            if width is not None and height is not None and 0 < width <= SIZE_LIMIT and 0 < height <= SIZE_LIMIT:
                return width, height
    return None, None
