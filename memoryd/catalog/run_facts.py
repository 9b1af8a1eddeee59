"""A run's facts as rows, made fit for their columns. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias
from uuid import UUID

from memoryd.catalog.column_limits import FACTS_LIMIT, float8, int4, long_text, name, optional_name, seed_bytes
from memoryd.foundation.findings import Finding
from memoryd.workflows.facts import Parameters

ModelKey: TypeAlias = tuple[str, str]
"""(role, name as written)."""

FactRow: TypeAlias = tuple[object, ...]

_KEY = ("generation_id", "output_node", "ordinal", "node", "source", "confidence")
SAMPLER_COLUMNS = (
    *_KEY,
    "class_type",
    "seed",
    "steps",
    "cfg",
    "sampler",
    "scheduler",
    "denoise",
    "final",
)
PROMPT_COLUMNS = (*_KEY, "input", "polarity", "text", "is_template")
MODEL_COLUMNS = (
    *_KEY,
    "input",
    "class_type",
    "role",
    "name",
    "sha256",
    "identified",
    "claimed_hash",
    "air",
    "strength_model",
    "strength_clip",
    "evidence",
)
INPUT_COLUMNS = (*_KEY, "input", "class_type", "name", "sha256")


def sampler_rows(run: UUID, output_node: str, parameters: Parameters) -> Iterator[FactRow]:
    """Yield rows of SAMPLER_COLUMNS, at most FACTS_LIMIT."""
    for ordinal, use in enumerate(parameters.samplers[:FACTS_LIMIT]):
        yield (
            *(run, output_node, ordinal, name(use.node), use.source.value, use.confidence.value),
            name(use.class_type),
            *(seed_bytes(use.seed), int4(use.steps), float8(use.cfg)),
            *(optional_name(use.sampler), optional_name(use.scheduler), float8(use.denoise), use.final),
        )


def prompt_rows(run: UUID, output_node: str, parameters: Parameters) -> Iterator[FactRow]:
    """Yield rows of PROMPT_COLUMNS, at most FACTS_LIMIT."""
    for ordinal, use in enumerate(parameters.prompts[:FACTS_LIMIT]):
        yield (
            *(run, output_node, ordinal, name(use.node), use.source.value, use.confidence.value),
            *(name(use.input), use.polarity.value, long_text(use.text), use.is_template),
        )


def model_rows(
    run: UUID,
    output_node: str,
    parameters: Parameters,
    pins: Mapping[ModelKey, bytes],
    named: Mapping[ModelKey, bytes],
) -> Iterator[FactRow]:
    """Yield rows of MODEL_COLUMNS, at most FACTS_LIMIT: by a job's pin, else by an unambiguous name, else unknown."""
    for ordinal, use in enumerate(parameters.models[:FACTS_LIMIT]):
        pinned = pins.get((use.role, use.name))
        sha256 = pinned or named.get((use.role, use.name))
        yield (
            *(run, output_node, ordinal, name(use.node), use.source.value, use.confidence.value),
            *(name(use.input), name(use.class_type), name(use.role), name(use.name)),
            *(sha256, None if sha256 is None else "pin" if pinned else "name"),
            *(optional_name(use.claimed_hash), optional_name(use.air)),
            *(float8(use.strength_model), float8(use.strength_clip), name(use.evidence)),
        )


def input_rows(run: UUID, output_node: str, parameters: Parameters) -> Iterator[FactRow]:
    """Yield rows of INPUT_COLUMNS, at most FACTS_LIMIT."""
    for ordinal, use in enumerate(parameters.inputs[:FACTS_LIMIT]):
        yield (
            *(run, output_node, ordinal, name(use.node), use.source.value, use.confidence.value),
            *(name(use.input), name(use.class_type), name(use.name), use.sha256),
        )


def limit_findings(parameters: Parameters) -> tuple[Finding, ...]:
    """Return what the columns could not hold, so that it is told and not lost silently."""
    findings = []
    for what in ("samplers", "prompts", "models", "inputs"):
        if (count := len(getattr(parameters, what))) > FACTS_LIMIT:
            detail = f"{count} {what}, of which {FACTS_LIMIT} are kept as facts (FACTS_LIMIT)"
            findings.append(Finding(code="too-many-facts", detail=detail, where=what))
    for use in parameters.samplers[:FACTS_LIMIT]:
        if use.seed is not None and seed_bytes(use.seed) is None:
            detail = f"seed {str(use.seed)[:40]} is outside 0 to 2^64-1: kept as unknown"
            findings.append(Finding(code="seed-out-of-range", detail=detail, where=name(use.node)))
    return tuple(findings)


def model_keys(parameters: Parameters) -> set[ModelKey]:
    """Return the names of models that a reading tells of."""
    return {(use.role, use.name) for use in parameters.models[:FACTS_LIMIT]}
