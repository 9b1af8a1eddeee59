"""The shapes of recognising a file over HTTP."""

from __future__ import annotations

import datetime
from uuid import UUID

from pydantic import BaseModel

from memoryd.reproduction.from_file.facts import Candidate, Identification, Standing
from memoryd.workflows.wire import FindingShape


class CandidateShape(BaseModel):
    """An original that the file may come from. `number` is what `--choose` takes; `held`: verified, unread or missing."""

    number: int
    asset_id: UUID
    sha256: str
    kind: str
    media_type: str
    name: str | None
    width: int | None
    height: int | None
    size: int
    made_at: datetime.datetime
    matched_asset_id: UUID
    matched_as: str | None
    by: str
    exact: bool
    distance: int | None
    mirrored: bool
    alike: float | None
    named_by_text: bool
    how: str
    doubts: list[str]
    held: str
    has_run: bool
    facts: dict[str, str]

    @classmethod
    def of(cls, number: int, one: Candidate) -> CandidateShape:
        """The candidate as it goes over the wire."""
        face = one.face
        return cls(
            number=number,
            asset_id=face.id,
            sha256=face.sha256.hex(),
            kind=face.kind.value,
            media_type=face.media_type,
            name=face.name,
            width=face.width,
            height=face.height,
            size=one.size,
            made_at=face.made_at,
            matched_asset_id=one.matched,
            matched_as=one.matched_as,
            by=one.by.value,
            exact=one.exact,
            distance=one.distance,
            mirrored=one.mirrored,
            alike=None if one.alike is None else round(one.alike, 4),
            named_by_text=one.text,
            how=one.how,
            doubts=list(one.doubts),
            held=one.held.value,
            has_run=one.has_run,
            facts=dict(one.facts),
        )


class IdentificationShape(BaseModel):
    """What a file is. `standing`: exact, recognised, choose or unknown; `apart`: facts by which candidates differ.

    `holds_graph`: the file itself tells a graph, so that it can be taken in and made again from that.
    """

    sha256: str
    name: str
    size: int
    media_type: str
    width: int | None
    height: int | None
    standing: Standing
    candidates: list[CandidateShape]
    apart: list[str]
    holds_graph: bool
    findings: list[FindingShape]

    @classmethod
    def of(cls, found: Identification) -> IdentificationShape:
        """The answer as it goes over the wire."""
        file = found.file
        return cls(
            sha256=file.sha256.hex(),
            name=file.name,
            size=file.size,
            media_type=file.media_type,
            width=file.width,
            height=file.height,
            standing=found.standing,
            candidates=[CandidateShape.of(number, one) for number, one in enumerate(found.candidates, start=1)],
            apart=list(found.apart),
            holds_graph=file.holds_graph,
            findings=[FindingShape(code=each.code, detail=each.detail, where=each.where) for each in file.findings],
        )
