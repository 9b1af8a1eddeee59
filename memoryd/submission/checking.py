"""Whether a graph can run in a pool, said in ComfyUI's words before a worker has it: from what the pool's workers told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memoryd.comfyui.validation import Judged, judge_graph
from memoryd.comfyui.validation_errors import problem
from memoryd.dispatch.wire import InputFile
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.texts import storable
from memoryd.submission.graph_needs import (
    MODEL_HINT,
    NAMED_LIMIT,
    GraphRead,
    ModelUnknown,
    NodeClassUnknown,
    check_classes,
    check_models,
)
from memoryd.submission.pool_knowledge import PoolKnowledge
from memoryd.workflows.node_roles import model_role

SEED_LIMIT = 2**64 - 1
"""The greatest seed. Source: ComfyUI 0.29, KSampler and RandomNoise."""

UNCHECKED_HINT = (
    "change what is named; where ComfyUI knows better: `memoryd submit --unchecked`, `unchecked` in the API"
)


class PromptInvalid(NotAcceptable):
    """ComfyUI would refuse this graph."""


class InputMissing(NotAcceptable):
    """A file that the graph reads is neither sent along nor on a worker of this pool."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A graph that may be queued. `against` says what it was checked against: `specifications`, `classes` or `nothing`.

    `node_errors` are of outputs that ComfyUI will leave out, while others run.
    """

    against: str
    node_errors: Mapping[str, Json] = dataclasses.field(default_factory=dict)


NOTHING_KNOWN = Checked(against="nothing")


def check_graph(
    read: GraphRead, knowledge: PoolKnowledge, *, inputs: Sequence[InputFile], pool: str, unchecked: bool = False
) -> Checked:
    """Return a graph as checked against what is known of a pool; where nothing is, it is accepted.

    `unchecked`: ComfyUI shall decide; only what can never run is refused.
    Raises: PromptInvalid, NodeClassUnknown, ModelUnknown, InputMissing, each with `error` and `node_errors` as ComfyUI
    spells them; GraphRefused where nodes go in a circle and nothing is known of the pool.
    """
    check_seeds(read.document)
    if unchecked:
        check_classes(read.needs, knowledge.classes, pool=pool)
        return NOTHING_KNOWN
    node_errors: Mapping[str, Json] = {}
    if knowledge.rules is not None:
        judged = judge_graph(
            # Numbers in it are coerced, as ComfyUI does; what is stored is the text that was sent.
            read.document,
            knowledge.rules,
            brought=frozenset(names_of(inputs)),
            unspecified=knowledge.classes or (),
        )
        if judged.error is not None:
            raise _refusal(read, judged, knowledge, pool)
        node_errors = judged.node_errors
    else:
        check_classes(read.needs, knowledge.classes, pool=pool)
    if not node_errors:
        check_models(read.needs, knowledge.offered, pool=pool)
    against = "specifications" if knowledge.rules is not None else "classes" if knowledge.classes else "nothing"
    return Checked(against=against, node_errors=_shown(node_errors))


def names_of(inputs: Iterable[InputFile]) -> Iterable[str]:
    """Yield the names by which a graph may name files that a job brings along."""
    for file in inputs:
        name = f"{file.subfolder}/{file.name}" if file.subfolder else file.name
        yield f"{name} [{file.type}]"
        if file.type == "input":
            yield name


def _refusal(read: GraphRead, judged: Judged, knowledge: PoolKnowledge, pool: str) -> NotAcceptable:
    assert judged.error is not None
    facts: dict[str, Any] = {"error": _shown(judged.error), "node_errors": _shown(judged.node_errors)}
    if judged.error["type"] == "missing_node_type":
        known = knowledge.classes or frozenset()
        used = (node.get("class_type") for node in read.document.values())
        unknown = sorted({name for name in used if isinstance(name, str) and name not in known})
        if unknown:
            return NodeClassUnknown(
                storable(f"pool {pool!r} lacks {', '.join(map(repr, unknown[:NAMED_LIMIT]))}")[0],
                hint="install the node pack on a worker of this pool, or choose another pool",
                classes=[storable(name)[0] for name in unknown],
                **facts,
            )
        return PromptInvalid(_text(judged.error["message"]), hint=UNCHECKED_HINT, **facts)
    return _refusal_of(judged.error, judged.node_errors)


def refusal_of_values(node_id: str, class_type: str, errors: Sequence[dict[str, Json]]) -> NotAcceptable:
    """Return the refusal of values that one node cannot take."""
    node: dict[str, Json] = {"errors": list(errors), "dependent_outputs": [], "class_type": class_type}
    error = problem("prompt_outputs_failed_validation", "Prompt outputs failed validation", "")
    return _refusal_of(error, {node_id: node})


def _refusal_of(error: Mapping[str, Json], node_errors: Mapping[str, Json]) -> NotAcceptable:
    facts: dict[str, Any] = {"error": _shown(error), "node_errors": _shown(node_errors)}
    found = list(_errors_of(node_errors))
    detail = "; ".join(_sentence(*each) for each in found[:NAMED_LIMIT]) or _text(error["message"])
    if found and all(each["type"] == "custom_validation_failed" for _, _, each in found):
        return InputMissing(
            detail, hint="send it along (`--input NAME=FILE`, or POST /v1/inputs and `inputs`)", **facts
        )
    models = [_model_of(*each) for each in found]
    if found and all(models):
        return ModelUnknown(
            detail,
            hint=MODEL_HINT,
            models=models,
            **facts,
        )
    return PromptInvalid(detail, hint=UNCHECKED_HINT, **facts)


def _errors_of(node_errors: Mapping[str, Json]) -> Iterable[tuple[str, str, dict[str, Any]]]:
    for node_id, node in node_errors.items():
        assert isinstance(node, dict)
        errors = node["errors"]
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict):
                yield node_id, str(node["class_type"]), error


def _sentence(node_id: str, class_type: str, error: Mapping[str, Any]) -> str:
    return _text(f"node {node_id} ({class_type}): {error['message']}: {error['details']}")


def _model_of(node_id: str, class_type: str, error: Mapping[str, Any]) -> str | None:
    name = error["extra_info"].get("input_name")
    if error["type"] != "value_not_in_list" or not isinstance(name, str):
        return None
    folder = model_role(class_type, name)
    return None if folder is None else _text(f"{folder}/{error['extra_info'].get('received_value')}")


def check_seeds(document: Mapping[str, Any]) -> None:
    """Return where every seed is one, also where nothing is known: no worker could take others. Raises: PromptInvalid."""
    wrong: dict[str, Json] = {}
    for node_id, node in document.items():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        errors: list[Json] = []
        for name, value in inputs.items() if isinstance(inputs, dict) else ():
            if name in ("seed", "noise_seed") and isinstance(value, int) and value > SEED_LIMIT:
                message = f"Value {value} bigger than max of {SEED_LIMIT}"
                extra: dict[str, Json] = {"input_name": name, "received_value": value}
                errors.append(problem("value_bigger_than_max", message, name, **extra))
        if errors:
            wrong[node_id] = {"errors": errors, "dependent_outputs": [], "class_type": node.get("class_type")}
    if wrong:
        error = problem("prompt_outputs_failed_validation", "Prompt outputs failed validation", "")
        detail = "; ".join(_sentence(*each) for each in list(_errors_of(wrong))[:NAMED_LIMIT])
        raise PromptInvalid(
            detail,
            hint=f"a seed is 0 to {SEED_LIMIT} (2^64 - 1)",
            error=_shown(error),
            node_errors=_shown(wrong),
        )


def _text(value: object) -> str:
    return storable(str(value))[0][:2_000]


def _shown(value: Any) -> Any:
    """Return a value as an answer may hold it: no lone surrogates, and integers beyond 2^53 as text."""
    if isinstance(value, str):
        return storable(value)[0]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return str(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    if isinstance(value, Mapping):
        return {storable(str(name))[0]: _shown(member) for name, member in value.items()}
    return value
