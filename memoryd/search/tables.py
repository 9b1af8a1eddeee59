"""What this room stores: vectors of what assets show or say, apart from the assets, filled when there is time for it."""

from __future__ import annotations

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, TenantTable


class AssetVector(TenantTable):
    """An asset's vector by one embedder; half precision, as long as the embedder makes it.

    An index comes with the embedder that is chosen: it needs to know the length.
    """

    __tablename__ = "asset_vector"
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    embedder: Mapped[str] = mapped_column(primary_key=True)
    vector: Mapped[list[float]] = mapped_column(HALFVEC())
    at: Mapped[RecordedNow]
