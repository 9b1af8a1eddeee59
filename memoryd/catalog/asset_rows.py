"""What is read of a file as rows of the memory's tables, made fit for their columns. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import UUID

from memoryd.catalog.column_limits import FACTS_LIMIT, int4, name, optional_name, shown
from memoryd.catalog.facts import AssetRecord, GenerationRecord, LocationRecord, LocationState
from memoryd.catalog.run_matching import extracted_by
from memoryd.catalog.search_document import RECIPE, person_mark, quoted
from memoryd.catalog.succession import Descent
from memoryd.foundation.findings import Finding

Row = dict[str, object]


def asset_row(record: AssetRecord, descent: Descent) -> Row:
    """Return a row of `asset`."""
    return {
        "id": descent.id,
        "sha256": record.sha256,
        "size": record.size,
        "kind": record.kind.value,
        "media_type": name(record.media_type),
        "width": int4(record.width),
        "height": int4(record.height),
        "frames": int4(record.frames),
        "made_at": record.made_at,
        "made_source": record.made_source.value,
        "root_id": descent.root_id,
        "succeeds_id": descent.succeeds_id,
        "succession": None if descent.succession is None else descent.succession.value,
    }


def location_row(id_: UUID, place: LocationRecord, asset_id: UUID, project_id: UUID | None) -> Row:
    """Return a row of `location` that holds an asset."""
    return {
        "id": id_,
        "watch_root_id": place.watch_root_id,
        "path": place.path,
        "shown_path": shown(place.path),
        "size": place.size,
        "mtime_ns": place.mtime_ns,
        "inode": place.inode,
        "device": place.device,
        "asset_id": asset_id,
        "project_id": project_id,
        "state": LocationState.RECORDED.value,
    }


def project_row(record: AssetRecord, project_id: UUID, asset_id: UUID, root_id: UUID) -> Row:
    """Return a row of `asset_project`."""
    return {
        "project_id": project_id,
        "asset_id": asset_id,
        "root_id": root_id,
        "made_at": record.made_at,
        "first_person": record.person_id,
    }


def words_row(record: AssetRecord, asset_id: UUID, root_id: UUID, head: bool, marks: Iterable[str] = ()) -> Row:
    """Return a row of `asset_text`; `marks` are lexemes beside the words and the people."""
    run = record.generation
    people = {record.person_id, None if run is None else run.person_id} - {None}
    lexemes = [quoted(person_mark(person)) for person in people if person is not None]
    return {
        "asset_id": asset_id,
        "root_id": root_id,
        "made_at": record.made_at,
        "recipe": RECIPE,
        "head": head,
        "words": " ".join([record.words, *lexemes, *map(quoted, marks)]),
    }


def extraction_row(record: AssetRecord, asset_id: UUID, findings: Iterable[Finding]) -> Row:
    """Return a row of `extraction`."""
    return {
        "asset_id": asset_id,
        "plugin": name(record.plugin),
        "version": name(record.plugin_version),
        "state": "unread" if record.plugin == "none" else "read",
        "findings": findings_json(findings),
    }


def findings_json(findings: Iterable[Finding]) -> str:
    """Return findings as JSON, each once."""
    told = dict.fromkeys((finding.code, finding.detail, finding.where) for finding in findings)
    return json.dumps([{"code": name(c), "detail": name(d), "where": name(w)} for c, d, w in told]) if told else "[]"


def generation_of(record: AssetRecord) -> GenerationRecord:
    """Return the run of a record that tells of one."""
    assert record.generation is not None
    return record.generation


def read_facts(record: AssetRecord) -> Row:
    """Return what a reading gives of a row of `generation`."""
    run = generation_of(record)
    documents = [{"key": name(key), "sha256": sha256.hex()} for key, sha256 in run.extra_documents]
    settings = {name(key): name(value) for key, value in run.parameters.settings[:FACTS_LIMIT]}
    return {
        "exact": run.exact,
        "prompt_document": run.prompt_document,
        "extra_documents": json.dumps(documents),
        "extracted_by": extracted_by(record),
        "tool": optional_name(run.parameters.tool),
        "tool_version": optional_name(run.parameters.tool_version),
        "settings": json.dumps(settings) if settings else "{}",
    }


def run_row(run_id: UUID, record: AssetRecord) -> Row:
    """Return a row of `generation`."""
    run = generation_of(record)
    return {
        "id": run_id,
        "run_key": run.run_key,
        "origin": run.origin.value,
        "environment": run.environment,
        "job_id": run.job_id,
        "project_id": run.project_id if run.project_id is not None else record.project_id,
        "person_id": run.person_id if run.person_id is not None else record.person_id,
        "attribution_source": run.attribution_source,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "cached": run.cached,
        "adopted_by": None,
        **read_facts(record),
    }


def output_row(run: UUID, asset: UUID, record: AssetRecord) -> Row:
    """Return a row of `generation_output`."""
    output, parameters = generation_of(record).output, generation_of(record).parameters
    return {
        "generation_id": run,
        "node": name(output.node),
        "output": name(output.output),
        "batch_index": int4(output.batch_index),
        "asset_id": asset,
        "certain": output.certain,
        "output_digest": output.output_digest,
        "width": int4(parameters.width),
        "height": int4(parameters.height),
        "generates": parameters.generates,
    }
