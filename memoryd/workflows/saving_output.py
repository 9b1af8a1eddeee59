"""Which node wrote a file: the file does not say, but its name often does."""

from __future__ import annotations

import dataclasses
import re

from memoryd.workflows.facts import Graph
from memoryd.workflows.literals import word_behind
from memoryd.workflows.recipe_v1 import is_preview
from memoryd.workflows.tracing import root_outputs, saving_outputs

_TOKEN = re.compile(r"%[^%]*%")
_ENDING = re.compile(r"_\d{5,}_?\.[A-Za-z0-9]{1,5}$", re.ASCII)
"""`{prefix}_{counter:05}_.png`; some savers leave out the last underscore. Source: ComfyUI 0.29, folder_paths.py."""

_TEMPORARY = re.compile(r"^ComfyUI_temp_[a-z]{5}_\d+_?\.", re.ASCII)
"""The names that PreviewImage gives. Source: ComfyUI 0.29, nodes.py."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SavingOutput:
    """The node that a file is taken to be from; `certain` is False where others could have written it as well."""

    node: str
    certain: bool


def find_saving_output(graph: Graph, filename: str | None = None) -> SavingOutput | None:
    """Return the node that wrote the file of this name, None where the graph has no output at all.

    The only saving node is certain. Among several, the one whose `filename_prefix` alone gives such a name is certain;
    otherwise the first that fits (or the first at all) is taken, and is not.
    """
    candidates = saving_outputs(graph)
    base = re.split(r"[\\/]", filename)[-1] if filename else ""
    if _TEMPORARY.match(base):
        previews = tuple(id_ for id_, node in graph.nodes.items() if is_preview(node.class_type))
        candidates = previews or candidates
    if not candidates:
        candidates = root_outputs(graph)
    if not candidates:
        return None
    if len(candidates) == 1:
        return SavingOutput(node=candidates[0], certain=True)
    fitting = [id_ for id_ in candidates if base and _fits(graph, id_, base)]
    if len(fitting) == 1:
        return SavingOutput(node=fitting[0], certain=True)
    return SavingOutput(node=(fitting or candidates)[0], certain=False)


def _fits(graph: Graph, id_: str, base: str) -> bool:
    prefix = word_behind(graph, graph.nodes[id_].inputs.get("filename_prefix"), ("filename_prefix",))
    ending = _ENDING.search(base)
    if prefix is None or ending is None:
        return False
    # %tokens% are filled in when the file is saved: each stands for anything. Leftmost finds, so that it stays linear.
    first, *middle = _TOKEN.split(re.split(r"[\\/]", prefix)[-1])
    stem = base[: ending.start()]
    if not middle:
        return stem == first
    place, last = len(first), middle.pop()
    if not stem.startswith(first):
        return False
    for part in middle:
        found = stem.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return stem.endswith(last) and len(stem) - len(last) >= place
