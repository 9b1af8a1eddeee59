"""What is stored of changes: that there was one, and the table that holds submissions off."""

from __future__ import annotations

from sqlalchemy import BigInteger, Identity, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import RecordedNow, TenantTable


class ClearanceChange(TenantTable):
    """A change of what verdicts rest on. Inserted, never updated: two long transactions never wait for each other."""

    __tablename__ = "clearance_change"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    what: Mapped[str]
    """licence, grant, origin, client, policy, approval or recall."""
    at: Mapped[RecordedNow]


class SubmissionFence(TenantTable):
    """Always empty: every transaction that writes a job reads it, so that whoever locks it holds them off until commit."""

    __tablename__ = "submission_fence"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
