"""What a graph needs before it can run: its node classes and the weights it names. No database."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

from memoryd.dispatch.wire import Pin
from memoryd.foundation.canonical_json import NotJson, read_json
from memoryd.foundation.errors import NotAcceptable
from memoryd.workflows.facts import Graph
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.node_roles import model_role, names_model_file

LARGE_FOLDERS = ("checkpoints", "diffusion_models", "unet", "unet_gguf")
"""Folders of the weights whose loading decides where a job is warm."""

SAME_FOLDERS = {"unet": "diffusion_models", "clip": "text_encoders", "unet_gguf": "diffusion_models"}
"""Older names of folders. Source: ComfyUI, folder_paths.py (legacy names)."""

NAMED_LIMIT = 5
"""Missing things that one refusal names."""

MODEL_HINT = "put the file there, `memoryd models push` it so that workers fetch it, or choose another pool"

EDITOR_HINT = "in ComfyUI choose Workflow > Export (API), and send that file: the editor's own does not say what runs"

CYCLE = "graph-has-cycle"
"""The one finding for which ComfyUI has a word of its own, where the node specifications are known."""


class GraphRefused(NotAcceptable):
    """This graph cannot be run."""


class NodeClassUnknown(NotAcceptable):
    """No worker of this pool has a node class that the graph uses."""


class ModelUnknown(NotAcceptable):
    """No worker of this pool has a model that the graph names."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GraphNeeds:
    """What a graph needs. `models` are (folder, name as written), in the graph's order, each once."""

    classes: frozenset[str]
    models: tuple[tuple[str, str], ...]

    @property
    def model_set(self) -> str:
        """The name of the large model that decides where the job is warm; empty where it uses none."""
        return next((name for folder, name in self.models if folder in LARGE_FOLDERS), "")

    def pins(self) -> tuple[Pin, ...]:
        """Its models as pins that ask for no particular bytes."""
        return tuple(Pin(folder=folder, name=name) for folder, name in self.models)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GraphRead:
    """A prompt, read once. `document` is its JSON object; `graph` None where its nodes go in a circle."""

    document: dict[str, Any]
    graph: Graph | None

    @property
    def needs(self) -> GraphNeeds:
        """What it needs. Raises: GraphRefused where its nodes go in a circle."""
        if self.graph is None:
            raise GraphRefused("its nodes go in a circle", hint="a node cannot take what comes of itself")
        classes = frozenset(node.class_type for node in self.graph.nodes.values())
        return GraphNeeds(classes=classes, models=_models(self.graph))


def read_prompt(prompt: str) -> GraphRead:
    """Return a prompt (API format, JSON text) as it is read. Raises: GraphRefused, with what was found in it."""
    graph, findings = parse_graph(prompt.encode("utf-8", "surrogatepass"))
    codes = {finding.code for finding in findings}
    if graph is None and CYCLE not in codes:
        editor = "editor-graph" in codes
        raise GraphRefused(
            "this is the editor's own format"
            if editor
            else "; ".join(f"{finding.code}: {finding.detail}" for finding in findings[:NAMED_LIMIT]) or "no graph",
            hint=EDITOR_HINT,
        )
    try:
        document = read_json(prompt)
    except NotJson:
        document = None
    if not isinstance(document, dict):
        # Readers of old files forgive more than ComfyUI does: a text in a text, overwritten bytes.
        raise GraphRefused("it is no JSON object of nodes", hint=EDITOR_HINT)
    return GraphRead(document=document, graph=graph)


def read_document(document: dict[str, Any]) -> GraphRead:
    """Return a prompt that was made of one that was read before. Raises: GraphRefused."""
    graph, findings = parse_graph(json.dumps(document).encode("utf-8", "surrogatepass"))
    if graph is None and CYCLE not in {finding.code for finding in findings}:
        raise GraphRefused("; ".join(finding.detail for finding in findings[:NAMED_LIMIT]), hint=EDITOR_HINT)
    return GraphRead(document=document, graph=graph)


def read_needs(prompt: str) -> GraphNeeds:
    """Return what a prompt (API format, JSON text) needs. Raises: GraphRefused, with what was found in it."""
    return read_prompt(prompt).needs


def check_classes(needs: GraphNeeds, known: Collection[str] | None, *, pool: str) -> None:
    """Return where every class is known, or nothing is known of the pool. Raises: NodeClassUnknown, naming them."""
    unknown = sorted(needs.classes.difference(known)) if known is not None else []
    if unknown:
        raise NodeClassUnknown(
            f"pool {pool!r} lacks {', '.join(map(repr, unknown[:NAMED_LIMIT]))}",
            hint="install the node pack on a worker of this pool, or choose another pool",
            classes=unknown,
        )


def check_models(needs: GraphNeeds, offered: Mapping[str, Collection[str]] | None, *, pool: str) -> None:
    """Return where every model is offered, or its folder is not known. Raises: ModelUnknown, naming them."""
    missing = [] if offered is None else [use for use in needs.models if _is_missing(use, offered)]
    if missing:
        raise ModelUnknown(
            f"pool {pool!r} lacks {', '.join(repr(f'{folder}/{name}') for folder, name in missing[:NAMED_LIMIT])}",
            hint=MODEL_HINT,
            models=[f"{folder}/{name}" for folder, name in missing],
        )


def folders_of(folder: str) -> frozenset[str]:
    """Return the names, old and new, of a models folder."""
    return frozenset(
        {folder, SAME_FOLDERS.get(folder, folder)} | {o for o, new in SAME_FOLDERS.items() if new == folder}
    )


def slashed(name: str) -> str:
    """Return a model's name as every system's workers are compared by it: with forward slashes."""
    return name.replace("\\", "/")


def _is_missing(use: tuple[str, str], offered: Mapping[str, Collection[str]]) -> bool:
    folder, name = use
    known = [offered[one] for one in folders_of(folder) if one in offered]
    # Windows and Linux workers spell a path's separator differently; ComfyUI takes its own only, and says so.
    return bool(known) and not any(
        name == other or slashed(name) == slashed(other) for names in known for other in names
    )


def _models(graph: Graph) -> tuple[tuple[str, str], ...]:
    found: dict[tuple[str, str], None] = {}
    for node in graph.nodes.values():
        for input_name, value in node.inputs.items():
            role = model_role(node.class_type, input_name) if isinstance(value, str) else None
            if role is not None and isinstance(value, str) and names_model_file(value):
                found[role, value] = None
    return tuple(found)
