"""What can go wrong between us and a ComfyUI."""

from __future__ import annotations

from collections.abc import Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import NotAcceptable, NotFound, Unavailable


class EngineDown(Unavailable):
    """ComfyUI does not answer."""


class EngineSilent(EngineDown):
    """ComfyUI took the question and does not answer: it is busy, or it hangs."""


class EngineTrouble(Unavailable):
    """ComfyUI answered in a way that it should not."""


class EngineFileMissing(NotFound):
    """ComfyUI does not have this file."""


class PromptRefused(NotAcceptable):
    """ComfyUI refused the graph.

    `kind` is ComfyUI's own word (`prompt_outputs_failed_validation`, `missing_node_type`, …), `node_errors` its list by
    node id, as it sent them.
    """

    def __init__(self, detail: str, *, kind: str, node_errors: Mapping[str, Json], extra: Mapping[str, Json]) -> None:
        """`extra` is the error's `extra_info`: of a missing class its name and node."""
        super().__init__(detail, hint=_next_step(kind, node_errors), kind=kind, node_errors=dict(node_errors))
        self.kind = kind
        self.node_errors = node_errors
        self.extra = extra

    @property
    def lacks(self) -> bool:
        """Whether another ComfyUI, with more nodes or models, might accept the same graph.

        Not for a file that the graph reads: a job brings its inputs along, and one that it did not bring is its fault.
        """
        if self.kind in ("missing_node_type", "invalid_prompt"):
            return True
        words = error_words(self.node_errors)
        return "value_not_in_list" in words and "custom_validation_failed" not in words


def error_words(node_errors: Mapping[str, Json]) -> list[str]:
    """Return ComfyUI's words for what is wrong (`value_not_in_list`, …), node by node."""
    words: list[str] = []
    for node in node_errors.values():
        errors = node.get("errors") if isinstance(node, dict) else None
        listed = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
        words.extend(str(error["type"]) for error in listed if isinstance(error.get("type"), str))
    return words


def _next_step(kind: str, node_errors: Mapping[str, Json]) -> str:
    if kind in ("missing_node_type", "invalid_prompt"):
        return "install the node pack on this ComfyUI, or send the job to a pool that has it"
    words = error_words(node_errors)
    if "value_not_in_list" in words:
        return "a model or option that the graph names is not on this ComfyUI: see node_errors"
    if "custom_validation_failed" in words:
        return "a file that the graph reads is not in ComfyUI's input folder: see node_errors"
    return "see node_errors for the nodes and inputs to change"
