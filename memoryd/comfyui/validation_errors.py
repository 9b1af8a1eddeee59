"""The errors of validation as ComfyUI spells them: type, message, details, extra_info. Source: ComfyUI 0.29, observed."""

from __future__ import annotations

from typing import Any

from memoryd.comfyui.validation_rules import InputRule
from memoryd.foundation.canonical_json import Json

ECHOED_OPTIONS = 20
"""An option list longer than this is not echoed in an error. Source: observed."""


def problem(kind: str, message: str, details: str, **extra: Json) -> dict[str, Json]:
    """Return one error as ComfyUI spells it."""
    return {"type": kind, "message": message, "details": details, "extra_info": dict(extra)}


def missing_class(node_id: str, node: dict[str, Any]) -> dict[str, Json]:
    """Return what is said of a node whose class is not there."""
    class_type = node.get("class_type")
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    if "class_type" not in node:
        named = title or f"ID #{node_id}"
        message = f"Node '{named}' has no class_type. The workflow may be corrupted or a custom node is missing."
    else:
        message = f"Node '{title or class_type}' not found. The custom node may not be installed."
    facts: dict[str, Json] = {"node_id": node_id, "class_type": class_type, "node_title": title}
    if "class_type" in node and title is None:
        facts["node_title"] = class_type
    return problem("missing_node_type", message, f"Node ID '#{node_id}'", **facts)


def thrown(error: Exception) -> dict[str, Json]:
    """Return what is said of an output that could not be judged."""
    facts: dict[str, Json] = {"exception_type": type(error).__name__, "traceback": []}
    return problem("exception_during_validation", "Exception when validating node", str(error), **facts)


def inner(error: Exception, rule: InputRule, link: list[Json]) -> dict[str, Json]:
    """Return what is said of a node that could not be judged, by the one that asked for it."""
    facts: dict[str, Json] = {
        "input_config": rule.config,
        "exception_message": str(error),
        "exception_type": type(error).__name__,
        "traceback": [],
        "linked_node": link,
    }
    sentence = "Exception when validating inner node"
    return problem("exception_during_inner_validation", sentence, str(error), input_name=rule.name, **facts)


def unconverted(rule: InputRule, received: Json, error: Exception) -> dict[str, Json]:
    """Return what is said of a literal that is not of its input's type."""
    facts: dict[str, Json] = {"input_config": rule.config, "received_value": received, "exception_message": str(error)}
    sentence = f"Failed to convert an input value to a {rule.type} value"
    details = f"{rule.name}, {received}, {error}"
    return problem("invalid_input_type", sentence, details, input_name=rule.name, **facts)


def out_of_bounds(rule: InputRule, value: Any) -> dict[str, Json] | None:
    """Return what is said of a number beyond its bounds, None within them."""
    facts: dict[str, Json] = {"input_name": rule.name, "input_config": rule.config, "received_value": value}
    if rule.minimum is not None and value < rule.minimum:
        message = f"Value {value} smaller than min of {rule.minimum}"
        return problem("value_smaller_than_min", message, rule.name, **facts)
    if rule.maximum is not None and value > rule.maximum:
        message = f"Value {value} bigger than max of {rule.maximum}"
        return problem("value_bigger_than_max", message, rule.name, **facts)
    return None


def not_offered(rule: InputRule, received: Json) -> dict[str, Json] | None:
    """Return what is said of a value that is not among the options, None for one that is."""
    if rule.options is None or rule.offers(received):
        return None
    short = len(rule.options) <= ECHOED_OPTIONS
    listed = str(list(rule.options)) if short else f"(list of length {len(rule.options)})"
    facts: dict[str, Json] = {"input_config": rule.config if short else None, "received_value": received}
    details = f"{rule.name}: {received!r} not in {listed}"
    return problem("value_not_in_list", "Value not in list", details, input_name=rule.name, **facts)
