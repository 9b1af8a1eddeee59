"""Every statement about how groups were asked for, and about their items. The session has taken the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import insert as upsert

from memoryd.foundation.database import Session
from memoryd.submission.tables import GroupRequest

Found = Row[Any]


def find_request(session: Session, *, key: str) -> Found | None:
    """The group that a key names: group_id, body_sha256."""
    return session.execute(
        text("select group_id, body_sha256 from group_request where key = :key"), {"key": key}
    ).first()


def insert_request(session: Session, values: Mapping[str, object]) -> bool:
    """Write how a group was asked for; False where its key is taken."""
    made = session.execute(
        upsert(GroupRequest).values(**values).on_conflict_do_nothing(index_elements=[GroupRequest.key]).returning(1)
    )
    return made.first() is not None


def lock_group(session: Session, *, group_id: UUID) -> None:
    """Wait until nobody else adds items to a group, and keep others from it until the commit."""
    session.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"memoryd.submission.group:{group_id}"},
    )


def has_item(session: Session, *, group_id: UUID, item_no: int) -> bool:
    """Whether a group has this item."""
    found = session.execute(
        text("select 1 from job_detail where group_id = :group_id and item_no = :item_no limit 1"),
        {"group_id": group_id, "item_no": item_no},
    )
    return found.first() is not None


def list_items(session: Session, *, group_id: UUID, after: int, limit: int) -> Sequence[Found]:
    """Items of a group, in order, after one: job_id, item_no, item, result."""
    return session.execute(
        text("""select job_id, item_no, item, result from job_detail
                 where group_id = :group_id and item_no > :after order by item_no limit :limit"""),
        {"group_id": group_id, "after": after, "limit": limit},
    ).all()


def count_items(session: Session, *, group_id: UUID) -> int:
    """How many items of a group are there."""
    return int(
        session.execute(
            text("select count(*) from job_detail where group_id = :group_id"), {"group_id": group_id}
        ).scalar_one()
    )


def find_inputs(session: Session, *, group_id: UUID) -> Sequence[str]:
    """The inputs that a group's items have values for, as they were named; none for a group made otherwise."""
    found: Sequence[str] | None = session.execute(
        text("select inputs from group_request where group_id = :group_id"), {"group_id": group_id}
    ).scalar()
    return found or ()


def list_costs(session: Session, *, workflows: Sequence[bytes], pool: str) -> Mapping[bytes, Found]:
    """What runs of these workflows have cost in a pool: mean_ms, spread_ms by workflow."""
    rows = session.execute(
        text("""select workflow, mean_ms, spread_ms from run_cost
                 where workflow = any(cast(:workflows as bytea[])) and pool = :pool"""),
        {"workflows": list(workflows), "pool": pool},
    ).all()
    return {bytes(row.workflow): row for row in rows}
