"""Puts files into the memory that are surely new, by rows made where they were read: COPY, and nothing to be decided.

What the memory knows already, in whatever way, is refused before anything is written, and recorded by `recording` instead.
"""

from __future__ import annotations

import datetime
import hashlib
import time
from collections.abc import Sequence
from uuid import UUID

from memoryd.catalog import run_facts
from memoryd.catalog.asset_rows import findings_json, generation_of
from memoryd.catalog.facts import AssetRecord, RecordedAsset
from memoryd.catalog.marks import FLAG_FINDING, set_marks
from memoryd.catalog.queries import ready as queries
from memoryd.catalog.queries.recording import add_findings
from memoryd.catalog.ready_rows import TABLES, ReadyAsset, ready_outputs
from memoryd.catalog.recording import link_lines
from memoryd.catalog.run_recording import NAME_TRUST
from memoryd.foundation.copying import RowExists, copy_ready
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId, GenerationId, LocationId
from memoryd.model_registry.naming import resolve_names


class NotSurelyNew(Exception):
    """Some of these files must be recorded from whole records. `indexes` name them; the transaction is to be given up
    unless it wrote nothing yet.
    """

    def __init__(self, indexes: Sequence[int]) -> None:
        """`indexes` are those in the batch, in order."""
        super().__init__(f"{len(indexes)} files")
        self.indexes = tuple(indexes)


def refuse_known(session: Session, batch: Sequence[ReadyAsset]) -> None:
    """Make sure, before anything is written, that nothing recorded has to do with these files. Raises: NotSurelyNew."""
    if not batch:
        return
    known = queries.find_known(
        session,
        [one.sha256 for one in batch],
        [one.run_key for one in batch if one.run_key is not None],
        [path for one in batch for _, path in one.places],
    )
    young = time.time() - NAME_TRUST / datetime.timedelta(seconds=1)
    uses = {use for one in batch if one.made_at > young for use in one.models}
    named = resolve_names(session, sorted(uses)) if uses else {}
    seen: set[bytes] = set()
    refused = []
    for index, one in enumerate(batch):
        if (
            one.sha256 in known.contents
            or one.sha256 in seen
            or one.run_key in known.run_keys
            or not known.places.isdisjoint(one.places)
            # Its models are known by their names: which content that is, is written into the rows.
            or (named and one.made_at > young and not named.keys().isdisjoint(one.models))
        ):
            refused.append(index)
        seen.add(one.sha256)
    if refused:
        raise NotSurelyNew(refused)


def record_new(session: Session, batch: Sequence[ReadyAsset]) -> list[RecordedAsset]:
    """Record files that `refuse_known` let pass in this transaction; return what became of each, in order.

    Their documents and graphs must be in the same transaction. Raises: NotSurelyNew where another recorder was faster
    with one of them: then this transaction is to be given up.
    """
    # Ordered by the unique key, as everywhere: two recorders with the same files then never wait in a circle.
    ordered = sorted(batch, key=lambda one: one.sha256)
    try:
        for number, (table, columns) in enumerate(TABLES):
            copy_ready(session, table, columns, [one.rows[number] for one in ordered])
    except RowExists:
        raise NotSurelyNew(range(len(batch))) from None
    told = {UUID(bytes=one.run_id) for one in batch if one.run_id is not None and one.has_inputs}
    refused = link_lines(session, {one.sha256 for one in batch}, told)
    if refused:
        add_findings(session, [{"asset_id": root, "findings": findings_json(found)} for root, found in refused.items()])
    if roots := {UUID(bytes=one.asset_id) for one in batch if one.findings} | set(refused):
        set_marks(session, roots, add={FLAG_FINDING})
    return [_recorded(one) for one in batch]


def record_outputs(session: Session, records: Sequence[AssetRecord]) -> list[RecordedAsset]:
    """Record what one run of a job made, all of it surely new; return what became of each, in order.

    The documents, graph and environment that the records name must be in the same transaction. Raises: NotSurelyNew,
    before anything is written, or where another recorder was faster: then this transaction, or its part, is to be given
    up.
    """
    _refuse_related(session, records)
    now = datetime.datetime.now(datetime.UTC)
    fresh = [record for record in records if now - record.made_at < NAME_TRUST]
    uses = {use for record in fresh for use in run_facts.model_keys(generation_of(record).parameters)}
    # One run has one time: all of its outputs are as fresh as the first.
    named = resolve_names(session, sorted(uses)) if uses else {}
    try:
        ready = ready_outputs(records, named)
    except KeyError:
        # A value of a kind that rows are not spelled for: the whole record takes any.
        raise NotSurelyNew(range(len(records))) from None
    return record_new(session, ready)


def _refuse_related(session: Session, records: Sequence[AssetRecord]) -> None:
    """Make sure that the memory has nothing of these outputs, of their run or at their places. Raises: NotSurelyNew."""
    contents = {record.sha256 for record in records}
    runs = {generation_of(record).run_key for record in records}
    places = [(place.watch_root_id, place.path) for record in records for place in record.locations]
    plain = all(record.claim is None and record.succeeds is None for record in records)
    if plain and len(contents) == len(records) and len(runs) == 1 and len(set(places)) == len(places):
        known = queries.find_known(session, contents, runs, [hashlib.sha256(path).digest() for _, path in places])
        if not known.contents and not known.run_keys and not known.places:
            return
    raise NotSurelyNew(range(len(records)))


def _recorded(one: ReadyAsset) -> RecordedAsset:
    asset = AssetId(UUID(bytes=one.asset_id))
    return RecordedAsset(
        sha256=one.sha256,
        asset_id=asset,
        root_id=asset,
        generation_id=None if one.run_id is None else GenerationId(UUID(bytes=one.run_id)),
        new=True,
        location_ids=tuple([LocationId(UUID(bytes=id_)) for id_ in one.location_ids]),
    )
