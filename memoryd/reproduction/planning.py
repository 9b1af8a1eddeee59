"""What making an asset again needs, or the list of what is missing.

The documents go to ComfyUI as they were in the file, less what the server itself wrote into them (`is_changed`): trusted
again, it would make ComfyUI answer from a cache. Source: reference runs, 13 of 13 files byte-identical this way.
"""

from __future__ import annotations

import json
import math
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.comfyui.facts import STAND_IN_MARK
from memoryd.comfyui.input_names import input_place
from memoryd.comfyui.submitted_graph import without_is_changed
from memoryd.foundation.canonical_json import Json, NotJson, read_json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import AssetId, GenerationId, ProjectId
from memoryd.reproduction import queries
from memoryd.reproduction.facts import Cause, InputFile, ModelPin, Plan
from memoryd.reproduction.forewarning import forewarn
from memoryd.reproduction.matching import environment_of
from memoryd.submission.graph_needs import read_needs
from memoryd.workflows.ancestry import ancestors
from memoryd.workflows.documents import load_document
from memoryd.workflows.facts import Graph
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.literals import integer_behind
from memoryd.workflows.model_uses import find_inputs

BATCH_INPUTS = ("batch_size",)
"""Inputs that say how many pictures are computed together. Source: ComfyUI, nodes.py, EmptyLatentImage and its kin."""
REPEATING_CLASSES = frozenset({"RepeatLatentBatch", "RepeatImageBatch"})
"""Classes that make a batch several times as large, by their `amount`. Source: ComfyUI, nodes.py, nodes_images.py."""
WRITERS_OWN = frozenset({"duration", "encoder", "tsse", "writer"})
"""Texts that FFmpeg and OpenEXR put into films, sounds and EXR files themselves, each time. Source: reference runs."""
NO_GRAPH = Cause(
    code="no-graph",
    detail="no executed graph is known for this asset: neither its file nor a job tells how it was made",
    next_step="if a copy with its metadata exists, take it in with `memoryd ingest FILE`",
)


def make_plan(session: Session, asset_id: AssetId, sees: Sees) -> Plan:
    """Return what is needed to make an asset again; `missing` names what stands in the way. Changes nothing.

    Only runs of projects that the caller may see are used: equal bytes of another client tell nothing (INV-6).
    """
    run = queries.find_run(session, asset_id, sees)
    if run is None:
        return _impossible(
            session,
            asset_id,
            sees,
            NO_GRAPH,
        )
    original = AssetId(run.asset_id)
    raw = load_document(session, run.prompt_document)
    graph, findings = parse_graph(raw)
    if graph is None:
        detail = "; ".join(finding.detail for finding in findings) or "the graph cannot be read"
        unreadable = Cause(code="graph-unreadable", detail=detail, next_step=NO_GRAPH.next_step)
        return _impossible(session, original, sees, unreadable)
    extras = tuple(
        (str(each["key"]), load_document(session, bytes.fromhex(each["sha256"])))
        for each in run.extra_documents
        # The stand-in writes its mark itself; handed to a ComfyUI, it would mark what a model made. Encoders write theirs.
        if each["key"] != STAND_IN_MARK and each["key"].lower() not in WRITERS_OWN
    )
    inputs, missing = _inputs(session, graph, GenerationId(run.generation_id))
    environment = bytes(run.environment) if run.environment else None
    known = queries.find_pinned_models(session, run.generation_id)
    return Plan(
        asset_id=original,
        generation_id=GenerationId(run.generation_id),
        project_id=_project(run.project_id or queries.find_project(session, asset_id, sees)),
        prompt=_replayed(raw),
        extras=extras,
        inputs=inputs,
        pins=_pins(raw, known),
        node=run.node,
        batch_index=run.batch_index,
        certain=run.certain,
        batch_size=_batch_size(session, GenerationId(run.generation_id), graph, run.node),
        environment=environment,
        missing=(*missing, *_unreadable_extras(extras)),
        notices=forewarn(graph, environment_of(session, environment)),
    )


def extra_data_of(plan: Plan) -> str:
    """Return the plan's other texts as ComfyUI's `extra_data`, their order and spelling kept."""
    # Assembled as text: reading and writing again would respell numbers, and the spelling decides the file's bytes.
    members = ", ".join(f"{json.dumps(key)}: {raw.decode('utf-8', 'surrogatepass')}" for key, raw in plan.extras)
    return f'{{"extra_pnginfo": {{{members}}}}}' if plan.extras else "{}"


def _batch_size(session: Session, generation_id: GenerationId, graph: Graph, node: str | None) -> int | None:
    """Return of how many pictures the asset was one: as the run gave them, else as its graph asks for; None: not known."""
    given = queries.count_outputs(session, generation_id, node) if node is not None else 0
    if given > 1:
        return given
    # A folder may hold one picture of a batch of four: the graph then says more than what was found.
    above = ancestors(graph, [node] if node is not None and node in graph.nodes else graph.nodes)
    asked = [
        size
        for each in above
        for name in BATCH_INPUTS
        if (size := integer_behind(graph, graph.nodes[each].inputs.get(name))) is not None
    ]
    repeated = [
        amount
        for each in above
        if graph.nodes[each].class_type in REPEATING_CLASSES
        and (amount := integer_behind(graph, graph.nodes[each].inputs.get("amount"))) is not None
    ]
    if not asked and not repeated:
        return given or None
    return max(given, max(asked, default=1) * math.prod(repeated))


def _project(found: UUID | None) -> ProjectId | None:
    return ProjectId(found) if found is not None else None


def _impossible(session: Session, asset_id: AssetId, sees: Sees, cause: Cause) -> Plan:
    project = _project(queries.find_project(session, asset_id, sees))
    return Plan(asset_id=asset_id, generation_id=None, project_id=project, missing=(cause,))


def _replayed(raw: bytes) -> bytes:
    prompt = read_json(raw)
    assert isinstance(prompt, dict)
    # ComfyUI reads and writes the prompt again before it saves it, so that only values and order count here.
    return json.dumps(without_is_changed(prompt)).encode("ascii")


def _pins(raw: bytes, known: dict[tuple[str, str], bytes]) -> tuple[ModelPin, ...]:
    try:
        needs = read_needs(raw.decode("utf-8", "surrogatepass"))
    except MemorydError:
        return ()
    return tuple(ModelPin(folder=folder, name=name, sha256=known.get((folder, name))) for folder, name in needs.models)


def _inputs(
    session: Session, graph: Graph, generation_id: GenerationId
) -> tuple[tuple[InputFile, ...], tuple[Cause, ...]]:
    uses = find_inputs(graph, graph.nodes)
    recorded = queries.find_input_digests(session, generation_id)
    digests = {use: use.sha256 or recorded.get((use.node, use.input)) for use in uses}
    named = [digest for digest in digests.values() if digest]
    # What was sent along with a job lies in the store, whether or not it ever was an asset.
    sizes = queries.find_kept_inputs(session, generation_id) | queries.find_kept_contents(session, named)
    known = queries.find_assets_by_digest(session, [digest for digest in named if digest not in sizes])
    files: dict[tuple[str, str, str], InputFile] = {}
    missing = []
    for use, digest in digests.items():
        if digest is None:
            missing.append(unknown_input(use.class_type, use.name))
        elif digest not in sizes:
            missing.append(missing_input(use.name, digest, was_here=digest in known))
        else:
            subfolder, name, kind = input_place(use.name)
            files[subfolder, name, kind] = InputFile(
                name=name, subfolder=subfolder, type=kind, sha256=digest, size=sizes[digest]
            )
    return tuple(files.values()), tuple(missing)


def missing_input(name: str, digest: bytes, *, was_here: bool) -> Cause:
    """Return what to say of an input of which no copy is kept. `digest` is its SHA-256 (32 bytes)."""
    why = "was here, but no copy of it is left where it was seen" if was_here else "is not in the memory"
    return Cause(
        code="input-missing",
        detail=f"{name!r} (SHA-256 {digest.hex()}) {why}",
        next_step="take the file in with `memoryd ingest FILE`; its name does not matter, its content does",
    )


def unknown_input(class_type: str, name: str) -> Cause:
    """Return what to say of an input of which nothing tells what it was."""
    return Cause(
        code="input-unknown",
        detail=f"{class_type} read {name!r}, and nothing tells which content that was",
        next_step="a file of that name may be another one by now: making it again could not be called exact",
    )


def _unreadable_extras(extras: tuple[tuple[str, bytes], ...]) -> list[Cause]:
    causes = []
    for key, raw in extras:
        try:
            value: Json = read_json(raw)
            del value
        except NotJson:
            causes.append(
                Cause(code="text-not-json", detail=f"the file's text {key!r} is no JSON, and cannot be sent back")
            )
    return causes
