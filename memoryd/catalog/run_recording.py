"""Records the runs that files and jobs tell of, with their facts; the middle part of `recording`."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from memoryd.catalog import run_facts
from memoryd.catalog.asset_rows import generation_of, output_row, read_facts, run_row
from memoryd.catalog.column_limits import name
from memoryd.catalog.facts import AssetRecord, GenerationOrigin, Succession
from memoryd.catalog.queries import recording as queries
from memoryd.catalog.run_matching import KnownRun, Matched, match_runs
from memoryd.catalog.succession import KnownAsset
from memoryd.foundation.database import Session
from memoryd.foundation.ids import new_id
from memoryd.model_registry.naming import resolve_names

NAME_TRUST = datetime.timedelta(days=1)
"""How old a picture may be for a model's name to mean what it means now; an older one's name is no proof (INV-3)."""

_COPIES = frozenset({Succession.DISCLOSED, Succession.EXPORTED, Succession.REENCODED})


def record_runs(
    session: Session, batch: Sequence[AssetRecord], known: Mapping[bytes, KnownAsset]
) -> tuple[list[UUID | None], set[int]]:
    """Record the runs that records tell of; return the run of each, and the indexes of those whose facts were written.

    `known` are the assets of all records, by SHA-256.
    """
    keys = {record.generation.run_key for record in batch if record.generation is not None}
    if not keys:
        return [None] * len(batch), set()
    matched = _match(session, batch, known, keys)
    if not _insert_runs(session, batch, matched):
        # Another transaction inserted one of them meanwhile (another output of one job), and has committed: now it is known.
        matched = _match(session, batch, known, keys)
    if matched.names:
        queries.insert_runs(session, [_name_row(key, *ids) for key, ids in matched.names.items()])
    if matched.adopted:
        queries.adopt_runs(session, matched.adopted)
    if matched.replaced:
        rows = [{"id": run, **read_facts(batch[index])} for run, index in sorted(matched.replaced.items())]
        queries.update_read_runs(session, rows)
        queries.delete_run_facts(session, list(matched.replaced), outputs=True)
    return list(matched.run_of), _record_outputs(session, batch, known, matched.run_of)


def _match(
    session: Session, batch: Sequence[AssetRecord], known: Mapping[bytes, KnownAsset], keys: Collection[str]
) -> Matched:
    of_asset: dict[bytes, list[KnownRun]] = defaultdict(list)
    of_root: dict[UUID, list[KnownRun]] = defaultdict(list)
    digest_of = {stand.id: sha256 for sha256, stand in known.items()}
    roots = {known[record.sha256].root_id for record in batch if record.generation is not None}
    for root, asset, run in queries.list_runs_of_lines(session, roots):
        of_root[root].append(run)
        if asset in digest_of:
            of_asset[digest_of[asset]].append(run)
    # Only our own copies share the runs of their line: a rewrite in place may well be another run.
    copies = queries.list_copies(session, {stand.id for stand in known.values()}, [kind.value for kind in _COPIES])
    return match_runs(
        batch,
        by_key=queries.find_runs_by_key(session, keys),
        of_asset=of_asset,
        of_line={digest_of[copy]: of_root[root] for copy, root in copies},
        make_id=new_id,
    )


def _insert_runs(session: Session, batch: Sequence[AssetRecord], matched: Matched) -> bool:
    rows = [run_row(run, batch[index]) for run, index in matched.new.values()]
    return not rows or queries.insert_runs(session, rows) == set(matched.new)


def _name_row(run_key: str, own_id: UUID, run: UUID) -> dict[str, object]:
    nothing = ("exact", "prompt_document", "environment", "job_id", "project_id", "person_id", "attribution_source")
    return {
        "id": own_id,
        "run_key": run_key,
        "origin": GenerationOrigin.FILE.value,
        **dict.fromkeys((*nothing, "started_at", "ended_at", "extracted_by", "tool", "tool_version"), None),
        "extra_documents": "[]",
        "settings": "{}",
        "cached": False,
        "adopted_by": run,
    }


def _record_outputs(
    session: Session, batch: Sequence[AssetRecord], known: Mapping[bytes, KnownAsset], run_of: Sequence[UUID | None]
) -> set[int]:
    outputs = queries.list_outputs(session, {run for run in run_of if run is not None})
    links = {(run, asset) for run, asset, _ in outputs}
    nodes = {(run, node) for run, _, node in outputs}
    rows: list[dict[str, object]] = []
    told: dict[int, UUID] = {}
    for index, (record, run) in enumerate(zip(batch, run_of, strict=True)):
        if run is None:
            continue
        output, asset = generation_of(record).output, known[record.sha256].id
        # A file knows less of which output it is than whoever saw the run.
        if generation_of(record).origin is GenerationOrigin.FILE and (run, asset) in links:
            continue
        links.add((run, asset))
        rows.append(output_row(run, asset, record))
        if (run, name(output.node)) not in nodes:
            nodes.add((run, name(output.node)))
            told[index] = run
    if rows:
        queries.insert_outputs(session, rows)
    _copy_facts(session, batch, told)
    return set(told)


def _copy_facts(session: Session, batch: Sequence[AssetRecord], told: Mapping[int, UUID]) -> None:
    runs = [(run, generation_of(batch[index])) for index, run in told.items()]
    now = datetime.datetime.now(datetime.UTC)
    fresh = {run for index, run in told.items() if now - batch[index].made_at < NAME_TRUST}
    uses: set[run_facts.ModelKey] = set()
    for run, told_of in runs:
        uses |= run_facts.model_keys(told_of.parameters) if run in fresh else set()
    named = resolve_names(session, sorted(uses)) if uses else {}
    samplers: list[run_facts.FactRow] = []
    prompts: list[run_facts.FactRow] = []
    models: list[run_facts.FactRow] = []
    inputs: list[run_facts.FactRow] = []
    for run, told_of in runs:
        place = (run, name(told_of.output.node), told_of.parameters)
        samplers += run_facts.sampler_rows(*place)
        prompts += run_facts.prompt_rows(*place)
        models += run_facts.model_rows(*place, told_of.pins, named if run in fresh else {})
        inputs += run_facts.input_rows(*place)
    queries.copy_facts(session, "generation_sampler", run_facts.SAMPLER_COLUMNS, samplers)
    queries.copy_facts(session, "generation_prompt", run_facts.PROMPT_COLUMNS, prompts)
    queries.copy_facts(session, "generation_model", run_facts.MODEL_COLUMNS, models)
    queries.copy_facts(session, "generation_input", run_facts.INPUT_COLUMNS, inputs)
