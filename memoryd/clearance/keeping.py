"""Verdicts as rows: kept with everything they rest on, and read back as they were decided."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import cast
from uuid import UUID

from memoryd.clearance.facts import (
    CitedClause,
    Cleared,
    Duty,
    Judgement,
    Kind,
    ModelInUse,
    Occasion,
    Use,
    Verdict,
    VerdictState,
)
from memoryd.clearance.gathering import Entry
from memoryd.clearance.occasions import occasion_digest, occasion_json
from memoryd.clearance.queries import verdicts as queries
from memoryd.clearance.tables import LicenceVerdict
from memoryd.foundation.canonical_json import Json, canonical_bytes
from memoryd.foundation.database import Session
from memoryd.foundation.ids import ProjectId, new_id


def keep(
    session: Session,
    *,
    kind: Kind,
    subject: bytes,
    name: str,
    project_id: UUID | None,
    person_id: UUID | None,
    occasion: Occasion,
    judgement: Judgement,
    models: Sequence[ModelInUse],
    notes: Sequence[str] = (),
    counts: Mapping[str, int] | None = None,
) -> Cleared:
    """Keep a verdict and return it. The same answer to the same question is one row; another one supersedes it."""
    digest = occasion_digest(occasion)
    row = _row(kind, subject, name, project_id, person_id, occasion, judgement, models, notes, counts or {})
    before = queries.find_standing(session, kind.value, subject, digest, project_id)
    if before is not None and _same(before, row):
        return read(before)
    # Sets answer themselves: what was reopened of them stays listed. Of the rest, whoever asks again has looked.
    ended = (queries.STANDING,) if kind is Kind.SET else (queries.STANDING, queries.REOPENED)
    queries.supersede(session, kind.value, subject, digest, project_id, ended)
    if not queries.insert_verdict(session, row):
        # Somebody asked the same at the same moment and was answered first: theirs stands.
        other = queries.find_standing(session, kind.value, subject, digest, project_id)
        if other is not None:
            return read(other)
    return Cleared(
        id=cast("UUID", row["id"]),
        kind=kind,
        subject=subject,
        name=name,
        project_id=None if project_id is None else ProjectId(project_id),
        occasion=occasion,
        judgement=judgement,
        at=datetime.datetime.now(datetime.UTC),
        notes=tuple(notes),
        counts=dict(counts or {}),
        person_id=person_id,
    )


def read(row: LicenceVerdict) -> Cleared:
    """Return a kept verdict as it was decided."""
    facts = row.facts
    return Cleared(
        id=row.id,
        kind=Kind(row.kind),
        subject=row.subject,
        name=str(facts.get("name", "")),
        project_id=None if row.project_id is None else ProjectId(row.project_id),
        occasion=read_occasion(cast("Mapping[str, Json]", facts["occasion"])),
        judgement=Judgement(
            verdict=Verdict(row.verdict),
            clauses=tuple(read_clause(each) for each in row.clauses),
            duties=tuple(Duty(**each) for each in cast("list[dict[str, str]]", facts.get("duties", []))),  # type: ignore[arg-type]
        ),
        at=row.at,
        state=VerdictState(row.state),
        notes=tuple(str(note) for note in cast("list[object]", facts.get("notes", []))),
        counts=cast("dict[str, int]", facts.get("counts", {})),
        person_id=row.person_id,
        reopened_at=row.reopened_at,
        reopened_why=row.reopened_why,
        reopened_to=None if row.reopened_to is None else Verdict(row.reopened_to),
    )


def entries_of(row: LicenceVerdict) -> tuple[Entry, ...]:
    """Return what the subject was made with, as it was known then."""
    return tuple(Entry.read(each) for each in cast("list[list[object]]", row.facts.get("entries", [])))


def same_judgement(row: LicenceVerdict, judgement: Judgement) -> bool:
    """Tell whether a kept verdict says the same as a judgement, clause by clause, text by text."""
    now: list[Json] = [clause_json(clause) for clause in judgement.clauses]
    return row.verdict == judgement.verdict.value and canonical_bytes(now) == canonical_bytes(cast("Json", row.clauses))


def clause_json(clause: CitedClause) -> dict[str, Json]:
    """Return a clause as it is stored."""
    return {
        "model": None if clause.model is None else clause.model.hex(),
        "model_name": clause.model_name,
        "licence_id": None if clause.licence_id is None else str(clause.licence_id),
        "licence": clause.licence,
        "term": clause.term,
        "section": clause.section,
        "says": clause.says,
        "verdict": clause.verdict.value,
        "text_sha256": None if clause.text_sha256 is None else clause.text_sha256.hex(),
        "confidence": clause.confidence,
        "source": clause.source,
        "inherited": clause.inherited,
        "version": clause.version,
        "url": clause.url,
        "elsewhere": clause.elsewhere,
    }


def read_clause(stored: Mapping[str, object]) -> CitedClause:
    """Return a stored clause."""
    text = {name: cast("str | None", stored.get(name)) for name in ("licence", "confidence", "source", "url")}
    model, licence_id, digest = stored.get("model"), stored.get("licence_id"), stored.get("text_sha256")
    return CitedClause(
        model=None if model is None else bytes.fromhex(str(model)),
        model_name=str(stored["model_name"]),
        licence_id=None if licence_id is None else UUID(str(licence_id)),
        licence=text["licence"],
        term=str(stored["term"]),
        section=str(stored["section"]),
        says=str(stored["says"]),
        verdict=Verdict(str(stored["verdict"])),
        text_sha256=None if digest is None else bytes.fromhex(str(digest)),
        confidence=text["confidence"],
        source=text["source"],
        inherited=bool(stored.get("inherited")),
        version=str(stored.get("version") or ""),
        url=text["url"],
        elsewhere=bool(stored.get("elsewhere")),
    )


def read_occasion(stored: Mapping[str, Json]) -> Occasion:
    """Return a stored occasion with the facts as they were then."""

    def texts(name: str) -> tuple[str, ...]:
        return tuple(str(one) for one in cast("list[Json]", stored.get(name) or []))

    return Occasion(
        use=Use(str(stored["use"])),
        territories=texts("territories"),
        revenue_usd=cast("int | None", stored.get("revenue_usd")),
        users=cast("int | None", stored.get("users")),
        client=cast("str | None", stored.get("client")),
        seats=texts("seats"),
        registered=texts("registered"),
        untold=frozenset(texts("untold")),
    )


def licences_of(models: Iterable[ModelInUse]) -> list[UUID]:
    """Return the ids of every licence that was granted to one of the models."""
    ids = {
        grant.licence_id or (grant.terms.key if grant.terms is not None else None)
        for model in models
        for grant in model.grants
    }
    return sorted(id_ for id_ in ids if id_ is not None)


def _row(
    kind: Kind,
    subject: bytes,
    name: str,
    project_id: UUID | None,
    person_id: UUID | None,
    occasion: Occasion,
    judgement: Judgement,
    models: Sequence[ModelInUse],
    notes: Sequence[str],
    counts: Mapping[str, int],
) -> dict[str, object]:
    entries = [
        Entry(sha256=one.sha256, role=one.role, name=one.name, elsewhere=one.elsewhere).as_json() for one in models
    ]
    return {
        "id": new_id(),
        "kind": kind.value,
        "subject": subject,
        "use": occasion.use.value,
        "territory": ", ".join(occasion.territories),
        "verdict": judgement.verdict.value,
        "clauses": [clause_json(clause) for clause in judgement.clauses],
        "text_sha256s": sorted({one.text_sha256 for one in judgement.clauses if one.text_sha256 is not None}),
        "occasion": occasion_digest(occasion),
        "models": sorted({one.sha256 for one in models if one.sha256 is not None}),
        "licences": licences_of(models),
        "facts": {
            "name": name,
            "occasion": occasion_json(occasion),
            "duties": [_duty(duty) for duty in judgement.duties],
            "notes": list(notes),
            "counts": dict(counts),
            "entries": entries,
        },
        "project_id": project_id,
        "person_id": person_id,
    }


def _duty(duty: Duty) -> dict[str, Json]:
    return {
        "kind": duty.kind,
        "text": duty.text,
        "model_name": duty.model_name,
        "licence": duty.licence,
        "url": duty.url,
        "elsewhere": duty.elsewhere,
    }


def _same(before: LicenceVerdict, row: Mapping[str, object]) -> bool:
    said = ("verdict", "clauses", "facts")
    now: list[Json] = [cast("Json", row[name]) for name in said]
    then: list[Json] = [before.verdict, cast("Json", before.clauses), cast("Json", before.facts)]
    return canonical_bytes(now) == canonical_bytes(then)
