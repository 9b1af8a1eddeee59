"""Where the parameters of a picture stand in its graph: which input to change for another seed, prompt or size.

The names are those by which memoryd shows a recipe. One name may stand in several places (two passes have two seeds).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.canonical_json import Json
from memoryd.plugin_api.facts import Polarity
from memoryd.workflows.facts import Graph, Link, ModelUse, Parameters, PromptUse
from memoryd.workflows.literals import Place, place_behind
from memoryd.workflows.parameters import parameters_of_output, read_parameters, size_at
from memoryd.workflows.samplers import picture_chain, setting_places
from memoryd.workflows.saving_output import SavingOutput

LORA_STRENGTHS = ("strength_model", "strength_clip")
LORAS = "loras"
CHECKPOINT_ROLES = ("checkpoints", "diffusion_models", "unet")
_MODEL_NAMES = {**dict.fromkeys(CHECKPOINT_ROLES, "model"), LORAS: "lora"}
"""What people call a model by its role; other roles (vae, controlnet, …) are called as they are."""
_PROMPT_NAMES = {Polarity.POSITIVE: "prompt", Polarity.NEGATIVE: "negative"}
_TEXT_NAMES = ("text", "string", "value", "prompt")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ParameterPlace:
    """An input that holds a parameter of the picture as a literal."""

    name: str
    node: str
    input: str
    class_type: str
    value: Json

    @property
    def address(self) -> str:
        """The input as people name it: `3.cfg`."""
        return f"{self.node}.{self.input}"


def find_parameter_places(
    graph: Graph, *, saving: str | None = None, specs: NodeSpecs | None = None
) -> tuple[ParameterPlace, ...]:
    """Return where the parameters of the saved picture stand, pass by pass in order of execution, each place once.

    `saving` is the node that saved it, where that is known: of several outputs each has its own.
    Names: seed, steps, cfg, sampler, scheduler, denoise, prompt, negative, width, height, model, lora, lora_strength, and
    the role of any other model file. A parameter that is computed, or joined of several texts, stands nowhere as a literal
    and is left out.
    """
    found: dict[tuple[str, str, str], ParameterPlace] = {}
    known = SavingOutput(node=saving, certain=True) if saving is not None and saving in graph.nodes else None
    parameters = (
        parameters_of_output(graph, known, specs=specs) if known is not None else read_parameters(graph, specs=specs)
    )
    for name, (node, input_name) in _places(graph, parameters, specs):
        value = graph.nodes[node].inputs[input_name]
        if isinstance(value, (str, int, float)):
            found.setdefault(
                (name, node, input_name),
                ParameterPlace(
                    name=name, node=node, input=input_name, class_type=graph.nodes[node].class_type, value=value
                ),
            )
    return tuple(found.values())


def _places(graph: Graph, parameters: Parameters, specs: NodeSpecs | None) -> Iterator[tuple[str, Place]]:
    for sampler in parameters.samplers:
        yield from setting_places(graph, sampler.node, specs).items()
    for prompt in parameters.prompts:
        place = _text_place(graph, prompt)
        if place is not None and prompt.polarity in _PROMPT_NAMES:
            yield _PROMPT_NAMES[prompt.polarity], place
    yield from _size_places(graph, parameters)
    for model in parameters.models:
        yield from _model_places(graph, model)


def _text_place(graph: Graph, prompt: PromptUse) -> Place | None:
    place = place_behind(graph, (prompt.node, prompt.input), (prompt.input, *_TEXT_NAMES))
    # What was joined of several texts, or written at run time, is not any one of them.
    return place if place is not None and graph.nodes[place[0]].inputs[place[1]] == prompt.text else None


def _size_places(graph: Graph, parameters: Parameters) -> Iterator[tuple[str, Place]]:
    for id_ in picture_chain(graph, parameters.node) if parameters.node is not None else ():
        node = graph.nodes[id_]
        if size_at(graph, node) is None:
            continue
        for name in ("width", "height"):
            place = place_behind(graph, (id_, name), (name,)) if name in node.inputs else None
            if place is not None:
                yield name, place
        return


def _model_places(graph: Graph, model: ModelUse) -> Iterator[tuple[str, Place]]:
    inputs = graph.nodes[model.node].inputs
    # What a text names stands among its other words.
    if inputs.get(model.input) == model.name:
        yield _MODEL_NAMES.get(model.role, model.role), (model.node, model.input)
        if model.role == LORAS:
            for name in LORA_STRENGTHS:
                if name in inputs and not isinstance(inputs[name], Link):
                    yield "lora_strength", (model.node, name)
