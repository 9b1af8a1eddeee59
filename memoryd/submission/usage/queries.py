"""Every statement about the words of jobs, and the names behind ids."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session

Found = Row[Any]


def insert_words(session: Session, words: Mapping[UUID, str]) -> None:
    """Write the words (text of a tsvector) by which jobs are found."""
    session.execute(
        text("""insert into job_words (job_id, words)
                select x.job_id, cast(x.words as tsvector)
                  from unnest(cast(:job_ids as uuid[]), cast(:words as text[])) x(job_id, words) on conflict do nothing"""),
        {"job_ids": list(words), "words": list(words.values())},
    )


def list_jobs_of_words(
    session: Session, *, query: str, since: datetime.datetime, until: datetime.datetime, limit: int
) -> Sequence[UUID]:
    """The jobs that these words (text of a tsquery) are in and that were asked for before `until`, newest first.

    `since` bounds how long ago they were asked for at least as far back as a job may wait.
    """
    return list(
        session.execute(
            text("""
            select w.job_id from job_words w join job_detail d on d.job_id = w.job_id
             where w.words @@ cast(:query as tsquery) and d.created_at >= :since and d.created_at < :until
             order by w.job_id desc limit :limit"""),
            {"query": query, "since": since, "until": until, "limit": limit},
        ).scalars()
    )


def list_project_names(session: Session) -> Sequence[Found]:
    """Every project: id, slug."""
    return session.execute(text("select id, slug from project")).all()


def list_person_names(session: Session) -> Sequence[Found]:
    """Every person: id, login."""
    return session.execute(text("select id, login from person")).all()
