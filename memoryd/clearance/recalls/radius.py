"""The blast radius of a model: how much it touched, counted before anybody decides, and changed by nobody."""

from __future__ import annotations

import collections
import dataclasses
import datetime
from collections.abc import Sequence
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.clearance.recalls import keeping
from memoryd.clearance.recalls.queries import counting as queries
from memoryd.foundation.database import Session
from memoryd.model_registry import looking_up, origins
from memoryd.model_registry.facts import Descendant, NameView

DELIVERIES_LIMIT = 200
"""Deliveries that are named; of the others the number."""
NAMED_LIMIT = 200
"""Projects, people and models made of it that are named, the most touched first."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many touched assets somebody has: a project (with its client), or a person in those projects."""

    name: str
    assets: int
    client: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTouched:
    """A delivery that holds touched lines."""

    id: UUID
    name: str
    project: str
    client: str | None
    frozen_at: datetime.datetime | None
    items: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DerivedModel:
    """Weights that were made of the model, and what they touched themselves."""

    sha256: bytes
    via: str
    depth: int
    generations: int
    assets: int
    lines: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PossiblyTouched:
    """Runs that name weights as the model was called, from when until when, and say by no hash which they were."""

    name: str
    seen_from: datetime.datetime
    seen_to: datetime.datetime | None
    generations: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BlastRadius:
    """What a model touched, as far as the caller sees.

    `partial`: only some projects are seen, so there may be more. `behind`: statements whose changes are not counted yet;
    0: the counts are exact.
    """

    model: bytes
    name: str | None
    partial: bool
    behind: int
    generations: int = 0
    assets: int = 0
    lines: int = 0
    derived_lines: int = 0
    disclosed_copies: int = 0
    deliveries: int = 0
    deliveries_frozen: int = 0
    named_deliveries: tuple[DeliveryTouched, ...] = ()
    """Frozen ones first, the latest first; DELIVERIES_LIMIT."""
    projects: tuple[Share, ...] = ()
    clients: tuple[str, ...] = ()
    people: tuple[Share, ...] = ()
    models: int = 0
    """Weights made of it, at whatever distance."""
    named_models: tuple[DerivedModel, ...] = ()
    possibly: tuple[PossiblyTouched, ...] = ()


def blast_radius(session: Session, sha256: bytes, sees: Sees) -> BlastRadius:
    """Return what a model touched. Whatever changed until now is counted first; nothing else is changed."""
    folded = keeping.catch_up(session)
    descendants = origins.descendants(session, sha256)
    sums = queries.find_sums(session, [sha256, *(one.sha256 for one in descendants)])
    names = _names(session, sha256)
    radius = BlastRadius(
        model=sha256,
        name=names[0].path if names else None,
        partial=sees is not None,
        behind=0 if folded else keeping.count_behind(session),
        models=len(descendants),
        possibly=_possibly(session, names, sees),
    )
    if sees is None:
        radius = dataclasses.replace(
            radius,
            named_models=tuple(
                DerivedModel(
                    sha256=one.sha256,
                    via=one.via.value,
                    depth=one.depth,
                    generations=sums[one.sha256].generations if one.sha256 in sums else 0,
                    assets=sums[one.sha256].assets if one.sha256 in sums else 0,
                    lines=sums[one.sha256].lines if one.sha256 in sums else 0,
                )
                for one in descendants[:NAMED_LIMIT]
            ),
        )
    else:
        radius = dataclasses.replace(
            radius, named_models=tuple(_part_of(session, one, sums, sees) for one in descendants[:NAMED_LIMIT])
        )
    if sha256 not in sums:
        return radius
    return _counted(session, radius, sums[sha256], sees)


def _part_of(session: Session, one: Descendant, sums: dict[bytes, queries.AnyRow], sees: Sees) -> DerivedModel:
    found = None
    if one.sha256 in sums and sees is not None:
        found, _ = queries.count_part(session, sums[one.sha256].no, one.sha256, sees)
    return DerivedModel(
        sha256=one.sha256,
        via=one.via.value,
        depth=one.depth,
        generations=found.generations if found else 0,
        assets=found.assets if found else 0,
        lines=found.lines if found else 0,
    )


def _counted(session: Session, radius: BlastRadius, kept: queries.AnyRow, sees: Sees) -> BlastRadius:
    sums, owners = kept, queries.list_owners(session, kept.no) if sees is None else ()
    if sees is not None:
        sums, owners = queries.count_part(session, kept.no, radius.model, sees)
    deliveries = queries.list_deliveries(session, kept.no, radius.model, sees, DELIVERIES_LIMIT)
    by_project: collections.Counter[UUID] = collections.Counter()
    by_person: collections.Counter[UUID] = collections.Counter()
    for row in owners:
        by_project[row.project_id] += row.assets
        by_person[row.person_id] += row.assets
    people = queries.list_people(session, [person for person, _ in by_person.most_common(NAMED_LIMIT)])
    projects = [
        Share(name=row.slug, assets=by_project[row.id], client=row.client)
        for row in queries.list_projects(session, list(by_project))
    ]
    clients = {one.client for one in projects if one.client} | {row.client for row in deliveries if row.client}
    return dataclasses.replace(
        radius,
        generations=sums.generations,
        assets=sums.assets,
        lines=sums.lines,
        derived_lines=queries.count_derived(session, kept.no, radius.model, sees),
        disclosed_copies=queries.count_copies(session, kept.no, radius.model, sees),
        deliveries=deliveries[0].of_all if deliveries else 0,
        deliveries_frozen=deliveries[0].frozen if deliveries else 0,
        named_deliveries=tuple(
            DeliveryTouched(
                id=row.id,
                name=row.name,
                project=row.project,
                client=row.client,
                frozen_at=row.frozen_at,
                items=row.items,
            )
            for row in deliveries
        ),
        projects=tuple(sorted(projects, key=lambda one: -one.assets)),
        clients=tuple(sorted(clients)),
        people=tuple(
            Share(name=people[person], assets=assets) for person, assets in by_person.most_common() if person in people
        ),
    )


def _names(session: Session, sha256: bytes) -> Sequence[NameView]:
    try:
        return looking_up.show_model(session, sha256).model.names
    except looking_up.ModelNotFound:
        return ()


def _possibly(session: Session, names: Sequence[NameView], sees: Sees) -> tuple[PossiblyTouched, ...]:
    """Names the model has now come first, then those that it had, the latest first."""
    if not names:
        return ()
    spelled = {name.path: name for name in reversed(names)}
    asked = {**{path.replace("/", "\\"): path for path in spelled}, **{path: path for path in spelled}}
    counts: collections.Counter[str] = collections.Counter()
    for row in queries.list_possible(session, list(asked), sees):
        counts[asked[row.name]] += row.generations
    return tuple(
        PossiblyTouched(name=path, seen_from=name.seen_from, seen_to=name.seen_to, generations=counts[path])
        for path, name in reversed(spelled.items())
        if counts[path]
    )
