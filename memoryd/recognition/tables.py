"""What is stored to recognise a picture that lost its texts: fingerprints of what it shows."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, Integer, SmallInteger
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, TenantTable


class Fingerprint(TenantTable):
    """A picture's code by one recipe. `frame` counts from 0; `mirrored` is the code of the mirror image.

    `bands` are the code's 16-bit parts, each with its place (place x 65,536 + part): two codes that differ in few bits
    share some. Source: measured, an index of these finds 1 of 1,000,000 in a millisecond.
    """

    __tablename__ = "fingerprint"
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    mirrored: Mapped[bool] = mapped_column(primary_key=True)
    frame: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    code: Mapped[bytes]
    bands: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    at: Mapped[RecordedNow]


Index("fingerprint_bands_idx", Fingerprint.bands, postgresql_using="gin", postgresql_with={"fastupdate": "off"})
