"""A new file as rows ready to be copied, ids included: made where the file is read, without a database.

Most files of a folder are new, and nothing in the memory has to do with them; what of them the recorder must know fits
into a few words. Whatever is not surely new is recorded from the whole record instead (`recording.record_assets`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from memoryd.catalog import run_facts
from memoryd.catalog.asset_rows import (
    Row,
    asset_row,
    extraction_row,
    generation_of,
    location_row,
    output_row,
    project_row,
    run_row,
    words_row,
)
from memoryd.catalog.column_limits import name
from memoryd.catalog.facts import AssetRecord, GenerationOrigin, GenerationRecord
from memoryd.catalog.search_document import project_mark
from memoryd.catalog.succession import Descent
from memoryd.foundation.copy_lines import copy_line, copy_lines
from memoryd.foundation.ids import new_id
from memoryd.workflows.facts import Parameters
from memoryd.workflows.spelling import Remembered

ASSET_COLUMNS = (
    *("id", "sha256", "size", "kind", "media_type", "width", "height", "frames", "made_at", "made_source", "root_id"),
    *("succeeds_id", "succession"),
)
LOCATION_COLUMNS = (
    *("id", "watch_root_id", "path", "shown_path", "size", "mtime_ns", "inode", "device", "asset_id", "project_id"),
    "state",
)
RUN_COLUMNS = (
    *("id", "run_key", "origin", "exact", "prompt_document", "extra_documents", "environment", "job_id", "project_id"),
    *("person_id", "attribution_source", "started_at", "ended_at", "cached", "extracted_by", "tool", "tool_version"),
    *("settings", "adopted_by"),
)
OUTPUT_COLUMNS = (
    *("generation_id", "node", "output", "batch_index", "asset_id", "certain", "output_digest", "width", "height"),
    "generates",
)
PROJECT_COLUMNS = ("project_id", "asset_id", "root_id", "made_at", "first_person")
WORDS_COLUMNS = ("asset_id", "root_id", "made_at", "recipe", "head", "words")
EXTRACTION_COLUMNS = ("asset_id", "plugin", "version", "state", "findings")

TABLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("asset", ASSET_COLUMNS),
    ("location", LOCATION_COLUMNS),
    ("generation", RUN_COLUMNS),
    ("generation_output", OUTPUT_COLUMNS),
    ("generation_sampler", run_facts.SAMPLER_COLUMNS),
    ("generation_prompt", run_facts.PROMPT_COLUMNS),
    ("generation_model", run_facts.MODEL_COLUMNS),
    ("generation_input", run_facts.INPUT_COLUMNS),
    ("asset_project", PROJECT_COLUMNS),
    ("asset_text", WORDS_COLUMNS),
    ("extraction", EXTRACTION_COLUMNS),
)
"""The tables that a new file has rows in, each after those it refers to."""

REMEMBERED_FACTS = 256
"""Lists of models or input files whose rows are remembered: about 2 KB each."""


class ReadyAsset(NamedTuple):
    """One new file: what the recorder looks at, and a row or more of each of TABLES, in that order.

    Ids are 16 bytes, digests 32. `places` are (root's id or None, SHA-256 of the path). `models` are (role, name) as
    written; `made_at` is in seconds. Everything is plain, so that it passes between processes as it is.
    """

    sha256: bytes
    size: int
    kind: str
    asset_id: bytes
    run_id: bytes | None
    run_key: str | None
    location_ids: tuple[bytes, ...]
    places: tuple[tuple[bytes | None, bytes], ...]
    project_id: bytes | None
    made_at: float
    findings: int
    has_inputs: bool
    models: tuple[tuple[str, str], ...]
    rows: tuple[bytes, ...]


def ready_asset(record: AssetRecord, ids: Callable[[], UUID] = new_id) -> ReadyAsset | None:
    """Return a record as rows, or None where it is no file on its own: it succeeds another, a job told of it, or it says
    that it is one of ours. `ids` are taken for the asset, its run and its locations, in this order."""
    run = record.generation
    if record.claim is not None or record.succeeds is not None or (run is not None and not _is_plain_file(record)):
        return None
    asset, run_id = ids(), None if run is None else ids()
    locations = tuple([ids() for _ in record.locations])
    return _ready(record, asset, run_id, locations, told=run is not None, shared=True)


def ready_outputs(
    records: Sequence[AssetRecord], named: Mapping[run_facts.ModelKey, bytes], ids: Callable[[], UUID] = new_id
) -> list[ReadyAsset]:
    """Return what one run of a job made as rows, one each, in order: the run's row goes with the first, and an output
    node's facts with the first that came from it. `named` are the contents that models' names mean now."""
    run_id, nodes, ready = ids(), set[str](), list[ReadyAsset]()
    for record in records:
        node = name(generation_of(record).output.node)
        locations = tuple([ids() for _ in record.locations])
        one = _ready(
            record, ids(), run_id, locations, told=node not in nodes, shared=False, first=not nodes, named=named
        )
        nodes.add(node)
        ready.append(one)
    return ready


def _ready(
    record: AssetRecord,
    asset: UUID,
    run_id: UUID | None,
    locations: tuple[UUID, ...],
    *,
    told: bool,
    shared: bool,
    first: bool = True,
    named: Mapping[run_facts.ModelKey, bytes] = MappingProxyType({}),
) -> ReadyAsset:
    """`told`: with the facts of its run; `first`: with the run itself; `shared`: its models are nobody's pins."""
    run = record.generation
    findings = record.findings if run is None else (*record.findings, *run_facts.limit_findings(run.parameters))
    marks = () if record.project_id is None else (project_mark(record.project_id),)
    rows = {
        "asset": _line(ASSET_COLUMNS, asset_row(record, Descent(id=asset, root_id=asset))),
        "location": b"".join(
            [
                _line(LOCATION_COLUMNS, location_row(id_, place, asset, record.project_id))
                for id_, place in zip(locations, record.locations, strict=True)
            ]
        ),
        "asset_text": _line(WORDS_COLUMNS, words_row(record, asset, asset, True, marks)),
        "extraction": _line(EXTRACTION_COLUMNS, extraction_row(record, asset, findings)),
    }
    if record.project_id is not None:
        rows["asset_project"] = _line(PROJECT_COLUMNS, project_row(record, record.project_id, asset, asset))
    if run is not None and run_id is not None:
        rows["generation"] = _line(RUN_COLUMNS, run_row(run_id, record)) if first else b""
        rows["generation_output"] = _line(OUTPUT_COLUMNS, output_row(run_id, asset, record))
        if told:
            rows |= _fact_lines(run, run_id, named, shared=shared)
    return ReadyAsset(
        sha256=record.sha256,
        size=record.size,
        kind=record.kind.value,
        asset_id=asset.bytes,
        run_id=None if run_id is None else run_id.bytes,
        run_key=None if run is None else run.run_key,
        location_ids=tuple([id_.bytes for id_ in locations]),
        places=tuple(
            [(_bytes(place.watch_root_id), hashlib.sha256(place.path).digest()) for place in record.locations]
        ),
        project_id=_bytes(record.project_id),
        made_at=record.made_at.timestamp(),
        findings=len(findings),
        has_inputs=run is not None and any(use.sha256 is not None for use in run.parameters.inputs),
        models=() if run is None else tuple(sorted(run_facts.model_keys(run.parameters))),
        rows=tuple([rows.get(table, b"") for table, _ in TABLES]),
    )


def _fact_lines(
    run: GenerationRecord, run_id: UUID, named: Mapping[run_facts.ModelKey, bytes], *, shared: bool
) -> dict[str, bytes]:
    place = (run_id, name(run.output.node), run.parameters)
    parameters = run.parameters
    return {
        "generation_sampler": copy_lines(run_facts.sampler_rows(*place)),
        "generation_prompt": copy_lines(run_facts.prompt_rows(*place)),
        "generation_model": _shared_lines(*place, parameters.models, _model_rows)
        if shared
        else copy_lines(run_facts.model_rows(*place, run.pins, named)),
        "generation_input": _shared_lines(*place, parameters.inputs, run_facts.input_rows)
        if shared
        else copy_lines(run_facts.input_rows(*place)),
    }


_lines: Remembered[tuple[int, str], tuple[object, bytes]] = Remembered(REMEMBERED_FACTS)
"""By the number of the facts themselves and the output's node: the facts, and their rows without a run."""

_NO_RUN = UUID(int=0)
_NO_RUN_COLUMN = _NO_RUN.hex.encode() + b"\t"


def _shared_lines(
    run_id: UUID,
    node: str,
    parameters: Parameters,
    uses: Sequence[object],
    rows_of: Callable[[UUID, str, Parameters], Iterable[run_facts.FactRow]],
) -> bytes:
    """Rows of facts that hold no seed and no text: files that are alike have the very same ones, spelled once."""
    if not uses:
        return b""
    key = (id(uses), node)
    known = _lines.get(key)
    # What is remembered holds the facts, so that their number is nothing else's.
    if known is None or known[0] is not uses:
        known = _lines.keep(key, (uses, copy_lines(rows_of(_NO_RUN, node, parameters))))
    lines = known[1]
    column = run_id.hex.encode() + b"\t"
    if lines.count(_NO_RUN_COLUMN) == lines.count(b"\n"):
        return lines.replace(_NO_RUN_COLUMN, column)
    return copy_lines(rows_of(run_id, node, parameters))


def _model_rows(run_id: UUID, node: str, parameters: Parameters) -> Iterable[run_facts.FactRow]:
    return run_facts.model_rows(run_id, node, parameters, {}, {})


def _is_plain_file(record: AssetRecord) -> bool:
    run = record.generation
    return (
        run is not None
        and run.origin is GenerationOrigin.FILE
        and run.environment is None
        and not run.pins
        and run.run_key == f"file:{record.sha256.hex()}"
    )


def _bytes(id_: UUID | None) -> bytes | None:
    return None if id_ is None else id_.bytes


def _line(columns: tuple[str, ...], row: Row) -> bytes:
    return copy_line([row[column] for column in columns]).encode()
