"""Which line a new asset belongs to, and which asset of a line people mean by this picture. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from uuid import UUID

from memoryd.catalog.facts import AssetRecord, Succession
from memoryd.foundation.findings import Finding


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownAsset:
    """An asset that is recorded. `head`: whether it is what people mean by its line now."""

    id: UUID
    sha256: bytes
    root_id: UUID
    head: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """Where a new asset stands: its id, its line, what it follows."""

    id: UUID
    root_id: UUID
    head: bool = True
    succeeds_id: UUID | None = None
    succession: Succession | None = None
    findings: tuple[Finding, ...] = ()


def descend(
    records: Sequence[AssetRecord], known: Mapping[bytes, KnownAsset], new_ids: Mapping[bytes, UUID]
) -> dict[bytes, Descent]:
    """Return where each new asset stands, by SHA-256. `records` are the new ones, each SHA-256 once.

    A predecessor may be in the same batch, in any order. An unknown one, or a circle of records that follow each other,
    leaves an asset the first of a line of its own, with a finding.
    """
    by_sha = {record.sha256: record for record in records}
    settled: dict[bytes, Descent] = {}
    for record in records:
        chain: list[AssetRecord] = []
        here: AssetRecord | None = record
        while here is not None and here.sha256 not in settled and here not in chain:
            chain.append(here)
            here = by_sha.get(here.succeeds.of) if here.succeeds is not None else None
        for link in reversed(chain):
            settled[link.sha256] = _one(link, settled, known, new_ids)
    return settled


def _one(
    record: AssetRecord,
    settled: Mapping[bytes, Descent],
    known: Mapping[bytes, KnownAsset],
    new_ids: Mapping[bytes, UUID],
) -> Descent:
    own = new_ids[record.sha256]
    told = record.succeeds
    if told is None or told.of == record.sha256:
        return Descent(id=own, root_id=own)
    predecessor = settled.get(told.of) or known.get(told.of)
    if predecessor is None:
        unknown = Finding(code="predecessor-unknown", detail=f"said to follow {told.of.hex()}, which is not recorded")
        return Descent(id=own, root_id=own, findings=(unknown,))
    return Descent(
        id=own,
        root_id=predecessor.root_id,
        # A signed copy, an export, a re-encoding stands beside its original and does not replace it.
        head=told.succession is Succession.REWRITTEN and predecessor.head,
        succeeds_id=predecessor.id,
        succession=told.succession,
    )
