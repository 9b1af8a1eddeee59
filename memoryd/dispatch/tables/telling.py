"""What happened in the queue and is still to be told to the tenants that it concerns."""

from __future__ import annotations

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.dispatch.tables.row_storage import CHURNING
from memoryd.foundation.declarative import UUID, FarmTable, RecordedNow


class Told(FarmTable):
    """Something that happened in a transaction of the farm, on its way to one tenant's outbox; carried there it is deleted."""

    __tablename__ = "told"
    __table_args__ = (Index(None, "tenant_id", "id"), CHURNING)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant_id: Mapped[UUID]
    kind: Mapped[str]
    subject: Mapped[UUID]
    facts: Mapped[dict[str, object]] = mapped_column(JSONB, server_default="{}")
    at: Mapped[RecordedNow]
