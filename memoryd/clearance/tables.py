"""What is stored of licence verdicts: what was decided about what, for which use and where, on which texts."""

from __future__ import annotations

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, TenantTable


class LicenceVerdict(TenantTable):
    """A verdict (allow, review, block, unknown) on a subject: `kind` says whether an asset, a line or a model.

    `clauses` are the terms that decided, `text_sha256s` the licence texts as they were then. A later verdict is a new row.
    """

    __tablename__ = "licence_verdict"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    subject: Mapped[bytes]
    use: Mapped[str]
    territory: Mapped[str]
    verdict: Mapped[str]
    clauses: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")
    text_sha256s: Mapped[list[bytes]] = mapped_column(ARRAY(BYTEA), server_default="{}")
    at: Mapped[RecordedNow]


Index("licence_verdict_subject_idx", LicenceVerdict.kind, LicenceVerdict.subject, LicenceVerdict.at.desc())
