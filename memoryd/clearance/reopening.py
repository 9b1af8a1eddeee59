"""Verdicts whose ground has moved: a licence, a grant, a fact changed, and what rested on it is looked at again.

What comes to the same, clause by clause and text by text, stands. The rest is reopened and listed, with the verdict that
the same question has now; sets of models are judged anew at once, and what was made with them is marked.
"""

from __future__ import annotations

from uuid import UUID

from memoryd.access.changes.noting import Changed, note_change
from memoryd.access.clients.known import ClientNotFound, find_client
from memoryd.clearance import standing
from memoryd.clearance.facts import Cleared, Kind, Occasion
from memoryd.clearance.gathering import in_use
from memoryd.clearance.judging import judge
from memoryd.clearance.keeping import entries_of, keep, read, same_judgement
from memoryd.clearance.occasions import occasion_for
from memoryd.clearance.queries import verdicts as queries
from memoryd.clearance.recalls import deciding as recalls
from memoryd.clearance.tables import LicenceVerdict
from memoryd.dispatch import chores
from memoryd.dispatch.facts import Chore
from memoryd.foundation.database import Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import NotAcceptable
from memoryd.model_registry import licence_changes

CHORE_KIND = licence_changes.CHORE_KIND
CLIENTS = "clients"
"""The chore's subjects are clients whose facts changed."""
STUDIO = "studio"
"""The studio's own facts changed: every verdict rests on them. The subject says nothing."""

ROWS_AT_ONCE = 200
"""Verdicts of one unit of work."""

WHY = {
    licence_changes.LICENCES_RECIPE: "the terms of a licence changed",
    licence_changes.MODELS_RECIPE: "what licenses a model changed, or whether it is recalled",
    CLIENTS: "what is known of the client changed",
    STUDIO: "what the studio says of itself changed",
}


class UnknownReason(NotAcceptable):
    """Verdicts are not reopened for this."""


def do_chore(means: chores.Means, chore: Chore) -> None:
    """Look again at every verdict that rests on what the chore names; done again, it changes nothing."""
    if chore.recipe not in WHY:
        raise UnknownReason(chore.recipe)
    if chore.recipe == licence_changes.MODELS_RECIPE:
        with means.database.tenant_work(means.tenant) as session:
            # What came to the registry after a recall may be made of what was recalled.
            recalls.extend(session, means.tenant, licence_changes.models_of(session, chore.subjects))
    after, sets = None, set[bytes]()
    while True:
        with means.database.tenant_work(means.tenant) as session:
            rows = _resting(session, chore, after)
            for row in rows:
                if _look_again(session, row, WHY[chore.recipe]) and row.kind == Kind.SET:
                    sets.add(row.subject)
        if len(rows) < ROWS_AT_ONCE:
            break
        after = rows[-1].id
    standing.follow_sets(means.database, means.tenant, dict.fromkeys(sets))


def note_facts(session: Session, tenant: TenantScope, client: UUID | None) -> None:
    """Say, in the transaction that changes it, that a client's facts (None: the studio's) are others now."""
    note_change(session, Changed.CLIENT)
    take_farm(session)
    recipe, subject = (STUDIO, tenant.id) if client is None else (CLIENTS, client)
    chores.add(session, tenant, CHORE_KIND, recipe, [subject])
    take_tenant(session, tenant)


def judged_now(session: Session, cleared: Cleared) -> Occasion:
    """Return the occasion of a kept verdict with the facts as they are now."""
    asked = cleared.occasion
    try:
        return occasion_for(session, asked.use, asked.territories, asked.client)
    except ClientNotFound:
        return asked


def _resting(session: Session, chore: Chore, after: UUID | None) -> list[LicenceVerdict]:
    recipe = chore.recipe
    if recipe == CLIENTS:
        names = [find_client(session, str(client)).name for client in chore.subjects]
        return [
            row
            for name in names
            for row in queries.list_resting_on(session, client=name, after=after, limit=ROWS_AT_ONCE)
        ]
    models = licence_changes.models_of(session, chore.subjects) if recipe == licence_changes.MODELS_RECIPE else []
    licences = chore.subjects if recipe == licence_changes.LICENCES_RECIPE else ()
    if recipe != STUDIO and not models and not licences:
        return []
    rows = queries.list_resting_on(
        session, licences=licences, models=models, everything=recipe == STUDIO, after=after, limit=ROWS_AT_ONCE
    )
    return list(rows)


def _look_again(session: Session, row: LicenceVerdict, why: str) -> bool:
    """Reopen a verdict that is another one now; return whether it was."""
    before = read(row)
    models, occasion = in_use(session, entries_of(row)), judged_now(session, before)
    judgement = judge(models, occasion)
    if same_judgement(row, judgement):
        return False
    if not queries.reopen(session, row.id, why=why, to=judgement.verdict.value):
        return False
    if before.kind is Kind.SET:
        keep(
            session,
            kind=Kind.SET,
            subject=before.subject,
            name=before.name,
            project_id=None,
            person_id=None,
            occasion=occasion,
            judgement=judgement,
            models=models,
        )
    return True
