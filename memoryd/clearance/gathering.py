"""Which models stand behind an asset: those of its own runs, and of the runs of everything that it was made from.

How far: lineage is walked to its beginning, as far as the project may know of it. What is not known counts as a model of
which nothing is known: a picture without a run, an input that was never recorded, a run that names no model. Somebody who
declares that a picture was not generated (`memoryd attest`) says how it was made.

Entries carry no names of files, so that a hundred thousand pictures come to some dozens of sets.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

from memoryd.clearance.facts import UNKNOWN_MAKING, ModelInUse
from memoryd.clearance.queries import making as queries
from memoryd.clearance.queries.making import AnyRow, Pair
from memoryd.clearance.recalls.standing import recalled
from memoryd.foundation.canonical_json import Json, canonical_bytes
from memoryd.foundation.database import Session
from memoryd.foundation.texts import storable
from memoryd.model_registry.licensing.granting import grants_of
from memoryd.model_registry.licensing.terms import Grant
from memoryd.workflows.loaded_models import names_what_samples

NOT_KNOWN = "how it was made is not known"
PARENT_NOT_KNOWN = "how something it was made from was made is not known"
INPUT_NOT_KNOWN = "an input was never recorded"
NO_MODEL_NAMED = "a run that generates names no model"

PAIRS_AT_ONCE = 2_000
"""Pairs of one reading: some ten thousand rows."""

Run: TypeAlias = tuple[UUID, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Entry:
    """One model of a set, or one thing that is not known (role `making`). `elsewhere`: another project's pictures alone
    tell of it."""

    sha256: bytes | None
    role: str
    name: str
    elsewhere: bool = False

    def as_json(self) -> list[Json]:
        """Return the entry as it is stored."""
        return [None if self.sha256 is None else self.sha256.hex(), self.role, self.name, self.elsewhere]

    @classmethod
    def read(cls, stored: Sequence[object]) -> Entry:
        """Return a stored entry."""
        sha256, role, name, elsewhere = stored
        return cls(
            sha256=None if sha256 is None else bytes.fromhex(str(sha256)),
            role=str(role),
            name=str(name),
            elsewhere=bool(elsewhere),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelsOf:
    """What stands behind one asset, as one project may know it."""

    entries: tuple[Entry, ...]
    digest: bytes
    ancestors: int
    """Lines that it was made from, all the way up."""


def models_of(session: Session, pairs: Sequence[Pair]) -> dict[Pair, ModelsOf]:
    """Return what stands behind each asset, for each project that owns it."""
    found: dict[Pair, ModelsOf] = {}
    for at in range(0, len(pairs), PAIRS_AT_ONCE):
        found |= _read(session, pairs[at : at + PAIRS_AT_ONCE])
    return found


def entry_set(entries: Iterable[Entry]) -> tuple[tuple[Entry, ...], bytes]:
    """Return entries without repetitions, sorted, and their digest. What the own project tells is no other's secret."""
    best: dict[tuple[bytes | None, str, str], Entry] = {}
    for entry in entries:
        key = (entry.sha256, entry.role, "" if entry.sha256 is not None else entry.name)
        before = best.get(key)
        if before is None or (entry.elsewhere, entry.name) < (before.elsewhere, before.name):
            best[key] = entry
    ordered = tuple(sorted(best.values(), key=lambda one: (one.sha256 or b"", one.role, one.name)))
    keyed: list[Json] = [[one.sha256.hex() if one.sha256 else one.name, one.role, one.elsewhere] for one in ordered]
    return ordered, hashlib.sha256(canonical_bytes(keyed)).digest()


def in_use(session: Session, entries: Iterable[Entry]) -> tuple[ModelInUse, ...]:
    """Return models with what grants a licence to each, and whether they are recalled, as of now."""
    listed = list(entries)
    known = {one.sha256 for one in listed if one.sha256 is not None}
    return with_grants(listed, grants_of(session, known), recalls_of(session, known))


def recalls_of(session: Session, sha256s: Collection[bytes]) -> dict[bytes, str]:
    """Return why those of these weights that are recalled may not be used, in words."""
    return {sha256: one.in_words() for sha256, one in recalled(session, sorted(sha256s)).items()}


def with_grants(
    entries: Iterable[Entry], grants: Mapping[bytes, tuple[Grant, ...]], recalls: Mapping[bytes, str]
) -> tuple[ModelInUse, ...]:
    """Return models with their grants, and why some of them are out of use."""
    return tuple(
        ModelInUse(
            sha256=one.sha256,
            role=one.role,
            name=one.name,
            grants=() if one.sha256 is None else grants.get(one.sha256, ()),
            elsewhere=one.elsewhere,
            recalled=None if one.sha256 is None else recalls.get(one.sha256),
        )
        for one in entries
    )


def _read(session: Session, pairs: Sequence[Pair]) -> dict[Pair, ModelsOf]:
    sources: defaultdict[Pair, list[AnyRow]] = defaultdict(list)
    for row in queries.list_sources(session, pairs):
        sources[row.asset_id, row.project_id].append(row)
    runs: defaultdict[UUID, list[AnyRow]] = defaultdict(list)
    for row in queries.list_runs(session, {one.source for rows in sources.values() for one in rows}):
        runs[row.asset_id].append(row)
    every = sorted({(row.generation_id, row.node) for rows in runs.values() for row in rows})
    facts = _Facts(
        models=_by_run(queries.list_models(session, every)), inputs=_by_run(queries.list_inputs(session, every))
    )
    found = {}
    for pair in pairs:
        behind = sources[pair]
        entries, digest = entry_set(_entries(pair[1], behind, runs, facts))
        ancestors = len({row.root_id for row in behind if row.ancestor})
        found[pair] = ModelsOf(entries=entries, digest=digest, ancestors=ancestors)
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Facts:
    models: Mapping[Run, list[AnyRow]]
    inputs: Mapping[Run, list[AnyRow]]


def _by_run(rows: Iterable[AnyRow]) -> Mapping[Run, list[AnyRow]]:
    grouped: defaultdict[Run, list[AnyRow]] = defaultdict(list)
    for row in rows:
        grouped[row.generation_id, row.node].append(row)
    return grouped


def _entries(
    project: UUID | None, sources: Collection[AnyRow], runs: Mapping[UUID, list[AnyRow]], facts: _Facts
) -> Iterator[Entry]:
    known_lines = set()
    for source in sources:
        told = [run for run in runs.get(source.source, ()) if not run.declared or run.declared_for == project]
        if told:
            known_lines.add(source.root_id)
        elif not source.ancestor and not source.copy:
            yield Entry(sha256=None, role=UNKNOWN_MAKING, name=NOT_KNOWN)
        for run in told:
            # Of a run of another project only what the file itself says is this one's to know.
            own = project is None or run.project_id in (None, project) or run.of_file or run.declared
            yield from _of_run(run, facts, elsewhere=not (own and source.owned))
    for root, owned in {(source.root_id, source.owned) for source in sources if source.ancestor}:
        if root not in known_lines:
            yield Entry(sha256=None, role=UNKNOWN_MAKING, name=PARENT_NOT_KNOWN, elsewhere=not owned)


def _of_run(run: AnyRow, facts: _Facts, *, elsewhere: bool) -> Iterator[Entry]:
    key = (run.generation_id, run.node)
    models = facts.models.get(key, ())
    for model in models:
        yield Entry(sha256=model.sha256, role=model.role, name=storable(model.name)[0], elsewhere=elsewhere)
    if run.generates and not names_what_samples(model.role for model in models):
        yield Entry(sha256=None, role=UNKNOWN_MAKING, name=NO_MODEL_NAMED, elsewhere=elsewhere)
    if not all(given.known for given in facts.inputs.get(key, ())):
        yield Entry(sha256=None, role=UNKNOWN_MAKING, name=INPUT_NOT_KNOWN, elsewhere=elsewhere)
