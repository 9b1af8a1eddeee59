"""What this room stores: which asset was disclosed as which, what was said, and who signed."""

from __future__ import annotations

import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import RecordedNow, Sha256, TenantTable


class Disclosure(TenantTable):
    """One signed copy. `original` and `disclosed` are assets of one line; neither is ever changed."""

    __tablename__ = "disclosure"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    original_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"))
    disclosed_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    profiles: Mapped[str]
    """Which rules asked for the statement, separated by spaces (`c2pa-2.4`)."""
    source_type: Mapped[str]
    statement: Mapped[dict[str, object]]
    """What `org.memoryd.generation` says in the file."""
    statement_digest: Mapped[Sha256]
    manifest_id: Mapped[str]
    signer: Mapped[str]
    signer_fingerprint: Mapped[Sha256]
    development: Mapped[bool]
    """Signed with the development chain, which is no public identity."""
    timestamped: Mapped[bool] = mapped_column(server_default="false")
    layers: Mapped[str]
    """Marks that were put in, separated by spaces (`metadata`)."""
    kept: Mapped[str]
    """How far the copy was compared with the original: bytes, pixels, not-compared."""
    state: Mapped[str]
    """What verifying it last said."""
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[RecordedNow]
    verified_at: Mapped[datetime.datetime]
    superseded_by: Mapped[UUID | None] = mapped_column(ForeignKey("disclosure.id"))


# The same said of the same content by the same signer is said once.
Index(
    "disclosure_once_key",
    Disclosure.original_id,
    Disclosure.statement_digest,
    Disclosure.signer_fingerprint,
    unique=True,
)
