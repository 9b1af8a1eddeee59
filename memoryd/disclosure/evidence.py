"""Gathering evidence: from a file's own graph, and from what the memory knows of the run that made it. No database here."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from memoryd.catalog.asset_view import AssetView, GenerationView
from memoryd.catalog.facts import GenerationOrigin, MadeSource
from memoryd.comfyui.facts import STAND_IN_MARK
from memoryd.disclosure.facts import EngineEvidence, Evidence, InputEvidence, InputPart, ModelEvidence, SourceType
from memoryd.disclosure.input_parts import input_parts, is_model_free
from memoryd.foundation.errors import MemorydError
from memoryd.plugin_api.door import HEAD_SIZE, choose_plugin, read_stream
from memoryd.plugin_api.facts import Completeness
from memoryd.workflows.facts import RECIPE, Graph, InputUse, ModelUse, Parameters, PromptUse, SamplerUse
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.identity import identify
from memoryd.workflows.parameters import read_parameters
from memoryd.workflows.samplers import find_samplers
from memoryd.workflows.tracing import execution_order, saving_outputs

STAND_IN_NAME = "memoryd stand-in engine"
UNNAMED = "a generator that the file does not name"
"""What wrote a file whose text has the settings of a generation, and no name."""
DECLARED_NAME = "a generator that a person named"
"""What executed a run that is only declared: which program it was is that person's word, and not repeated as a fact."""


def evidence_in_file(path: Path, *, name: str | None = None) -> Evidence:
    """Return what a file itself tells of its making. `name` is what it was called when it was written, if not as now.

    Raises: OSError.
    """
    with path.open("rb") as file:
        return evidence_in_stream(file, name=name or path.name)


def evidence_in_stream(file: BinaryIO, *, name: str) -> Evidence:
    """Return what an open file itself tells of its making. Raises: OSError."""
    plugin = choose_plugin(file.read(HEAD_SIZE))
    file.seek(0)
    if plugin is None or plugin.completeness(file) is not Completeness.COMPLETE:
        return Evidence(parameters=None)
    reading = read_stream(plugin, file)
    if reading.prompt is None:
        return Evidence(parameters=None)
    stand_in = any(carrier.key == STAND_IN_MARK for carrier in reading.carriers)
    return evidence_in_prompt(reading.carriers[reading.prompt].raw, name=name, stand_in=stand_in)


def evidence_in_prompt(raw: bytes, *, name: str, stand_in: bool = False) -> Evidence:
    """Return what an executed prompt (JSON bytes) tells of the file of this name that it made."""
    graph, _ = parse_graph(raw)
    if graph is None:
        return Evidence(parameters=None)
    try:
        identities = identify(graph)
        parameters = read_parameters(graph, filename=name)
    except MemorydError:
        # A graph that has no identity (a circle, a limit) was never executed as it stands: it proves nothing.
        return Evidence(parameters=None)
    node = parameters.node or ""
    parts = input_parts(graph, node, (use.node for use in parameters.samplers), (use.node for use in parameters.inputs))
    return Evidence(
        parameters=parameters,
        inputs=tuple(
            InputEvidence(name=use.name, sha256=use.sha256, part=parts[use.node]) for use in parameters.inputs
        ),
        models=tuple(
            ModelEvidence(role=use.role, name=use.name, strength=use.strength_model) for use in parameters.models
        ),
        engine=_engine(None, stand_in=stand_in),
        recipe=identities.recipe,
        exact=identities.exact,
        workflow=identities.workflow,
        structure=identities.structure,
        agreed=parameters.certain or _outputs_agree(graph),
        model_free=is_model_free(graph, node),
    )


def with_memory(in_file: Evidence, view: AssetView, source_types: Mapping[bytes, SourceType]) -> Evidence:
    """Return the file's evidence, completed by what the memory knows; what a job proved goes before what a file says.

    `source_types` tells how input pictures were made, by SHA-256, where that is known.
    """
    run = best_run(view)
    if run is None or (run.origin is GenerationOrigin.DECLARED and in_file.parameters is not None):
        # What a person declares never stands in for, or beside, what the file itself says (INV-3).
        evidence = in_file
    elif in_file.parameters is None:
        evidence = _evidence_of_run(run)
    else:
        evidence = _completed(in_file, run)
    return dataclasses.replace(
        evidence,
        inputs=tuple(
            dataclasses.replace(use, source_type=source_types.get(use.sha256) if use.sha256 else None)
            for use in evidence.inputs
        ),
        engine=evidence.engine if evidence.declared else _engine_of(view, evidence.engine),
        made_at=_made_at(view, run),
        reviewed=any(
            noted.approval is not None and noted.approval.state == "approved" and noted.approval.of_this
            for noted in view.annotations
        ),
    )


def best_run(view: AssetView) -> GenerationView | None:
    """Return the run that tells most of how an asset was made: one of ours, else one found in a file, else the newest
    that a person declared."""
    said = [run for run in view.generations if run.origin is GenerationOrigin.DECLARED]
    runs = sorted(
        (run for run in view.generations if run.origin is not GenerationOrigin.DECLARED),
        key=lambda run: (run.origin is not GenerationOrigin.JOB, str(run.id)),
    )
    return runs[0] if runs else max(said, key=lambda run: run.run_key, default=None)


def _outputs_agree(graph: Graph) -> bool:
    """Tell whether all that this graph saves was made in the same way, so that it does not matter which of it a file is."""
    ways = set()
    for node in saving_outputs(graph):
        order = execution_order(graph, (node,))
        samplers = find_samplers(graph, order)
        inputs = [id_ for id_ in order if graph.nodes[id_].class_type.startswith("Load")]
        parts = frozenset(input_parts(graph, node, samplers, inputs).items())
        ways.add((bool(samplers), parts, is_model_free(graph, node)))
    return len(ways) <= 1


def _engine(version: str | None, *, stand_in: bool) -> EngineEvidence:
    if stand_in:
        return EngineEvidence(name=STAND_IN_NAME, version=version, stand_in=True)
    return EngineEvidence(version=version)


def _engine_of(view: AssetView, in_file: EngineEvidence) -> EngineEvidence:
    versions = [run.comfyui_version for run in view.generations if run.comfyui_version]
    # INV-7: one run by the stand-in is enough never to call it a trained model's work.
    version = versions[0] if versions else in_file.version
    if in_file.stand_in or any("stand-in" in version for version in versions):
        return _engine(version, stand_in=True)
    return dataclasses.replace(in_file, version=version)


def _made_at(view: AssetView, run: GenerationView | None) -> datetime.datetime | None:
    if run is not None and run.ended_at is not None:
        return run.ended_at
    # A file's own time is the time of its last copy as often as that of its making.
    return None if view.made_source is MadeSource.FILE_TIME else view.made_at


def _completed(in_file: Evidence, run: GenerationView) -> Evidence:
    digests = {(model.role, model.name): model.sha256 for model in run.models if model.identified != "name-now"}
    contents = {(use.node, use.name): use.sha256 for use in run.inputs}
    assert in_file.parameters is not None
    nodes = [use.node for use in in_file.parameters.inputs]
    return dataclasses.replace(
        in_file,
        models=tuple(
            dataclasses.replace(model, sha256=model.sha256 or digests.get((model.role, model.name)))
            for model in in_file.models
        ),
        inputs=tuple(
            dataclasses.replace(use, sha256=use.sha256 or contents.get((node, use.name)))
            for node, use in zip(nodes, in_file.inputs, strict=True)
        ),
        # The job knows which output it took; the file alone may not.
        agreed=in_file.agreed or run.certain,
    )


def _evidence_of_run(run: GenerationView) -> Evidence:
    """Return the evidence of a run whose file holds no executed graph: what the job recorded (saved without metadata), a
    tool's own text, or what was drawn in the editor."""
    samplers = tuple(
        SamplerUse(
            node=use.node,
            class_type=use.class_type,
            seed=use.seed,
            steps=use.steps,
            cfg=use.cfg,
            sampler=use.sampler,
            scheduler=use.scheduler,
            denoise=use.denoise,
            source=use.source,
            final=use.final,
            confidence=use.confidence,
        )
        for use in run.samplers
    )
    return Evidence(
        parameters=Parameters(
            node=run.node or None,
            certain=run.certain,
            samplers=samplers,
            prompts=tuple(
                PromptUse(node=use.node, input=use.input, polarity=use.polarity, text=use.text, source=use.source)
                for use in run.prompts
            ),
            models=tuple(
                ModelUse(
                    node=use.node, input="", class_type=use.class_type, role=use.role, name=use.name, source=use.source
                )
                for use in run.models
            ),
            inputs=tuple(
                InputUse(
                    node=use.node,
                    input="",
                    class_type=use.class_type,
                    name=use.name,
                    sha256=use.sha256,
                    source=use.source,
                )
                for use in run.inputs
            ),
            generates=run.generates,
        ),
        inputs=tuple(InputEvidence(name=use.name, sha256=use.sha256, part=InputPart.UNKNOWN) for use in run.inputs),
        models=tuple(
            ModelEvidence(role=use.role, name=use.name, sha256=use.sha256, strength=use.strength_model)
            for use in run.models
        ),
        recipe=RECIPE if run.exact else None,
        exact=run.exact,
        # A text stands in the one picture that it is of; only a graph has several outputs.
        agreed=run.certain or run.exact is None,
        declared=run.origin is GenerationOrigin.DECLARED,
        engine=_engine_of_run(run),
    )


def _engine_of_run(run: GenerationView) -> EngineEvidence:
    if run.origin is GenerationOrigin.DECLARED:
        return EngineEvidence(name=DECLARED_NAME)
    if run.origin is GenerationOrigin.FILE and run.exact is None:
        return EngineEvidence(name=run.tool or UNNAMED, version=run.tool_version)
    return EngineEvidence()
