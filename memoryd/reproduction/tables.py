"""What this room stores: every attempt to make an asset again, with its plan, verdict and reasons."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, TenantTable


class Reproduction(TenantTable):
    """One attempt. `verdict` is null while its job waits or runs; `receipt` is the signed proof, where one was made."""

    __tablename__ = "reproduction"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    state: Mapped[str]
    plan: Mapped[dict[str, object]]
    job_id: Mapped[UUID | None]
    generation_id: Mapped[UUID | None] = mapped_column(ForeignKey("generation.id"))
    made_asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("asset.id"))
    verdict: Mapped[str | None]
    measures: Mapped[dict[str, object]] = mapped_column(server_default="{}")
    causes: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")
    receipt: Mapped[bytes | None]
    at: Mapped[RecordedNow]
    decided_at: Mapped[datetime.datetime | None]


Index("reproduction_job_id_key", Reproduction.job_id, unique=True, postgresql_where=Reproduction.job_id.is_not(None))
Index("reproduction_newest_idx", Reproduction.at.desc(), Reproduction.id.desc())
