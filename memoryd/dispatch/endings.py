"""What the end of jobs and of leases brings: chores, the jobs after them, and room under caps.

All of one transaction is settled at once: flows are then locked in one order, whoever ends and whoever enters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from memoryd.dispatch import telling, waking
from memoryd.dispatch.entering import Charge, LetIn, let_in
from memoryd.dispatch.queries import capping
from memoryd.dispatch.queries import ending as statements
from memoryd.dispatch.queries.ending import Found
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import Session
from memoryd.foundation.ids import JobId, new_id


@dataclasses.dataclass(slots=True)
class Endings:
    """What one transaction has ended so far. `settle` is its last act, and is called once."""

    ended: dict[JobId, JobState] = dataclasses.field(default_factory=dict)
    """Jobs that ended and bring something."""
    entrants: list[JobId] = dataclasses.field(default_factory=list)
    """Jobs to be let in."""
    charges: list[Charge] = dataclasses.field(default_factory=list)
    freed: list[Found] = dataclasses.field(default_factory=list)
    """What runs no more, where a cap counted it."""

    def note(self, row: Found, state: JobState) -> None:
        """Note that a job has ended; `row` tells whether that brings anything."""
        if row.followed or row.brings:
            self.ended[JobId(row.id)] = state

    def settle(self, session: Session) -> LetIn:
        """Do what the ends bring; return where the jobs went that were let in.

        Jobs that waited for a success enter, or, where there was none, are cancelled, and so on down their chains.
        """
        entrants = list(self.entrants)
        entrants += _settle_chains(session, self.ended)
        if self.freed:
            # Whoever is just moving jobs aside, since all places were taken, has done so by then.
            capping.lock_caps(session)
        for row in self.freed:
            entrants += capping.delete_held_by_caps(session, row)
        if not entrants and not self.charges:
            return LetIn(states={}, vtags={})
        let = let_in(session, entrants, charges=self.charges)
        _settle_chains(session, dict.fromkeys(let.of_state(JobState.CANCELLED), JobState.CANCELLED))
        return let


def settle_ended(session: Session, job_ids: Sequence[JobId], state: JobState) -> None:
    """Do what the end of these jobs brings, all of which ended in this state without success."""
    brought = statements.list_brought(session, job_ids=job_ids)
    _settle_chains(session, {JobId(row.id): state for row in brought})


def _settle_chains(session: Session, ended: dict[JobId, JobState]) -> list[JobId]:
    """Write the chores, cancel whatever waited in vain, down to the ends of the chains; return what may enter."""
    entrants: list[JobId] = []
    while ended:
        statements.insert_follow_ups(session, job_ids=list(ended), chore_ids=[new_id() for _ in ended])
        waking.chores_after_commit(session)
        in_vain = []
        for row in statements.delete_followers(session, job_ids=list(ended)):
            if ended[JobId(row.waits_for)] is JobState.SUCCEEDED:
                entrants.append(JobId(row.job_id))
            else:
                in_vain.append(row)
        if in_vain:
            statements.cancel_followers(
                session,
                job_ids=[row.job_id for row in in_vain],
                befores=[row.waits_for for row in in_vain],
                states=[ended[row.waits_for].value for row in in_vain],
            )
        ended = {JobId(row.job_id): JobState.CANCELLED for row in in_vain}
        telling.tell_jobs(session, "job.cancelled", list(ended), cause="after")
    return entrants
