"""The model files and input files that took part in a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.canonical_json import Json
from memoryd.plugin_api.facts import Confidence
from memoryd.workflows.facts import Graph, InputUse, Link, ModelUse, Node, PromptUse, Value
from memoryd.workflows.literals import literal_behind, number_behind, switched_rows, word_behind
from memoryd.workflows.model_folders import folder_of_options
from memoryd.workflows.node_roles import guessed_model_role, input_files, names_media_file, names_model_file
from memoryd.workflows.node_shapes import NodeShape, shape_of

MODELS_LIMIT = 1_000
"""Model files of one picture."""

MODEL_NAME_LIMIT = 500
"""Characters of a model file's name with its folders."""

_EMBEDDING = re.compile(r"\bembedding:([^\s,:()\[\]<>]{1,300})", re.IGNORECASE)
_LORA = re.compile(
    r"<lora:([^:<>]{1,300})(?::(-?\d{0,4}\.?\d{0,8}))?(?::(-?\d{0,4}\.?\d{0,8}))?[^<>]{0,100}>", re.IGNORECASE
)
_INDEX = re.compile(r"_?(\d+)(?=_|$)|_([abc])$")
_NONE = frozenset(
    (
        "none", "", "disabled", "disable", "baked vae", "-", "null", "choose", "(use same)", "use same", "same",
        "default", "auto", "[none]", "undefined", "no lora", "automatic", "no vae", "disabled (none)", "random",
        "off", "select the lora to add to the text", "select the wildcard to add to the text", "choose a lora",
        "custom", "original", "baked-in", "baked", "empty", "false",
    )
)  # fmt: skip
_OFF = frozenset(("off", "false", "disabled", "disable", "no", "none"))
_COUNTS = ("lora_count", "num_loras", "num_controls", "model_count", "inputcount", "controlnet_count", "count")
_HEX_DIGEST = re.compile(r"^[0-9a-f]{64}$")
_AIR = re.compile(r"^urn:air:", re.IGNORECASE)
_AIR_ROLES = {
    "checkpoint": "checkpoints", "lora": "loras", "lycoris": "loras", "dora": "loras", "vae": "vae", "embedding": "embeddings",
    "controlnet": "controlnet", "upscaler": "upscale_models", "textencoder": "text_encoders", "unet": "diffusion_models",
}  # fmt: skip
_CHOOSING = frozenset(("insert_lora", "insert_embedding", "Select to add LoRA", "select_to_add_lora"))
"""What only helps to write a text: the choice itself has no effect."""


def find_models(
    graph: Graph, order: Iterable[str], prompts: Iterable[PromptUse], specs: NodeSpecs | None = None
) -> list[ModelUse]:
    """Return the model files of the nodes in `order`, then those named in texts; each use once, at most MODELS_LIMIT.

    A LoRA that is switched off is left out; `None` is no file. `evidence` says how each was recognised: table,
    object_info (by the lists of `specs`), heuristic (a literal that ends as model files do), text.
    """
    found: dict[tuple[str, str, str], ModelUse] = {}
    for id_ in order:
        node = graph.nodes[id_]
        inputs = node.inputs
        shape = shape_of(node.class_type, tuple(inputs))
        roles = shape.roles
        for name, value in inputs.items():
            kind = value.__class__
            if kind is str:
                # Most literals are neither: looked at here, so that a call is made only for those that may be.
                may_be = (
                    name in roles
                    or names_model_file(str(value))
                    or (specs is not None and not shape.is_known and name not in shape.texts)
                )
            else:
                may_be = kind is Link and name in roles
            if may_be:
                use = _of_input(graph, node, shape, name, value, specs)
                if use is not None:
                    found.setdefault((id_, name, use.name), use)
            elif kind is dict or kind is list:
                for use in _of_entries(node, name, value):  # type: ignore[arg-type]
                    found.setdefault((id_, name, use.name), use)
        if len(found) >= MODELS_LIMIT:
            break
    named_by_nodes = {_bare(use.name) for use in found.values()}
    for id_, name, text in (*((use.node, use.input, use.text) for use in prompts), *_lora_texts(graph, order)):
        for use in _of_text(graph, id_, name, text):
            if not (use.role == "loras" and _bare(use.name) in named_by_nodes):
                found.setdefault((use.node, use.input, use.name), use)
    return list(found.values())[:MODELS_LIMIT]


def is_no_file(text: str) -> bool:
    """Tell whether a literal says that no file is meant: `None`, `baked vae`."""
    return text.strip().lower() in _NONE


def _bare(name: str) -> str:
    return re.sub(r"\.[a-z]+$", "", re.split(r"[\\/]", name)[-1].lower())


def _lora_texts(graph: Graph, order: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Texts of nodes that read LoRAs in them, whether or not they conditioned anything."""
    for id_ in order:
        node = graph.nodes[id_]
        shape = shape_of(node.class_type, tuple(node.inputs))
        if shape.reads_loras and not switched_rows(node):
            # With rows beside it the text is only how they were typed: the rows say which are on.
            # Of a text with wildcards only what it became counts.
            names = ("populated_text",) if "populated_text" in node.inputs else tuple(node.inputs)
            for name in names:
                value = node.inputs[name]
                text = word_behind(graph, value, (name,)) if name in shape.texts else value
                if isinstance(text, str) and "<lora:" in text:
                    yield id_, name, text


def _of_input(
    graph: Graph, node: Node, shape: NodeShape, name: str, value: Value, specs: NodeSpecs | None
) -> ModelUse | None:
    role = shape.roles.get(name)
    evidence, confidence = "table", Confidence.HIGH
    # Where an input takes a model's name, a primitive may stand behind it: `lora` may also be a link to a stack.
    linked = isinstance(value, Link)
    source = graph.nodes.get(value.node) if isinstance(value, Link) else None
    if source is not None and shape_of(source.class_type, tuple(source.inputs)).roles:
        return None  # what comes is no name but the model itself, or a name that is told of where it is chosen
    file = word_behind(graph, value, (name,)) if linked else value
    if not isinstance(file, str) or len(file) > MODEL_NAME_LIMIT or "\n" in file or name in _CHOOSING:
        return None
    if linked and not names_model_file(file):
        return None
    if specs is not None and (role is None or node.class_type in specs):
        folder = folder_of_options(specs, node.class_type, name, file)
        if folder is not None and role is None:
            role, evidence = folder, "object_info"
    if role is None:
        if not names_model_file(file):
            return None
        role, evidence, confidence = guessed_model_role(node.class_type, name, file), "heuristic", Confidence.MEDIUM
        if role == "unknown":
            confidence = Confidence.LOW
    if shape.is_saving or node.class_type.startswith("Save"):
        confidence = Confidence.LOW  # what a saver is told to write down was not necessarily used
        role = role if shape.roles.get(name) else "unknown"
    if ", " in file and not names_model_file(file):
        return None  # prose
    if file.strip().lower() in _NONE or role == "configs" or (file[:1] == "." and "." not in file[1:]):
        return None  # RES4LYF spells what is none of its files with a dot in front: `.use_ckpt_vae`
    if _is_off(graph, node, name):
        return None
    model, clip = _strengths(graph, node, name)
    is_air = _AIR.match(file) is not None
    return ModelUse(
        node=node.id,
        input=name,
        class_type=node.class_type,
        role=_air_role(file, role) if is_air else role,
        name=file,
        strength_model=model,
        strength_clip=clip,
        air=file if is_air else None,
        evidence=evidence,
        confidence=confidence,
    )


def _air_role(name: str, role: str) -> str:
    """The role that an AIR itself names: urn:air:<ecosystem>:<type>:<source>:<id>."""
    parts = name.lower().split(":")
    return _AIR_ROLES.get(parts[3], role) if len(parts) > 3 else role


def _is_off(graph: Graph, node: Node, name: str) -> bool:
    inputs = node.inputs
    index = _INDEX.search(name)
    number = "" if index is None else (index[1] or index[2])
    bare = number.lstrip("0")
    names = ["switch", "toggle", "enabled"] if "lora" in name.lower() or "switch" in inputs else ["switch"]
    if number:
        prefix = name[: index.start()] if index is not None else ""
        names += [f"{word}{gap}{digits}" for word in ("switch", "toggle", "enable", "enabled") for gap in ("_", "")
                  for digits in dict.fromkeys((number, bare))]  # fmt: skip
        names += [f"{prefix}_{number}_{word}" for word in ("enabled", "on", "toggle", "enable", "switch")]
        count = next(
            (
                counted
                for word in _COUNTS
                if word in inputs and (counted := number_behind(graph, inputs[word])) is not None
            ),
            None,
        )
        if count is not None and bare.isdigit() and int(bare) > count:
            return True
    return any(
        (literal := literal_behind(graph, inputs[other])) is False
        or (isinstance(literal, str) and literal.lower() in _OFF)
        for other in names
        if other in inputs
    )


_MODEL_STRENGTHS = (
    "strength_model", "model_strength", "model_weight", "lora_model_strength", "model_str", "strength_model_lora",
)  # fmt: skip
_CLIP_STRENGTHS = ("strength_clip", "clip_strength", "clip_weight", "lora_clip_strength", "clip_str")


def _strengths(graph: Graph, node: Node, name: str) -> tuple[float | None, float | None]:
    index = _INDEX.search(name)
    number = (index[1] or index[2]) if index else ""
    ends = ("",) if not number else (f"_{number}", number, f"_{number.lstrip('0')}", f"_0{number}")
    model = _number(graph, node, _MODEL_STRENGTHS, ends)
    clip = _number(graph, node, _CLIP_STRENGTHS, ends)
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


def _of_entries(node: Node, name: str, value: Json) -> Iterator[ModelUse]:
    """Power Lora Loader's `{"on": true, "lora": …, "strength": 1}`, Lora Manager's list of `{"name": …, "active": true}`."""
    if isinstance(value, dict):
        nested = value.get("__value__")
        if isinstance(nested, list):
            value = nested
        else:
            yield from _of_entry(node, name, value)
            return
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield from _of_entry(node, name, item)
        elif isinstance(item, str) and names_model_file(item) and len(item) <= MODEL_NAME_LIMIT:
            yield ModelUse(
                node=node.id,
                input=name,
                class_type=node.class_type,
                role=guessed_model_role(node.class_type, name, item),
                name=item,
                evidence="heuristic",
                confidence=Confidence.MEDIUM,
            )


def _of_entry(node: Node, name: str, entry: Mapping[str, Json]) -> Iterator[ModelUse]:
    told = (entry.get(key) for key in ("lora", "lora_name", "name", "file", "model_name", "path"))
    file = next((value for value in told if isinstance(value, str)), None)
    if file is None or file.strip().lower() in _NONE or len(file) > MODEL_NAME_LIMIT:
        return
    if any(entry.get(key) is False for key in ("on", "active", "enabled", "enable")):
        return
    is_lora = "lora" in entry or "lora" in f"{name} {node.class_type}".lower()
    if not is_lora and not names_model_file(file):
        return
    strength = next(
        (v for key in ("strength", "strength_model", "model_strength", "weight") if (v := entry.get(key)) is not None),
        None,
    )
    clip = next(
        (
            v
            for key in ("strengthTwo", "clipStrength", "strength_clip", "clip_strength")
            if (v := entry.get(key)) is not None
        ),
        None,
    )
    yield ModelUse(
        node=node.id,
        input=name,
        class_type=node.class_type,
        role="loras" if is_lora else guessed_model_role(node.class_type, name, file),
        name=file,
        strength_model=_entry_number(strength),
        strength_clip=_entry_number(clip),
        evidence="table" if is_lora else "heuristic",
        confidence=Confidence.HIGH if is_lora else Confidence.MEDIUM,
    )


def _entry_number(value: Json) -> float | None:
    if isinstance(value, str) and len(value) < 20:
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _of_text(graph: Graph, id_: str, name: str, text: str) -> Iterator[ModelUse]:
    node = graph.nodes[id_]
    lowered = text.lower()
    # A look first: the patterns are tried at every character, and prompts of 40,000 are real.
    for match in _EMBEDDING.finditer(text) if "embedding:" in lowered else ():
        yield ModelUse(
            node=id_,
            input=name,
            class_type=node.class_type,
            role="embeddings",
            name=match[1].rstrip(".;"),
            evidence="text",
        )
    if "<lora:" not in lowered or switched_rows(node) or not _reads_loras(graph, node, name):
        return
    for match in _LORA.finditer(text):
        strength = _entry_number(match[2])
        yield ModelUse(
            node=id_,
            input=name,
            class_type=node.class_type,
            role="loras",
            name=match[1].strip(),
            strength_model=strength,
            strength_clip=_entry_number(match[3]) if match[3] else strength,
            evidence="text",
            confidence=Confidence.MEDIUM,
        )


def _reads_loras(graph: Graph, node: Node, name: str) -> bool:
    """Whether the node, or the one that its text comes from, makes something of LoRAs in a text."""
    if shape_of(node.class_type, tuple(node.inputs)).reads_loras:
        return True
    value = node.inputs.get(name)
    other = graph.nodes.get(value.node) if isinstance(value, Link) else None
    return other is not None and shape_of(other.class_type, tuple(other.inputs)).reads_loras


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
