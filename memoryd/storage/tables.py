"""What is stored about bytes; the bytes themselves lie in a store."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import RecordedNow, Sha256, TenantTable


class Blob(TenantTable):
    """Bytes that the tenant keeps, by their hash."""

    __tablename__ = "blob"
    __table_args__ = (
        CheckConstraint("octet_length(sha256) = 32", name="sha256"),
        CheckConstraint("size >= 0", name="size"),
        # For the collector: what nobody touched for long, oldest first.
        Index("blob_collectable_idx", "touched_at", postgresql_where=text("not held")),
    )

    sha256: Mapped[Sha256] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    backend: Mapped[str]
    key: Mapped[str]
    """Where the backend keeps it: `<tenant>/<aa>/<sha256 in hex>`."""
    state: Mapped[str]
    """A BlobState."""
    touched_at: Mapped[RecordedNow]
    """Last written or referred to: a writer touches the row, collection locks it."""
    held: Mapped[bool] = mapped_column(server_default="false")
    """Kept whatever refers to it (a legal hold)."""
