"""What is stored about weights whose bytes the tenant keeps itself."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, Sha256, TenantTable


class ModelCopy(TenantTable):
    """Weights whose bytes lie in the store."""

    __tablename__ = "model_copy"
    __table_args__ = (
        CheckConstraint("octet_length(sha256) = 32", name="sha256"),
        Index("model_copy_name_idx", "name", "folder"),
        # What leaves first.
        Index("model_copy_used_idx", "last_used_at"),
    )

    sha256: Mapped[Sha256] = mapped_column(ForeignKey("model.sha256"), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    folder: Mapped[str]
    """The role it is fetched into: checkpoints, loras, vae …"""
    name: Mapped[str]
    """Below the folder, with forward slashes: what a graph calls it."""
    pushed_by: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    pushed_at: Mapped[RecordedNow]
    last_used_at: Mapped[RecordedNow]
    """When a job asked for it, or a worker or a person fetched it, last."""
    uses: Mapped[int] = mapped_column(BigInteger, server_default="0")
