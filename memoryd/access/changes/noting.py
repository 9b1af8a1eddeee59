"""Noting that what verdicts rest on has changed."""

from __future__ import annotations

import enum

from memoryd.access.changes import queries
from memoryd.foundation.database import Session


class Changed(enum.StrEnum):
    """What has changed."""

    LICENCE = "licence"
    GRANT = "grant"
    ORIGIN = "origin"
    CLIENT = "client"
    POLICY = "policy"
    APPROVAL = "approval"
    RECALL = "recall"


def note_change(session: Session, what: Changed) -> None:
    """Say, in the transaction that changes it, that remembered judgements are to be made anew. Waits for nobody."""
    queries.insert_change(session, what=what.value)


def hold_off_submissions(session: Session) -> None:
    """Let every job that is being written be committed first, and the others wait until this transaction has ended.

    For recalls: no job of a recalled model is written after their commit. Call it before anything of the queue is locked,
    since whoever writes a job locks the queue after it has looked here; and keep the transaction short.
    """
    queries.lock_fence(session)


def present_epoch(session: Session) -> str:
    """Return the present epoch: another word than before where something has changed."""
    return queries.read_epoch(session)
