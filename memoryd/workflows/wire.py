"""The shapes of graphs, parameters and differences in HTTP and in the commands' JSON.

Integers that may exceed 2^53 (seeds, and any literal of a graph) are texts; digests are lower-case hex.
"""

from __future__ import annotations

from pydantic import BaseModel, JsonValue

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.findings import Finding
from memoryd.workflows.difference import GraphDifference, InputChange, NodeShown, Side
from memoryd.workflows.facts import Identities, Parameters

_EXACT_LIMIT = 2**53


class FindingShape(BaseModel):
    """Something that could not be read or decided."""

    code: str
    detail: str
    where: str


class SamplerShape(BaseModel):
    """One sampling pass."""

    node: str
    class_type: str
    seed: str | None
    steps: int | None
    cfg: float | None
    sampler: str | None
    scheduler: str | None
    denoise: float | None
    final: bool
    source: str
    confidence: str


class PromptShape(BaseModel):
    """One text that conditioned a sampler."""

    node: str
    input: str
    polarity: str
    text: str
    is_template: bool
    source: str
    confidence: str


class ModelShape(BaseModel):
    """One model file that took part."""

    node: str
    input: str
    class_type: str
    role: str
    name: str
    strength_model: float | None
    strength_clip: float | None
    evidence: str
    source: str
    confidence: str
    claimed_hash: str | None
    air: str | None


class InputShape(BaseModel):
    """One input file."""

    node: str
    input: str
    class_type: str
    name: str
    sha256: str | None
    source: str
    confidence: str


class ParametersShape(BaseModel):
    """What the ancestors of an output say about how it was made."""

    node: str | None
    certain: bool
    generates: bool
    samplers: list[SamplerShape]
    prompts: list[PromptShape]
    models: list[ModelShape]
    inputs: list[InputShape]
    width: int | None
    height: int | None
    tool: str | None
    tool_version: str | None
    settings: list[tuple[str, str]]


class IdentitiesShape(BaseModel):
    """A graph's identities."""

    recipe: str
    exact: str
    workflow: str
    structure: str
    node_count: int


class NodeShape(BaseModel):
    """A node, by id, class and title."""

    node: str
    class_type: str
    title: str | None


class SideShape(BaseModel):
    """An input's value on one side of a difference: absent, a literal, or a link to a node's output."""

    present: bool
    literal: JsonValue
    link: NodeShape | None
    slot: int | None


class InputChangeShape(BaseModel):
    """An input that differs between two matched nodes."""

    class_type: str
    title: str | None
    node_before: str
    node_after: str
    input: str
    before: SideShape
    after: SideShape


class GraphDifferenceShape(BaseModel):
    """What differs between two graphs."""

    same: bool
    same_workflow: bool
    changes: list[InputChangeShape]
    added: list[NodeShape]
    removed: list[NodeShape]


def show_finding(finding: Finding) -> FindingShape:
    """Return a finding as it is shown."""
    return FindingShape(**finding.as_json())


def show_literal(value: Json) -> JsonValue:
    """Return a literal that every JSON reader reads exactly: integers beyond 2^53 as text."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT_LIMIT:
        return str(value)
    if isinstance(value, list):
        return [show_literal(item) for item in value]
    if isinstance(value, dict):
        return {name: show_literal(item) for name, item in value.items()}
    return value


def show_parameters(parameters: Parameters) -> ParametersShape:
    """Return parameters as they are shown."""
    return ParametersShape(
        node=parameters.node,
        certain=parameters.certain,
        generates=parameters.generates,
        samplers=[
            SamplerShape(
                node=use.node,
                class_type=use.class_type,
                seed=None if use.seed is None else str(use.seed),
                steps=use.steps,
                cfg=use.cfg,
                sampler=use.sampler,
                scheduler=use.scheduler,
                denoise=use.denoise,
                final=use.final,
                source=use.source.value,
                confidence=use.confidence.value,
            )
            for use in parameters.samplers
        ],
        prompts=[
            PromptShape(
                node=use.node,
                input=use.input,
                polarity=use.polarity.value,
                text=use.text,
                is_template=use.is_template,
                source=use.source.value,
                confidence=use.confidence.value,
            )
            for use in parameters.prompts
        ],
        models=[
            ModelShape(
                node=use.node,
                input=use.input,
                class_type=use.class_type,
                role=use.role,
                name=use.name,
                strength_model=use.strength_model,
                strength_clip=use.strength_clip,
                evidence=use.evidence,
                claimed_hash=use.claimed_hash,
                air=use.air,
                source=use.source.value,
                confidence=use.confidence.value,
            )
            for use in parameters.models
        ],
        inputs=[
            InputShape(
                node=use.node,
                input=use.input,
                class_type=use.class_type,
                name=use.name,
                sha256=use.sha256.hex() if use.sha256 else None,
                source=use.source.value,
                confidence=use.confidence.value,
            )
            for use in parameters.inputs
        ],
        width=parameters.width,
        height=parameters.height,
        tool=parameters.tool,
        tool_version=parameters.tool_version,
        settings=list(parameters.settings),
    )


def show_identities(identities: Identities) -> IdentitiesShape:
    """Return identities as they are shown."""
    return IdentitiesShape(
        recipe=identities.recipe,
        exact=identities.exact.hex(),
        workflow=identities.workflow.hex(),
        structure=identities.structure.hex(),
        node_count=identities.node_count,
    )


def _node(shown: NodeShown) -> NodeShape:
    return NodeShape(node=shown.node, class_type=shown.class_type, title=shown.title)


def _side(side: Side) -> SideShape:
    return SideShape(
        present=side.present,
        literal=show_literal(side.literal),
        link=_node(side.link) if side.link else None,
        slot=side.slot,
    )


def _change(change: InputChange) -> InputChangeShape:
    return InputChangeShape(
        class_type=change.class_type,
        title=change.title,
        node_before=change.node_before,
        node_after=change.node_after,
        input=change.input,
        before=_side(change.before),
        after=_side(change.after),
    )


def show_difference(difference: GraphDifference) -> GraphDifferenceShape:
    """Return a difference as it is shown."""
    return GraphDifferenceShape(
        same=difference.same,
        same_workflow=difference.same_workflow,
        changes=[_change(change) for change in difference.changes],
        added=[_node(node) for node in difference.added],
        removed=[_node(node) for node in difference.removed],
    )
