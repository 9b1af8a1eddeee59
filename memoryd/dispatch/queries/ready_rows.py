"""How rows of `ready` are named in a statement so that the planner reads them by the index that is meant, and no other.

The table is nearly empty at one moment and has a million rows at the next, and its statistics are of neither: to the
planner all indexes that a condition fits cost the same then. So no condition fits two of them: rows of columns are
compared, which only the index that begins with these columns can use. Checked by tests/dispatch/test_plans.py.
"""

from __future__ import annotations

IN_ORDER = "order by r.vtag, r.job_id"


def at_key(vtag: str, job_id: str) -> str:
    """Return the condition on the last two columns of the primary key, for one row."""
    return f"(r.vtag, r.job_id) >= ({vtag}, {job_id}) and (r.vtag, r.job_id) <= ({vtag}, {job_id})"


def from_tag(column: str, value: str, pool: str, class_: str, low: str) -> str:
    """Return the condition for the rows of one order that have one `tenant_id` or `model_set`, from a tag on."""
    columns = f"r.{column}, r.pool_id, r.class_id"
    return f"({columns}, r.vtag) >= ({value}, {pool}, {class_}, {low}) and ({columns}) <= ({value}, {pool}, {class_})"


def between_tags(column: str, value: str, pool: str, class_: str, low: str, high: str) -> str:
    """Return the condition for the rows of one order that have one `tenant_id` or `model_set`, between two tags."""
    columns = f"(r.{column}, r.pool_id, r.class_id, r.vtag)"
    return f"{columns} >= ({value}, {pool}, {class_}, {low}) and {columns} <= ({value}, {pool}, {class_}, {high})"


def by(column: str) -> str:
    """Return the order of the rows that from_tag and between_tags name, as their index gives it."""
    return f"order by r.{column}, r.pool_id, r.class_id, r.vtag, r.job_id"
