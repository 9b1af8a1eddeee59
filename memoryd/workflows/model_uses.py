"""The model files and input files that took part in a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.facts import Graph, InputUse, Link, ModelUse, Node, PromptUse, Value
from memoryd.workflows.literals import literal_behind, number_behind, word_behind
from memoryd.workflows.node_roles import (
    guessed_model_role,
    input_files,
    model_role,
    names_media_file,
    names_model_file,
    reads_loras_in_text,
)

MODELS_LIMIT = 1_000
"""Model files of one picture."""

_EMBEDDING = re.compile(r"\bembedding:([^\s,:()\[\]<>]{1,300})", re.IGNORECASE)
_LORA = re.compile(
    r"<lora:([^:<>]{1,300})(?::(-?\d{0,4}\.?\d{0,8}))?(?::(-?\d{0,4}\.?\d{0,8}))?[^<>]{0,100}>", re.IGNORECASE
)
_INDEX = re.compile(r"_?(\d+)(?=_|$)|_([abc])$")
_NONE = frozenset(("none", "", "disabled", "baked vae", "-", "null", "choose"))
_OFF = frozenset(("off", "false", "disabled"))
_HEX_DIGEST = re.compile(r"^[0-9a-f]{64}$")


def find_models(graph: Graph, order: Iterable[str], prompts: Iterable[PromptUse]) -> list[ModelUse]:
    """Return the model files of the nodes in `order`, then those named in texts; each use once, at most MODELS_LIMIT.

    A LoRA that is switched off is left out; `None` is no file. `evidence` says how each was recognised: table,
    heuristic (a literal that ends as model files do), text.
    """
    found: dict[tuple[str, str, str], ModelUse] = {}
    for id_ in order:
        for use in _of_node(graph, graph.nodes[id_]):
            found.setdefault((use.node, use.input, use.name), use)
            if len(found) >= MODELS_LIMIT:
                return list(found.values())
    named_by_nodes = {_bare(use.name) for use in found.values()}
    for prompt in prompts:
        for use in _of_text(graph, prompt):
            if not (use.role == "loras" and _bare(use.name) in named_by_nodes):
                found.setdefault((use.node, use.input, use.name), use)
    return list(found.values())[:MODELS_LIMIT]


def _bare(name: str) -> str:
    return re.sub(r"\.[a-z]+$", "", re.split(r"[\\/]", name)[-1].lower())


def _of_node(graph: Graph, node: Node) -> Iterator[ModelUse]:
    for name, value in node.inputs.items():
        if isinstance(value, dict):
            yield from _of_entry(node, name, value)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    yield from _of_entry(node, name, item)
        else:
            use = _of_input(graph, node, name, value)
            if use is not None:
                yield use


def _of_input(graph: Graph, node: Node, name: str, value: Value) -> ModelUse | None:
    role = model_role(node.class_type, name)
    evidence = "heuristic" if role is None else "table"
    # Where an input takes a model's name, a primitive may stand behind it: `lora` may also be a link to a stack.
    linked = isinstance(value, Link)
    file = word_behind(graph, value, (name,)) if linked and role is not None else value
    if not isinstance(file, str) or ((linked or role is None) and not names_model_file(file)):
        return None
    if role is None:
        role = guessed_model_role(node.class_type, name)
    if file.strip().lower() in _NONE or role == "configs" or _is_off(graph, node, name):
        return None
    model, clip = _strengths(graph, node, name)
    return ModelUse(
        node=node.id,
        input=name,
        class_type=node.class_type,
        role=role,
        name=file,
        strength_model=model,
        strength_clip=clip,
        evidence=evidence,
    )


def _is_off(graph: Graph, node: Node, name: str) -> bool:
    index = _INDEX.search(name)
    names = ["switch"] if index is None else [f"switch_{index[1] or index[2]}", f"switch{index[1] or index[2]}"]
    return any(
        str(literal_behind(graph, node.inputs[other])).lower() in _OFF for other in names if other in node.inputs
    )


def _strengths(graph: Graph, node: Node, name: str) -> tuple[float | None, float | None]:
    index = _INDEX.search(name)
    number = (index[1] or index[2]) if index else ""
    ends = ("",) if not number else (f"_{number}", number, f"_{number.lstrip('0')}", f"_0{number}")
    model = _number(graph, node, ("strength_model", "model_strength", "model_weight", "lora_model_strength"), ends)
    clip = _number(graph, node, ("strength_clip", "clip_strength", "clip_weight", "lora_clip_strength"), ends)
    if model is None and "lora" in f"{name} {node.class_type}".lower():
        model = _number(graph, node, ("strength", "lora_strength", "lora_weight", "lora_wt", "weight"), ends)
    return model, clip


def _number(graph: Graph, node: Node, names: Iterable[str], ends: Iterable[str]) -> float | None:
    for name in names:
        for end in ends:
            if name + end in node.inputs:
                number = number_behind(graph, node.inputs[name + end], (name,))
                return None if number is None else float(number)
    return None


def _of_entry(node: Node, name: str, entry: Mapping[str, Json]) -> Iterator[ModelUse]:
    """Power Lora Loader's `{"on": true, "lora": …, "strength": 1}`, Lora Manager's `{"name": …, "active": true}`."""
    nested = entry.get("__value__")
    if isinstance(nested, list):
        for item in nested:
            if isinstance(item, dict):
                yield from _of_entry(node, name, item)
        return
    file = next((value for key in ("lora", "name", "file") if isinstance(value := entry.get(key), str)), None)
    if file is None or file.strip().lower() in _NONE or entry.get("on") is False or entry.get("active") is False:
        return
    is_lora = "lora" in entry or "lora" in f"{name} {node.class_type}".lower()
    if not is_lora and not names_model_file(file):
        return
    strength, clip = entry.get("strength"), entry.get("strengthTwo", entry.get("clipStrength"))
    yield ModelUse(
        node=node.id,
        input=name,
        class_type=node.class_type,
        role="loras" if is_lora else guessed_model_role(node.class_type, name),
        name=file,
        strength_model=_entry_number(strength),
        strength_clip=_entry_number(clip),
        evidence="table" if is_lora else "heuristic",
    )


def _entry_number(value: Json) -> float | None:
    if isinstance(value, str) and len(value) < 20:
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _of_text(graph: Graph, prompt: PromptUse) -> Iterator[ModelUse]:
    node = graph.nodes[prompt.node]
    # A look first: the pattern is tried at every character, and prompts of 40,000 are real.
    for match in _EMBEDDING.finditer(prompt.text) if "embedding:" in prompt.text.lower() else ():
        yield ModelUse(
            node=prompt.node,
            input=prompt.input,
            class_type=node.class_type,
            role="embeddings",
            name=match[1],
            evidence="text",
        )
    if reads_loras_in_text(node.class_type) or any(
        reads_loras_in_text(graph.nodes[value.node].class_type)
        for value in node.inputs.values()
        if isinstance(value, Link) and value.node in graph.nodes
    ):
        for match in _LORA.finditer(prompt.text):
            strength = _entry_number(match[2])
            yield ModelUse(
                node=prompt.node,
                input=prompt.input,
                class_type=node.class_type,
                role="loras",
                name=match[1].strip(),
                strength_model=strength,
                strength_clip=_entry_number(match[3]) if match[3] else strength,
                evidence="text",
            )


def find_inputs(graph: Graph, order: Iterable[str]) -> list[InputUse]:
    """Return the files that the nodes in `order` read, with the content's SHA-256 where ComfyUI noted it."""
    found = []
    for id_ in order:
        node = graph.nodes[id_]
        names = input_files(node.class_type)
        if names is None:
            continue
        for name, value in node.inputs.items():
            file = word_behind(graph, value) if name in names else value
            if isinstance(file, str) and file and (name in names or (not names and names_media_file(file))):
                found.append(
                    InputUse(node=id_, input=name, class_type=node.class_type, name=file, sha256=_noted_digest(node))
                )
    return found


def _noted_digest(node: Node) -> bytes | None:
    """ComfyUI hashes the bytes of what LoadImage and its like read. Source: ComfyUI 0.29, nodes.py (IS_CHANGED)."""
    noted = node.is_changed
    if isinstance(noted, list) and len(noted) == 1:
        noted = noted[0]
    return bytes.fromhex(noted) if isinstance(noted, str) and _HEX_DIGEST.match(noted) else None
