"""What a job made, ready to be recorded: who and what by the job's facts, width and height by the files. No database."""

from __future__ import annotations

import dataclasses
import datetime
import io
from collections.abc import Sequence
from pathlib import Path

from memoryd.catalog.facts import (
    AssetKind,
    AssetRecord,
    GenerationOrigin,
    GenerationRecord,
    MadeSource,
    OutputRecord,
)
from memoryd.catalog.search_document import search_words
from memoryd.foundation.canonical_json import Json, canonical_digest
from memoryd.foundation.findings import Finding
from memoryd.ingest import formats
from memoryd.ingest.facts import JobFacts, JobOutput
from memoryd.ingest.preparing import WHOLE_IN_MEMORY_LIMIT
from memoryd.ingest.understanding import ReadGraph, read_graph
from memoryd.plugin_api.facts import Completeness, DocumentKind, Reading
from memoryd.plugin_api.texts import graph_text
from memoryd.workflows.facts import Graph, InputUse, Parameters, PreparedDocument, PreparedGraph
from memoryd.workflows.parameters import read_parameters
from memoryd.workflows.preparing import prepare_document
from memoryd.workflows.tracing import execution_order

NO_READING = Reading(plugin="none", version="0", media_type="application/octet-stream")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob:
    """A job's outputs ready to be recorded: one AssetRecord each, in order, and what they refer to."""

    assets: tuple[AssetRecord, ...]
    documents: tuple[PreparedDocument, ...]
    graphs: tuple[PreparedGraph, ...]
    environment: dict[str, Json] | None = None


def prepare_job(job: JobFacts, outputs: Sequence[JobOutput]) -> PreparedJob:
    """Return a job's outputs ready to be recorded. Reads each output's `source` where there is one; raises OSError."""
    readings = [_reading(output) for output in outputs]
    prompt = _executed_prompt(job, readings)
    read = read_graph(prompt)
    documents = _documents(job, prompt, readings)
    assets = [_asset(job, output, reading, read, documents) for output, reading in zip(outputs, readings, strict=True)]
    return PreparedJob(
        assets=tuple(assets),
        documents=tuple(documents.values()),
        graphs=() if read.prepared is None else (read.prepared,),
        environment=dict(job.environment) if job.environment is not None else None,
    )


def _reading(output: JobOutput) -> Reading:
    if output.source is None or output.size > WHOLE_IN_MEMORY_LIMIT:
        return dataclasses.replace(NO_READING, media_type=output.media_type)
    body = io.BytesIO(output.source.read_bytes())
    plugin = formats.plugin_for(body)
    if plugin is None:
        recognised = formats.recognise(formats.head_of(body), Path(output.filename).name.encode())
        kind, media_type = recognised or (AssetKind.OTHER, output.media_type)
        finding = Finding(code="no-plugin", detail="no installed format plugin reads this content", where=media_type)
        return dataclasses.replace(NO_READING, kind=kind.value, media_type=media_type, findings=(finding,))
    completeness, reading = formats.read(plugin, body)
    if reading is None or completeness is not Completeness.COMPLETE:
        finding = Finding(code="not-whole", detail=f"the worker sent a file that is {completeness.value}")
        return dataclasses.replace(reading or NO_READING, findings=(*(reading.findings if reading else ()), finding))
    return reading


def _executed_prompt(job: JobFacts, readings: Sequence[Reading]) -> bytes:
    """Return the prompt as ComfyUI executed it: with its coerced values and the inputs' hashes, where a file has that.

    Only where it is the job's own graph, by structure: a file's claim to be of another run is not followed. So that a
    watcher that met the file first, and this job, name the same exact graph and are one run.
    """
    asked = read_graph(job.prompt_document).identities
    if asked is None:
        return job.prompt_document
    for reading in readings:
        if reading.prompt is not None:
            raw = graph_text(reading.carriers[reading.prompt])
            told = read_graph(raw).identities
            if told is not None and told.structure == asked.structure:
                return raw
    return job.prompt_document


def _documents(
    job: JobFacts, prompt: bytes, readings: Sequence[Reading]
) -> dict[tuple[DocumentKind, str], PreparedDocument]:
    documents = {(DocumentKind.PROMPT, "prompt"): prepare_document(DocumentKind.PROMPT, "prompt", prompt)}
    for key, raw in job.extra_documents:
        kind = DocumentKind.WORKFLOW if key == "workflow" else DocumentKind.EXTRA
        documents.setdefault((kind, key), prepare_document(kind, key, raw))
    return documents


def _asset(
    job: JobFacts,
    output: JobOutput,
    reading: Reading,
    read: ReadGraph,
    documents: dict[tuple[DocumentKind, str], PreparedDocument],
) -> AssetRecord:
    parameters = Parameters(node=output.node)
    if read.graph is not None:
        parameters = parameters_of_output(read, output.node, output.filename)
    parameters = dataclasses.replace(
        parameters, certain=True, inputs=tuple(_proven(use, job) for use in parameters.inputs)
    )
    outputs = read.identities.outputs if read.identities else ()
    generation = GenerationRecord(
        run_key=f"job:{job.job_id}",
        origin=GenerationOrigin.JOB,
        exact=read.identities.exact if read.identities else None,
        prompt_document=documents[DocumentKind.PROMPT, "prompt"].sha256,
        extra_documents=tuple((d.key, d.sha256) for d in documents.values() if d.kind is not DocumentKind.PROMPT),
        output=OutputRecord(
            node=output.node,
            output=output.output,
            batch_index=output.batch_index,
            output_digest=next((o.exact for o in outputs if o.node == output.node), None),
        ),
        parameters=parameters,
        environment=canonical_digest(dict(job.environment)) if job.environment is not None else None,
        job_id=job.job_id,
        project_id=job.project_id,
        person_id=job.person_id,
        attribution_source=job.attribution_source,
        started_at=job.started_at,
        ended_at=job.ended_at,
        cached=output.node in job.cached_nodes,
        pins=job.pins,
    )
    kinds = {kind.value for kind in AssetKind}
    return AssetRecord(
        sha256=output.sha256,
        size=output.size,
        kind=AssetKind(reading.kind) if reading.kind in kinds else AssetKind.OTHER,
        media_type=reading.media_type if reading is not NO_READING else output.media_type,
        made_at=job.ended_at or datetime.datetime.now(datetime.UTC),
        made_source=MadeSource.JOB,
        width=reading.width,
        height=reading.height,
        frames=reading.frames,
        plugin=reading.plugin,
        plugin_version=reading.version,
        findings=tuple(dict.fromkeys((*reading.findings, *read.findings, *parameters.findings))),
        generation=generation,
        project_id=job.project_id,
        person_id=job.person_id,
        locations=(output.location,) if output.location is not None else (),
        words=search_words(parameters),
    )


def parameters_of_output(read: ReadGraph, node: str, filename: str) -> Parameters:
    """Return what an executed graph (there must be one) says of what one of its nodes made, in a file of this name."""
    assert read.graph is not None
    graph = read.graph
    if node not in graph.nodes:
        # A node that the graph expanded into at run time: the name of the file is the next best witness.
        return dataclasses.replace(read_parameters(graph, filename=filename), node=node)
    # Only what this output depends on: no other saving node is left that could be meant.
    ancestors = execution_order(graph, (node,))
    return dataclasses.replace(read_parameters(Graph(nodes={id_: graph.nodes[id_] for id_ in ancestors})), node=node)


def _proven(use: InputUse, job: JobFacts) -> InputUse:
    """Return an input with the content that the worker put under its name, which outweighs what the file says."""
    sha256 = job.inputs.get(use.name)
    return use if sha256 is None else dataclasses.replace(use, sha256=sha256)
