"""What this room stores: every attempt to make an asset again, with its plan, verdict and reasons; every variation."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, TenantTable


class Reproduction(TenantTable):
    """One attempt. `verdict` is null while its job waits or runs, is written once, and never changes.

    An attempt with a `parent_id` helps to explain another one: the same run once more, to learn what repeats itself.
    """

    __tablename__ = "reproduction"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    state: Mapped[str]
    purpose: Mapped[str] = mapped_column(server_default="asked")
    """A Purpose."""
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("reproduction.id"))
    plan: Mapped[dict[str, object]]
    job_id: Mapped[UUID | None]
    generation_id: Mapped[UUID | None] = mapped_column(ForeignKey("generation.id"))
    made_asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("asset.id"))
    verdict: Mapped[str | None]
    measures: Mapped[dict[str, object]] = mapped_column(server_default="{}")
    causes: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")
    worker_id: Mapped[UUID | None]
    """Who ran it, as the farm knows it."""
    tries: Mapped[int] = mapped_column(server_default="0")
    """Runs it took until one was computed for real."""
    environment: Mapped[bytes | None]
    """What ran it: the environment's hash."""
    difference: Mapped[bytes | None]
    """SHA-256 of the difference picture in the store, where one was drawn."""
    testing: Mapped[str] = mapped_column(server_default="off")
    """A Testing: whether second runs look for the reason of what differs."""
    causes_tested: Mapped[list[dict[str, object]] | None]
    """The causes ranked again by what the second runs showed; `causes` stays as it was told with the verdict."""
    tested_at: Mapped[datetime.datetime | None]
    receipt: Mapped[bytes | None]
    """The signed proof, as it is handed out."""
    at: Mapped[RecordedNow]
    decided_at: Mapped[datetime.datetime | None]


class Variation(TenantTable):
    """A wish for new pictures of an asset's recipe, and the job or group that makes them.

    A group is found by its key, which is known before the group is there: what broke off between the two is found again.
    """

    __tablename__ = "variation"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"))
    generation_id: Mapped[UUID | None] = mapped_column(ForeignKey("generation.id"))
    """The run that they come from."""
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    job_id: Mapped[UUID | None]
    group_key: Mapped[str | None]
    changes: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")
    """What differs from the asset's own run: names, places in the graph, values."""
    items: Mapped[int]
    at: Mapped[RecordedNow]


Index("variation_of_asset_idx", Variation.asset_id, Variation.at.desc(), Variation.id.desc())
Index("reproduction_job_id_key", Reproduction.job_id, unique=True, postgresql_where=Reproduction.job_id.is_not(None))
Index("reproduction_newest_idx", Reproduction.at.desc(), Reproduction.id.desc())
Index("reproduction_parent_idx", Reproduction.parent_id, postgresql_where=Reproduction.parent_id.is_not(None))
