"""Whose a picture is, decided in a written order of trust; docs/attribution.md says it in words.

The deciding is pure; `decided` is what recording asks before it writes anything.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from memoryd.catalog.facts import AssetRecord, GenerationOrigin, GenerationRecord, OwnClaim
from memoryd.catalog.own_text import CHUNK_KEY
from memoryd.catalog.queries import attribution as queries
from memoryd.catalog.succession import KnownAsset
from memoryd.foundation.database import Session
from memoryd.foundation.findings import Finding
from memoryd.foundation.ids import PersonId, ProjectId


class AttributionSource(enum.StrEnum):
    """Who says whose a picture is; each outweighs all that follow."""

    PERSON = "person"
    """Somebody corrected it."""
    JOB = "job"
    """The job that made it."""
    DECLARED = "declared"
    """Somebody declared how it was made, and who made it."""
    CHUNK = "chunk"
    """Our own text in the file, which names a job or asset that is known here and fits."""
    FOLDER_RULE = "folder-rule"
    FOLDER = "folder"
    """The watched folder's default."""


TRUST = tuple(AttributionSource)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one source says; None is nothing."""

    source: AttributionSource
    project_id: ProjectId | None = None
    person_id: PersonId | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Whose it is. `source` is who said the project; who said the person where nobody said a project."""

    project_id: ProjectId | None = None
    person_id: PersonId | None = None
    source: AttributionSource | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """That people moved what was of one project to another, and perhaps to another person."""

    from_project: ProjectId | None
    to_project: ProjectId | None
    to_person: PersonId | None = None


def decide(said: Iterable[Said]) -> Attribution:
    """Return whose a picture is: for project and person each what the most trusted source says that says anything."""
    ordered = sorted(said, key=lambda one: TRUST.index(one.source))
    project = next((one for one in ordered if one.project_id is not None), None)
    person = next((one for one in ordered if one.person_id is not None), None)
    decisive = project or person
    return Attribution(
        project_id=None if project is None else project.project_id,
        person_id=None if person is None else person.person_id,
        source=None if decisive is None else decisive.source,
    )


def corrected(before: Attribution, corrections: Iterable[Correction]) -> Attribution:
    """Return an attribution as people's corrections, in the order they were made, leave it."""
    now = before
    for one in corrections:
        if one.from_project == now.project_id:
            now = Attribution(
                project_id=one.to_project,
                person_id=one.to_person or now.person_id,
                source=AttributionSource.PERSON,
            )
    return now


def decided(
    session: Session, batch: Sequence[AssetRecord], known: Mapping[bytes, KnownAsset], new: Iterable[bytes]
) -> Sequence[AssetRecord]:
    """Return records attributed by the order of trust: claims of our own text checked, people's corrections followed.

    `known` are the assets of all records, by SHA-256; `new` the contents that are recorded only now.
    """
    fresh = {known[sha256].root_id for sha256 in new if known[sha256].root_id == known[sha256].id}
    roots = {known[record.sha256].root_id for record in batch} - fresh
    corrections = _corrections(session, roots) if roots else {}
    runs = _claimed_runs(session, batch)
    if not corrections and runs is None:
        return batch
    return [_attributed(record, corrections.get(known[record.sha256].root_id, ()), runs or {}) for record in batch]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    job: UUID | None
    assets: frozenset[UUID]
    exact: bytes | None
    project_id: ProjectId | None
    person_id: PersonId | None


def _corrections(session: Session, roots: set[UUID]) -> dict[UUID, list[Correction]]:
    found: defaultdict[UUID, list[Correction]] = defaultdict(list)
    for row in queries.list_corrections(session, roots):
        found[row.root_id].append(
            Correction(from_project=row.from_project, to_project=row.to_project, to_person=row.to_person)
        )
    return dict(found)


def _claimed_runs(session: Session, batch: Sequence[AssetRecord]) -> dict[UUID, _Run] | None:
    claims = [record.claim for record in batch if record.claim is not None]
    if not claims:
        return None
    jobs = {claim.job_id for claim in claims if claim.job_id is not None}
    assets = {claim.asset_id for claim in claims if claim.asset_id is not None}
    rows = queries.list_claimed_runs(session, jobs, assets) if jobs or assets else []
    made: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for row in rows:
        made[row.id].add(row.asset_id)
    return {
        row.id: _Run(
            job=row.job_id,
            assets=frozenset(made[row.id]),
            exact=row.exact,
            project_id=row.project_id,
            person_id=row.person_id,
        )
        for row in rows
    }


def _attributed(record: AssetRecord, corrections: Sequence[Correction], runs: Mapping[UUID, _Run]) -> AssetRecord:
    run = record.generation
    findings = record.findings
    said = [Said(source=_source(run), project_id=record.project_id, person_id=record.person_id)]
    # A job knows better than any text in its file.
    if record.claim is not None and said[0].source is not AttributionSource.JOB:
        believed = _believed(record.claim, run, runs)
        if isinstance(believed, Finding):
            findings = (*findings, believed)
        else:
            said.append(
                Said(source=AttributionSource.CHUNK, project_id=believed.project_id, person_id=believed.person_id)
            )
    now = corrected(decide(said), corrections)
    if run is not None and now.source is not None:
        run = dataclasses.replace(
            run, project_id=now.project_id, person_id=now.person_id, attribution_source=now.source.value
        )
    return dataclasses.replace(
        record, project_id=now.project_id, person_id=now.person_id, generation=run, findings=findings
    )


def _source(run: GenerationRecord | None) -> AttributionSource:
    if run is None:
        return AttributionSource.FOLDER
    if run.origin is not GenerationOrigin.FILE:
        return AttributionSource.JOB
    words = {source.value for source in AttributionSource}
    return AttributionSource(run.attribution_source) if run.attribution_source in words else AttributionSource.FOLDER


def _believed(claim: OwnClaim, own: GenerationRecord | None, runs: Mapping[UUID, _Run]) -> _Run | Finding:
    """Return the run that a claim names, where it is known here and made from the graph that the file itself holds."""
    if claim.job_id is None and claim.asset_id is None:
        return _unbelieved("it names no job and no asset")
    named = [
        run
        for run in runs.values()
        if claim.job_id in (None, run.job) and (claim.asset_id is None or claim.asset_id in run.assets)
    ]
    if not named:
        return _unbelieved(f"{_shown(claim)} is not known here")
    exact = None if own is None else own.exact
    fitting = [run for run in named if exact is not None and run.exact == exact]
    if not fitting:
        return _unbelieved(f"{_shown(claim)} is known, but was not made from the graph that this file holds")
    return fitting[0]


def _shown(claim: OwnClaim) -> str:
    told = (("job", claim.job_id), ("asset", claim.asset_id))
    return " with ".join(f"{what} {id_}" for what, id_ in told if id_ is not None)


def _unbelieved(why: str) -> Finding:
    return Finding(code="claim-not-believed", detail=f"the file's own `memoryd` text: {why}", where=CHUNK_KEY)
