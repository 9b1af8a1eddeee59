"""Puts what was read into the memory: assets, places, runs, lineage, words; many at once, and the same again is no change.

Everything is set-based and ordered by unique keys. Assets are locked first, so that two recorders of one content (a
watcher and a worker) come one after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

from memoryd.catalog import attribution, lineage, run_facts
from memoryd.catalog.asset_rows import asset_row, extraction_row, findings_json, location_row, project_row, words_row
from memoryd.catalog.facts import AssetRecord, RecordedAsset, Succession
from memoryd.catalog.marks import FLAG_FINDING, set_marks
from memoryd.catalog.queries import attesting as attesting_queries
from memoryd.catalog.queries import places as places_queries
from memoryd.catalog.queries import recording as queries
from memoryd.catalog.queries import removal
from memoryd.catalog.run_recording import record_runs
from memoryd.catalog.succession import KnownAsset, descend
from memoryd.foundation.database import Session
from memoryd.foundation.errors import TooLarge
from memoryd.foundation.findings import Finding
from memoryd.foundation.ids import AssetId, GenerationId, LocationId, new_id

RECORD_LIMIT = 1_000
"""Records of one call. Source: inserts gain nothing from larger batches (measured), and locks are held for less."""

Stands: TypeAlias = Mapping[bytes, KnownAsset]


class BatchTooLarge(TooLarge):
    """This batch has too many records."""


def record_assets(session: Session, batch: Sequence[AssetRecord]) -> list[RecordedAsset]:
    """Record what was read, at most RECORD_LIMIT records; return what became of each, in order.

    Equal bytes are one asset; one run key is one generation; the same batch again changes nothing but `last_seen`.
    What cannot be decided (an unknown predecessor, an edge that would close a cycle) becomes a finding.
    The documents, graphs and environments that the records name must be in the same transaction or before.

    Raises: BatchTooLarge.
    """
    if len(batch) > RECORD_LIMIT:
        raise BatchTooLarge(f"{len(batch)} records", hint=f"record at most {RECORD_LIMIT} at once (RECORD_LIMIT)")
    if not batch:
        return []
    known, new, lost = _record_content(session, batch)
    if again := [known[record.sha256].id for record in batch if record.sha256 not in new]:
        removal.revive(session, again)
    batch = attribution.decided(session, batch, known, new)
    locations = _record_places(session, batch, known)
    runs, told = record_runs(session, batch, known)
    _record_projects_and_words(session, batch, known, new, told)
    _settle_heads(session, batch, known)
    refused = link_lines(session, new, {run for index in told if (run := runs[index]) is not None})
    _record_findings(session, batch, known, lost, refused)
    return [
        RecordedAsset(
            sha256=record.sha256,
            asset_id=AssetId(known[record.sha256].id),
            root_id=AssetId(known[record.sha256].root_id),
            generation_id=None if run is None else GenerationId(run),
            new=record.sha256 in new,
            location_ids=tuple(locations[place.watch_root_id, place.path] for place in record.locations),
        )
        for record, run in zip(batch, runs, strict=True)
    ]


def _record_content(
    session: Session, batch: Sequence[AssetRecord]
) -> tuple[dict[bytes, KnownAsset], set[bytes], dict[bytes, tuple[Finding, ...]]]:
    """Return all assets concerned, the contents that were new, and findings about their descent."""
    first: dict[bytes, AssetRecord] = {}
    for record in batch:
        first.setdefault(record.sha256, record)
    digests = set(first) | {record.succeeds.of for record in batch if record.succeeds is not None}
    known = queries.lock_assets(session, digests)
    unknown = [record for sha256, record in first.items() if sha256 not in known]
    if not unknown:
        return known, set(), {}
    descents = descend(unknown, known, {record.sha256: new_id() for record in unknown})
    new = queries.insert_assets(session, [asset_row(record, descents[record.sha256]) for record in unknown])
    for record in unknown:
        if record.sha256 in new:
            descent = descents[record.sha256]
            known[record.sha256] = KnownAsset(
                id=descent.id, sha256=record.sha256, root_id=descent.root_id, head=descent.head
            )
    if raced := {record.sha256 for record in unknown} - new:
        # Somebody else recorded them between our look and our insert; they have committed, or we would still wait.
        known |= queries.lock_assets(session, raced)
    return known, new, {sha256: descents[sha256].findings for sha256 in new if descents[sha256].findings}


def _record_places(
    session: Session, batch: Sequence[AssetRecord], known: Stands
) -> dict[tuple[UUID | None, bytes], LocationId]:
    rows: dict[tuple[UUID | None, bytes], dict[str, object]] = {}
    for record in batch:
        for place in record.locations:
            rows[place.watch_root_id, place.path] = location_row(
                new_id(), place, known[record.sha256].id, record.project_id
            )
    if not rows:
        return {}
    written = places_queries.upsert_recorded(session, list(rows.values()))
    return {place: LocationId(id_) for place, id_ in written.items()}


def _record_projects_and_words(
    session: Session, batch: Sequence[AssetRecord], known: Stands, new: Collection[bytes], told: Collection[int]
) -> None:
    owned: dict[tuple[UUID, UUID], dict[str, object]] = {}
    orphans: set[UUID] = set()
    for record in batch:
        stand = known[record.sha256]
        if record.project_id is None:
            if record.sha256 in new and record.succeeds is not None:
                orphans.add(stand.id)
            continue
        owned.setdefault(
            (record.project_id, stand.id),
            project_row(record, record.project_id, stand.id, stand.root_id),
        )
    newly_owned = queries.insert_asset_projects(session, list(owned.values())) if owned else set()
    if orphans:
        queries.inherit_projects(session, orphans)
    rows: dict[bytes, dict[str, object]] = {}
    for index, record in enumerate(batch):
        first = record.sha256 in new and record.sha256 not in rows
        if first or (index in told and record.words):
            stand = known[record.sha256]
            rows[record.sha256] = words_row(record, stand.id, stand.root_id, stand.head)
    if rows:
        queries.write_words(session, list(rows.values()))
    if unwritten := newly_owned - {row["asset_id"] for row in rows.values()}:
        queries.write_project_marks(session, unwritten)
    ids: set[UUID] = {known[sha256].id for sha256 in new}
    rewritten: set[UUID] = {known[sha256].id for sha256 in rows} - ids
    if known_before := rewritten | (newly_owned - ids):
        # INV-6: what one project declared of these bytes is not found by the next that owns them.
        attesting_queries.settle_words(session, known_before, rewritten=rewritten)


def _settle_heads(session: Session, batch: Sequence[AssetRecord], known: Stands) -> None:
    followed: dict[UUID, None] = {}
    followers: dict[UUID, None] = {}
    for record in batch:
        if record.succeeds is None or record.succeeds.succession is not Succession.REWRITTEN:
            continue
        old, new = known.get(record.succeeds.of), known[record.sha256]
        # A rewritten copy is still a copy: only what followed the head becomes the head.
        if old is not None and old.root_id == new.root_id and old.id != new.id and old.head:
            followed[old.id], followers[new.id] = None, None
    if followed:
        # Records come in any order; where a file was written back to what it was, the last one told counts.
        heads = set(followers) - set(followed) or {next(reversed(followers))}
        queries.settle_heads(session, heads, set(followed) - heads)


def link_lines(session: Session, new: Collection[bytes], told: Collection[UUID]) -> dict[UUID, list[Finding]]:
    """Record lineage by content; return findings, by the line that would have become its own ancestor."""
    findings: dict[UUID, list[Finding]] = defaultdict(list)
    if not new and not told:
        return findings
    edges = queries.list_input_edges(session, new, told)
    for child, parent in lineage.add_edges(session, edges):
        detail = f"made from {parent} by content, which would close a circle or lies in too large a family"
        findings[child].append(Finding(code="lineage-would-cycle", detail=detail, where=str(parent)))
    return findings


def _record_findings(
    session: Session,
    batch: Sequence[AssetRecord],
    known: Stands,
    lost: Mapping[bytes, tuple[Finding, ...]],
    refused: Mapping[UUID, Sequence[Finding]],
) -> None:
    rows: dict[tuple[UUID, str, str], dict[str, object]] = {}
    roots: set[UUID] = set(refused)
    for record in batch:
        findings = [*record.findings, *lost.get(record.sha256, ())]
        if record.generation is not None:
            findings += run_facts.limit_findings(record.generation.parameters)
        stand = known[record.sha256]
        if findings:
            roots.add(stand.root_id)
        rows[stand.id, record.plugin, record.plugin_version] = extraction_row(record, stand.id, findings)
    queries.insert_extractions(session, list(rows.values()))
    if refused:
        appended = [{"asset_id": root, "findings": findings_json(found)} for root, found in refused.items()]
        queries.add_findings(session, appended)
    if roots:
        set_marks(session, roots, add={FLAG_FINDING})
