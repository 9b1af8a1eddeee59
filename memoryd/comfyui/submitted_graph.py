"""A graph as it is submitted: without what ComfyUI itself wrote into it while it ran.

ComfyUI writes `is_changed` into a node when it executes it, and the saved file keeps it. A submitted one is trusted
instead of computed: an overwritten input file would go unnoticed, and the old picture come out of the cache.
Source: ComfyUI 0.29, execution.py (IsChangedCache.get), tried.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from memoryd.foundation.canonical_json import Json, NotJson, read_json

IS_CHANGED = "is_changed"


def without_is_changed(prompt: Mapping[str, Json]) -> dict[str, Json]:
    """Return a prompt (API format) whose nodes carry no `is_changed`; the order of everything else is kept.

    Only a node's own member is meant: ComfyUI looks at no other, and an input of that name is part of the graph.
    """
    return {
        id_: {name: member for name, member in node.items() if name != IS_CHANGED} if isinstance(node, dict) else node
        for id_, node in prompt.items()
    }


def submittable(prompt: str) -> str:
    """Return a prompt's text without any node's `is_changed`, however its name is spelled; without one, verbatim."""
    # JSON may spell a letter as an escape; a text without either holds none.
    if IS_CHANGED not in prompt and "\\u" not in prompt:
        return prompt
    try:
        graph = read_json(prompt)
    except NotJson:
        return prompt
    if not isinstance(graph, dict) or not any(isinstance(node, dict) and IS_CHANGED in node for node in graph.values()):
        return prompt
    return json.dumps(without_is_changed(graph))
