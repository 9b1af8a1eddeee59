"""What is stored of policies: every version, and what somebody was asked to approve."""

from __future__ import annotations

from sqlalchemy import ARRAY, ForeignKey, Index, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, Moment, RecordedNow, Sha256, TenantTable


class ProjectPolicy(TenantTable):
    """A version of a project's policy. Never changed; the present one is named by project.policy_version."""

    __tablename__ = "project_policy"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    use: Mapped[str]
    territories: Mapped[list[str]] = mapped_column(ARRAY(Text))
    client_id: Mapped[UUID | None] = mapped_column(ForeignKey("client.id"))
    on_review: Mapped[str]
    on_unknown: Mapped[str]
    on_block: Mapped[str]
    ask_role: Mapped[str]
    reason: Mapped[str]
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]


class ApprovalRequest(TenantTable):
    """A set of models that a project's policy asks somebody about, and what they said. One for each judgement of it."""

    __tablename__ = "approval_request"
    __table_args__ = (
        Index("approval_request_about_key", "project_id", "models_sha256", "judged", unique=True),
        Index("approval_request_open_idx", "project_id", "id", postgresql_where=text("state = 'asked'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    policy_version: Mapped[int]
    models_sha256: Mapped[Sha256]
    """The digest of the set of models."""
    judged: Mapped[Sha256]
    """The digest of the judgement: policy version, use, verdict and every clause with its licence's text."""
    models: Mapped[list[dict[str, object]]] = mapped_column(JSONB)
    """sha256 or null, role, name."""
    use: Mapped[str]
    verdict: Mapped[str]
    clauses: Mapped[list[dict[str, object]]] = mapped_column(JSONB)
    ask_role: Mapped[str]
    state: Mapped[str]
    """asked, approved or refused."""
    asked_by: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default="{}")
    """Everybody whose jobs wait for it."""
    asked_at: Mapped[RecordedNow]
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    decided_at: Mapped[Moment | None]
    reason: Mapped[str | None]
