"""Every statement about recalls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import Row, select

from memoryd.clearance.recalls.tables import Recall, RecalledModel, TouchModel
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def list_standing(session: Session, sha256s: Sequence[bytes]) -> Sequence[AnyRow]:
    """Return (sha256, via, recall_id, model, kind, reason, at) of those of these weights that are recalled, oldest first."""
    return session.execute(
        select(
            RecalledModel.sha256,
            RecalledModel.via,
            Recall.id.label("recall_id"),
            Recall.model,
            Recall.kind,
            Recall.reason,
            Recall.at,
        )
        .join(Recall, Recall.id == RecalledModel.recall_id)
        .where(RecalledModel.sha256.in_(sha256s), Recall.lifted_at.is_(None))
        .order_by(Recall.at)
    ).all()


def list_recalled_numbers(session: Session, numbers: Sequence[int]) -> set[int]:
    """Return those of these numbers of weights (touch_model) that are recalled."""
    return set(
        session.scalars(
            select(TouchModel.no)
            .join(RecalledModel, RecalledModel.sha256 == TouchModel.sha256)
            .join(Recall, Recall.id == RecalledModel.recall_id)
            .where(TouchModel.no.in_(numbers), Recall.lifted_at.is_(None))
        )
    )
