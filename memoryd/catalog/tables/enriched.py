"""What was found out about assets after they were recorded, by which recipes, and frames that are one item together."""

from __future__ import annotations

import datetime

from sqlalchemy import Float, ForeignKey, Index, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, TenantTable


class Enriched(TenantTable):
    """That a recipe was done for an asset. `state`: `made`, `nothing` (there is nothing of the kind) or `failed`."""

    __tablename__ = "enriched"
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str]
    at: Mapped[RecordedNow]


class MediaTrait(TenantTable):
    """What an asset's content is like beside its size: seconds, frames and samples a second, colour profile, layers."""

    __tablename__ = "media_trait"
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    duration: Mapped[float | None] = mapped_column(Float(53))
    frame_rate: Mapped[float | None] = mapped_column(Float(53))
    sample_rate: Mapped[int | None]
    channels: Mapped[int | None]
    profile_name: Mapped[str | None]
    profile_sha256: Mapped[bytes | None]
    layers: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    at: Mapped[RecordedNow]


class Sequence(TenantTable):
    """Numbered frames that are one item. `key` (32 bytes) says what they have in common; `name` has `#` for the digits.

    `first_id` is the frame with the lowest number; `frames` counts them, `first` and `last` are their numbers.
    """

    __tablename__ = "sequence"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(unique=True)
    name: Mapped[str]
    first_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"))
    frames: Mapped[int]
    first: Mapped[int]
    last: Mapped[int]
    made_at: Mapped[datetime.datetime]


class SequenceMember(TenantTable):
    """That an asset is a frame. Only frames of whole sequences (`frames` of the sequence large enough) are shown as one."""

    __tablename__ = "sequence_member"
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    sequence_id: Mapped[UUID] = mapped_column(ForeignKey("sequence.id", ondelete="CASCADE"))
    number: Mapped[int]


Index("sequence_member_sequence_idx", SequenceMember.sequence_id, SequenceMember.number)
