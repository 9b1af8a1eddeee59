"""Says about a graph what ComfyUI says, by the rules that memoryd checks graphs with, and the files that lie here."""

from __future__ import annotations

from typing import Any

from memoryd.comfyui.specs import NodeSpecs
from memoryd.comfyui.validation import Judged, NoGraph
from memoryd.comfyui.validation import judge_graph as judge_by_rules
from memoryd.stand_in.catalogue import CLASSES, specification
from memoryd.stand_in.folders import Folders, OutsideFolder


def judge_graph(prompt: Any, folders: Folders, targets: list[str] | None = None) -> Judged:
    """Return what ComfyUI would say; numbers in `prompt` are coerced in place. `targets`: only these outputs.

    Raises: NoGraph where it is no object of objects.
    """

    def has_file(name: str) -> bool:
        try:
            return folders.annotated(name).is_file()
        except OutsideFolder:
            return False

    if not isinstance(prompt, dict) or not all(isinstance(node, dict) for node in prompt.values()):
        raise NoGraph
    named = {node.get("class_type") for node in prompt.values() if isinstance(node.get("class_type"), str)}
    specs = NodeSpecs({name: specification(name, folders) for name in named & CLASSES})
    return judge_by_rules(prompt, specs, has_file=has_file, targets=targets)


__all__ = ["Judged", "NoGraph", "judge_graph"]
