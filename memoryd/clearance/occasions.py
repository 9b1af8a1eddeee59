"""What for, where and for whom: from people's words and from what is known of the studio and the client."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from memoryd.access import audit
from memoryd.access.changes.noting import Changed, note_change
from memoryd.access.clients.facts import PartyFacts
from memoryd.access.clients.known import client_of, find_client
from memoryd.access.facts import Caller, Scope
from memoryd.clearance.facts import Occasion, Use
from memoryd.clearance.queries import studio as queries
from memoryd.clearance.territories import WORLD, territory
from memoryd.foundation.canonical_json import Json, canonical_bytes
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable, NotAllowed
from memoryd.foundation.ids import ProjectId
from memoryd.model_registry.licensing.effective import find_licence

TERRITORIES_LIMIT = 300
"""Territories of one question: more than there are."""

DEFAULT_USE = Use.CLIENT_DELIVERY
"""What a studio's pictures are for where nobody said."""


class BadUse(NotAcceptable):
    """There is no such use."""


class TooManyTerritories(NotAcceptable):
    """There are not so many territories."""


class StudioWideOnly(NotAllowed):
    """This belongs to the whole studio, not to one project."""


def read_use(word: str) -> Use:
    """Return the use that a word names. Raises: BadUse."""
    try:
        return Use(word.strip().lower())
    except ValueError:
        raise BadUse(f"{word[:40]!r}", hint=f"uses are {', '.join(Use)}") from None


def read_territories(words: Iterable[str]) -> tuple[str, ...]:
    """Return territories in their one spelling, sorted; the world where none is named.

    Raises: BadTerritory, TooManyTerritories.
    """
    given = [part for word in words for part in word.replace(",", " ").split()]
    if len(given) > TERRITORIES_LIMIT:
        raise TooManyTerritories(f"{len(given)}", hint="name each once, or `world`")
    return tuple(sorted({territory(word) for word in given})) or (WORLD,)


def occasion_for(session: Session, use: Use, territories: Sequence[str], client: UUID | str | None = None) -> Occasion:
    """Return the occasion with what is known of the studio and, where there is one, of the client: the stricter counts.

    Whether the caller may see the client is for them to check. Raises: ClientNotFound.
    """
    studio = studio_facts(session)
    if client is None:
        return _occasion(use, tuple(territories), None, studio, (studio,))
    known = find_client(session, str(client))
    return _occasion(use, tuple(territories), known.name, studio, (studio, known.facts))


def project_occasion(session: Session, project: ProjectId | None) -> Occasion:
    """Return what a project's pictures are for: its policy's use, territories and client; else delivery anywhere."""
    client = None if project is None else client_of(session, project)
    policy = None if project is None else queries.find_policy(session, project)
    if policy is None:
        return occasion_for(session, DEFAULT_USE, (WORLD,), client)
    use, territories, named = policy
    return occasion_for(session, read_use(use), read_territories(territories), named or client)


def studio_facts(session: Session) -> PartyFacts:
    """Return what the studio says of itself; nothing where it said nothing."""
    return PartyFacts.read(queries.find_statement(session) or {})


def state_studio(session: Session, caller: Caller, changes: Mapping[str, object]) -> PartyFacts:
    """Change what the studio says of itself (members of PartyFacts) and return it as it is now. Raises: StudioWideOnly."""
    check_studio_wide(caller)
    queries.lock_statements(session)
    before = studio_facts(session)
    after = dataclasses.replace(before, **changes)  # type: ignore[arg-type]
    if after.registered != before.registered:
        # By any name; one that means no licence would be kept and never count.
        own = {find_licence(session, name)[1].id for name in after.registered}
        after = dataclasses.replace(after, registered=tuple(sorted(own)))
    if after != before:
        queries.insert_statement(session, after.as_json(), caller.person_id)
        note_change(session, Changed.CLIENT)
        told: dict[str, Json] = {"before": before.as_json(), "after": after.as_json()}
        audit.note(session, caller, "studio.facts", "studio", told)
    return after


def check_studio_wide(caller: Caller) -> None:
    """Return where the caller may speak for the studio: an administrator, or whoever reports in the whole tenant.

    Raises: StudioWideOnly.
    """
    if not caller.everywhere & {Scope.REPORT, Scope.ADMIN}:
        raise StudioWideOnly(
            f"{caller.name} may not", hint="ask an administrator, or an officer of the whole studio (`memoryd people`)"
        )


def party_changes(
    *,
    revenue_usd: int | None = None,
    users: int | None = None,
    seats: Sequence[str] | None = None,
    registered: Sequence[str] | None = None,
    forget: Sequence[str] = (),
) -> dict[str, object]:
    """Return changes of PartyFacts: what is None stays, what `forget` names is not told any more. Raises: BadTerritory."""
    given = {
        "revenue_usd": revenue_usd,
        "users": users,
        "seats": None if seats is None else tuple(one for one in read_territories(seats) if seats),
        "registered": None
        if registered is None
        else tuple(sorted({word.strip() for word in registered if word.strip()})),
    }
    nothing = PartyFacts()
    forgotten = {name: getattr(nothing, name) for name in forget if name in given}
    return {name: value for name, value in given.items() if value is not None} | forgotten


def occasion_json(occasion: Occasion) -> dict[str, Json]:
    """Return an occasion as it is stored and told."""
    return {
        "use": occasion.use.value,
        "territories": list(occasion.territories),
        "client": occasion.client,
        "revenue_usd": occasion.revenue_usd,
        "users": occasion.users,
        "seats": list(occasion.seats),
        "registered": list(occasion.registered),
        "untold": [*sorted(occasion.untold)],
    }


def occasion_digest(occasion: Occasion) -> bytes:
    """Return what an occasion is known by where its verdicts are kept: use, places and client, not the facts."""
    asked: list[Json] = [occasion.use.value, list(occasion.territories), occasion.client]
    return hashlib.sha256(canonical_bytes(asked)).digest()


def _occasion(
    use: Use, territories: tuple[str, ...], client: str | None, studio: PartyFacts, parties: Sequence[PartyFacts]
) -> Occasion:
    untold = {
        name
        for name, told in (
            ("revenue", all(party.revenue_usd is not None for party in parties)),
            ("users", all(party.users is not None for party in parties)),
            ("seat", all(party.seats for party in parties)),
        )
        if not told
    }
    return Occasion(
        use=use,
        territories=territories,
        revenue_usd=max((party.revenue_usd for party in parties if party.revenue_usd is not None), default=None),
        users=max((party.users for party in parties if party.users is not None), default=None),
        client=client,
        seats=tuple(sorted({seat for party in parties for seat in party.seats})),
        registered=studio.registered,
        untold=frozenset(untold),
    )
