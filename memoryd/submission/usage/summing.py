"""Usage with names: who may see what, which jobs some words mean, and what they cost."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from memoryd.access import people, projects
from memoryd.access.facts import Caller, Scope
from memoryd.access.roles import narrowed
from memoryd.dispatch import usage
from memoryd.dispatch.usage import RunView, UsageAsked, UsageSum
from memoryd.foundation.database import Session, take_farm, take_tenant
from memoryd.foundation.errors import NotAcceptable, NotAllowed
from memoryd.foundation.ids import JobId
from memoryd.search.dates import DATE_HINT, span
from memoryd.search.facts import Term
from memoryd.search.lexemes import all_of, term_query
from memoryd.submission.usage import queries

JOBS_LIMIT = 200_000
"""Jobs that some words may mean; beyond it, narrower words or a shorter time are asked for."""

DEFAULT_DAYS = 30
WAIT_LIMIT = datetime.timedelta(days=7)
"""How long before its end a job may have been asked for, with its retries and replays."""


class BadPeriod(NotAcceptable):
    """This is no period of time."""


class TooManyJobs(NotAcceptable):
    """These words mean more jobs than can be summed."""


class NothingToSearch(NotAcceptable):
    """There is no word in this."""


class NotYourUsage(NotAllowed):
    """Only producers, officers and administrators see what others used."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked. `since` and `until` are dates as in a search; names as people write them."""

    by: Sequence[str] = ()
    since: str | None = None
    until: str | None = None
    words: str | None = None
    project: str | None = None
    person: str | None = None
    pool: str | None = None
    model: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Sums with names in place of ids, and the sum of all; the period that was meant."""

    since: datetime.datetime
    until: datetime.datetime
    rows: Sequence[UsageSum]
    total: UsageSum


def sum_usage(session: Session, caller: Caller, question: Question, *, now: datetime.datetime) -> Answer:
    """Return what the caller asks for. `session` is a unit of work of the caller's tenant, and is one again afterwards.

    An artist sees their own usage; producers and officers that of the projects in which they are. Raises: BadPeriod,
    BadUsage, TooManyJobs, NothingToSearch, NotYourUsage, ProjectNotFound, PersonNotFound.
    """
    asked = _asked(session, caller, question, now)
    names = _names(session)
    take_farm(session)
    rows = usage.sum_up(session, asked, by=question.by)
    (total,) = usage.sum_up(session, asked, by=())
    take_tenant(session, caller.tenant)
    return Answer(
        since=asked.since, until=asked.until, total=total, rows=[_named(row, question.by, names) for row in rows]
    )


def list_runs(
    session: Session, caller: Caller, question: Question, *, now: datetime.datetime, before: int | None, limit: int
) -> tuple[list[RunView], Mapping[str, str]]:
    """Return single tries, the newest first, and the names of projects and people by id. Raises as sum_usage."""
    asked = _asked(session, caller, question, now)
    names = _names(session)
    take_farm(session)
    runs = usage.list_runs(session, asked, before=before, limit=limit)
    take_tenant(session, caller.tenant)
    return runs, names


def _asked(session: Session, caller: Caller, question: Question, now: datetime.datetime) -> UsageAsked:
    since, until = _period(question, now)
    person = people.find_person(session, question.person) if question.person else None
    wide = [narrowed(caller, scope).sees for scope in (Scope.REPORT, Scope.APPROVE) if scope in caller.scopes]
    if wide:
        sees = None if None in wide else frozenset().union(*[one for one in wide if one is not None])
    elif caller.person_id is None or person not in (None, caller.person_id):
        raise NotYourUsage(f"{caller.name} asks", hint="ask for your own, or ask a producer of the project")
    else:
        sees, person = caller.sees, caller.person_id
    allowed = None if sees is None else sorted(sees)
    if question.project is not None:
        allowed = [projects.find_project(session, question.project, sees)]
    return UsageAsked(
        tenant_id=caller.tenant.id,
        since=since,
        until=until,
        projects=allowed,
        person=person,
        pool=question.pool,
        model=question.model,
        jobs=None if question.words is None else _jobs_of(session, question.words, since, until),
    )


def _jobs_of(session: Session, words: str, since: datetime.datetime, until: datetime.datetime) -> list[JobId]:
    query = all_of(filter(None, [term_query(Term(text=word, prefix=False)) for word in words.split()]))
    if query is None:
        raise NothingToSearch(repr(words[:80]), hint="write words of the prompt")
    found = queries.list_jobs_of_words(
        session, query=query, since=since - WAIT_LIMIT, until=until, limit=JOBS_LIMIT + 1
    )
    if len(found) > JOBS_LIMIT:
        raise TooManyJobs(f"more than {JOBS_LIMIT} (JOBS_LIMIT)", hint="ask for rarer words or a shorter time")
    return [JobId(job) for job in found]


def _period(question: Question, now: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime]:
    since, until = now - datetime.timedelta(days=DEFAULT_DAYS), now
    if question.since:
        since = _span(question.since, now)[0]
    if question.until:
        until = _span(question.until, now)[1]
    if since >= until:
        raise BadPeriod(f"from {since.isoformat()} to {until.isoformat()}", hint="let it begin before it ends")
    return since, until


def _span(text: str, now: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime]:
    found = span(text, now)
    if found is None:
        raise BadPeriod(repr(text[:40]), hint=DATE_HINT)
    return found


def _names(session: Session) -> dict[str, str]:
    found = {str(row.id): str(row.slug) for row in queries.list_project_names(session)}
    return found | {str(row.id): str(row.login) for row in queries.list_person_names(session)}


def _named(row: UsageSum, by: Sequence[str], names: Mapping[str, str]) -> UsageSum:
    told = {"project", "person"}
    key = [
        names.get(value, value) if name in told and value is not None else value
        for name, value in zip(by, row.key, strict=True)
    ]
    return dataclasses.replace(row, key=tuple(key))
