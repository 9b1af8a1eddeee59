"""What a file must say of itself, decided from evidence alone; without evidence, undecided (INV-7).

    evidence                                       statement
    no graph                                       undecided
    sampler, from text alone                       created, trainedAlgorithmicMedia
    a sampler that a tool's own text names         the same, and that it rests on that text
    the editor's graph alone                       undecided: drawn is not run
    a person's declaration alone, that it is       created, trainedAlgorithmicMedia, and that it is only declared
    sampler that continued a picture               that picture opened, then edited, compositeWithTrainedAlgorithmicMedia
    sampler, and a picture pasted past it          created, compositeWithTrainedAlgorithmicMedia, the picture placed
    sampler, painted by the stand-in               created or edited, algorithmicMedia: no trained model was there
    no sampler, enlarged by an upscale model       opened, edited, algorithmicallyEnhanced
    no sampler, no model, no input                 created, algorithmicMedia
    no sampler, no model, inputs of known making   opened, edited, as its inputs
    anything else                                  undecided

Source: IPTC digital source types; C2PA 2.2 section 18.15; compositing rules as the C2PA public rubric checks them.
"""

from __future__ import annotations

from memoryd.disclosure.facts import (
    MADE_BY_AI,
    Deed,
    Evidence,
    InputEvidence,
    InputPart,
    SourceType,
    Statement,
    Undecided,
)
from memoryd.plugin_api.facts import Confidence
from memoryd.workflows.facts import Parameters, Source

_UPSCALE_ROLES = frozenset({"upscale_models", "latent_upscale_models"})
_DECLARE = "disclose it where its making is known, or record the run that made it"


def what_to_say(evidence: Evidence) -> Statement | Undecided:
    """Return what the file must say, or why nothing can be said.

    Nothing is ever said to be made by a trained model without a sampler among what the picture depends on, and never
    when our own stand-in painted it.
    """
    parameters = evidence.parameters
    if parameters is None:
        return Undecided(
            reason="there is no graph: nothing tells how this was made",
            hint="a picture saved without metadata proves nothing; " + _DECLARE,
        )
    if _is_only_drawn(parameters):
        return Undecided(
            reason="the file holds the editor's graph alone: what was drawn, not proven to have run", hint=_DECLARE
        )
    if not evidence.agreed:
        return Undecided(
            reason="the graph saves several pictures, made in different ways, and the file does not say which it is",
            hint="give the file the name that ComfyUI gave it, or disclose the asset of the recorded run",
        )
    if parameters.generates:
        return _generated(evidence, parameters)
    return _processed(evidence)


def _is_only_drawn(parameters: Parameters) -> bool:
    sources = {use.source for use in parameters.samplers} | {use.source for use in parameters.prompts}
    sources |= {use.source for use in parameters.models} | {use.source for use in parameters.inputs}
    return Source.EDITOR in sources and Source.EXECUTED not in sources


def _generated(evidence: Evidence, parameters: Parameters) -> Statement | Undecided:
    if parameters.samplers and all(use.source is Source.INFERRED for use in parameters.samplers):
        return Undecided(reason="that a sampler took part is only inferred, not written anywhere", hint=_DECLARE)
    if not parameters.samplers and evidence.exact is None and not evidence.declared:
        return Undecided(reason="a trained model is named or said to have made it, and no sampler", hint=_DECLARE)
    by_text = bool(parameters.samplers) and all(use.source is Source.TEXT for use in parameters.samplers)
    if by_text and all(use.confidence is Confidence.LOW for use in parameters.samplers):
        return Undecided(reason="that a sampler took part is a guess: its text was filled in by hand", hint=_DECLARE)
    if by_text and not evidence.inputs and all((use.denoise or 1.0) < 1.0 for use in parameters.samplers):
        return Undecided(reason="it was made from another picture, and its text does not say which", hint=_DECLARE)
    inputs = _parents_sorted(evidence.inputs)
    continued = [use for use in inputs if use.part in (InputPart.BASE, InputPart.UNKNOWN)]
    placed = [use for use in inputs if use.part is InputPart.PLACED]
    if evidence.engine.stand_in:
        return Statement(
            source_type=SourceType.ALGORITHMIC,
            deed=Deed.EDITED if continued else Deed.CREATED,
            evidence=evidence,
            inputs=inputs,
            reasons=("painted by the stand-in engine, by a rule: no trained model was there",),
        )
    sampled = "a sampler stands among what this picture depends on"
    if by_text:
        sampled = "the text that a generator wrote into the file names a sampler"
    if evidence.declared:
        sampled = "a person declares that a trained model made it; nothing in the file says so"
    if continued:
        return Statement(
            source_type=SourceType.COMPOSITE_TRAINED,
            deed=Deed.EDITED,
            evidence=evidence,
            inputs=inputs,
            reasons=(sampled, "an input picture was what it worked on"),
        )
    if placed:
        return Statement(
            source_type=SourceType.COMPOSITE_TRAINED,
            deed=Deed.CREATED,
            evidence=evidence,
            inputs=inputs,
            reasons=(sampled, "an input picture was placed into the result"),
        )
    return Statement(
        source_type=SourceType.TRAINED, deed=Deed.CREATED, evidence=evidence, inputs=inputs, reasons=(sampled,)
    )


def _processed(evidence: Evidence) -> Statement | Undecided:
    inputs = _parents_sorted(evidence.inputs)
    known_sources = {use.source_type for use in inputs}
    if evidence.models:
        if {use.role for use in evidence.models} <= _UPSCALE_ROLES and inputs:
            from_ai = bool(known_sources & MADE_BY_AI)
            return Statement(
                source_type=SourceType.COMPOSITE_TRAINED if from_ai else SourceType.ENHANCED,
                deed=Deed.EDITED,
                evidence=evidence,
                inputs=inputs,
                reasons=("an input picture was enlarged by an upscale model; no sampler took part",),
            )
        return Undecided(
            reason="a model took part, but no sampler that we know: it may have generated, or only measured",
            hint=_DECLARE,
        )
    if not evidence.model_free:
        return Undecided(
            reason="no sampler was found, but a node took part that we do not know: it may hold a model", hint=_DECLARE
        )
    if not inputs:
        return Statement(
            source_type=SourceType.ALGORITHMIC,
            deed=Deed.CREATED,
            evidence=evidence,
            reasons=("made by nodes that compute by a fixed rule, from no input",),
        )
    if known_sources & MADE_BY_AI:
        source_type = SourceType.COMPOSITE_TRAINED
    elif known_sources == {SourceType.ALGORITHMIC}:
        source_type = SourceType.ALGORITHMIC
    else:
        unknown = sum(1 for use in inputs if use.source_type is None)
        return Undecided(
            reason=f"no model took part, but how {unknown or len(inputs)} of its input pictures was made is not known",
            hint="record or disclose the input pictures first",
        )
    return Statement(
        source_type=source_type,
        deed=Deed.EDITED,
        evidence=evidence,
        inputs=inputs,
        reasons=("processed by a fixed rule, from input pictures whose making is known",),
    )


def _parents_sorted(inputs: tuple[InputEvidence, ...]) -> tuple[InputEvidence, ...]:
    """Return each input once, with at most one base: the first that was continued. A manifest may have one parent."""
    order = [InputPart.BASE, InputPart.UNKNOWN, InputPart.PLACED, InputPart.GUIDE]
    unique: dict[object, InputEvidence] = {}
    for use in sorted(inputs, key=lambda use: order.index(use.part)):
        unique.setdefault(use.sha256 or use.name, use)
    return tuple(unique.values())
