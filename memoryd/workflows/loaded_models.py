"""What a graph may load when it runs, judged strictly: for whoever decides whether it may run at all.

What made a picture is read from the way to it (model_uses). Here every node counts, and whatever cannot be read is told:
a name that is put together while it runs, a service, a sampler for which no model is named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from memoryd.comfyui.specs import COMBO, NodeSpecs
from memoryd.workflows.facts import Graph, Link, Node, Polarity, PromptUse
from memoryd.workflows.literals import word_behind
from memoryd.workflows.model_uses import find_models, is_no_file
from memoryd.workflows.node_roles import names_model_file
from memoryd.workflows.node_shapes import shape_of
from memoryd.workflows.samplers import find_samplers

HELPERS = frozenset(
    (
        "loras", "vae", "vae_approx", "text_encoders", "clip", "clip_gguf", "clip_vision", "controlnet", "t2i_adapter",
        "embeddings", "hypernetworks", "gligen", "style_models", "ipadapter", "instantid", "pulid", "photomaker",
        "upscale_models", "latent_upscale_models", "model_patches", "annotators", "ultralytics", "onnx", "sams", "mmdets",
        "detection", "background_removal", "facerestore_models", "audio_encoders", "optical_flow", "frame_interpolation",
        "geometry_estimation", "inpaint",
    )
)  # fmt: skip
"""Folders of weights by which alone nothing is sampled: who names only these keeps quiet about the model itself."""

_TEXT_KINDS = frozenset((COMBO, "STRING"))
_NAMING = ("_name", "_path", "_file")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a graph may load: (folder, name) each once, in the graph's order; and what cannot be read, in sentences."""

    models: tuple[tuple[str, str], ...]
    unread: tuple[str, ...] = ()


def loaded_by(graph: Graph, specs: NodeSpecs | None = None) -> Loaded:
    """Return what a graph may load. `specs`: what the classes of those who would run it offer."""
    uses = find_models(graph, graph.nodes, _texts(graph), specs)
    read = {(use.node, use.input) for use in uses}
    # What is written down by a node whose tables know no folder, and loaded by another that says which, is one file.
    placed = {use.name for use in uses if use.role != "unknown"}
    models = dict.fromkeys((use.role, use.name) for use in uses if use.role != "unknown" or use.name not in placed)
    unread = dict.fromkeys(_computed(graph, read, specs))
    samplers = find_samplers(graph, list(graph.nodes))
    for id_ in samplers:
        node = graph.nodes[id_]
        if shape_of(node.class_type, tuple(node.inputs)).is_service:
            unread[f"{node.class_type} has it generated elsewhere"] = None
    if samplers and not unread and not names_what_samples(role for role, _ in models):
        unread["a run that generates names no model"] = None
    return Loaded(models=tuple(models), unread=tuple(unread))


def names_what_samples(roles: Iterable[str]) -> bool:
    """Tell whether models of these folders, or some of them, can sample a picture."""
    return not HELPERS.issuperset(roles)


def _texts(graph: Graph) -> Iterator[PromptUse]:
    """Every text that names an embedding, whether or not the tables know that it conditions something."""
    for node in graph.nodes.values():
        for name, value in node.inputs.items():
            if isinstance(value, str) and "embedding:" in value.lower():
                yield PromptUse(node=node.id, input=name, polarity=Polarity.POSITIVE, text=value)


def _computed(graph: Graph, read: set[tuple[str, str]], specs: NodeSpecs | None) -> Iterator[str]:
    """Names of models that come by a link from where nobody can read them."""
    for node in graph.nodes.values():
        shape = shape_of(node.class_type, tuple(node.inputs))
        for name, value in node.inputs.items():
            if (
                not isinstance(value, Link)
                or (node.id, name) in read
                or not _takes_name(node, name, shape.roles, specs)
            ):
                continue
            source = graph.nodes.get(value.node)
            if source is not None and shape_of(source.class_type, tuple(source.inputs)).roles:
                continue  # told of where it is chosen
            word = word_behind(graph, value, (name,))
            if word is None or not is_no_file(word):
                yield f"which file {node.class_type} loads by {name} is decided while it runs"


def _takes_name(node: Node, name: str, roles: Iterable[str], specs: NodeSpecs | None) -> bool:
    """Tell whether an input takes a model's name, and not the model itself."""
    spec = specs.inputs(node.class_type).get(name) if specs is not None else None
    if spec is None:
        return name in roles and name.lower().rstrip("0123456789").rstrip("_").endswith(_NAMING)
    offers = any(isinstance(option, str) and names_model_file(option) for option in spec.options or ())
    return offers or (name in roles and spec.type in _TEXT_KINDS)
