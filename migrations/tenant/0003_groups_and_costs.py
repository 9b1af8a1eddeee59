"""Groups and costs.

Revision 0003 of the tenant line, after 0002. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE run_cost (
        workflow BYTEA NOT NULL,
        pool TEXT NOT NULL,
        runs INTEGER NOT NULL,
        mean_ms DOUBLE PRECISION NOT NULL,
        spread_ms DOUBLE PRECISION NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT run_cost_pkey PRIMARY KEY (workflow, pool)
    )
    """,
    """
    ALTER TABLE job_detail ADD COLUMN workflow BYTEA
    """,
    """
    ALTER TABLE job_detail ADD COLUMN group_id UUID
    """,
    """
    ALTER TABLE job_detail ADD COLUMN item_no INTEGER
    """,
    """
    ALTER TABLE job_detail ADD COLUMN item JSONB
    """,
    """
    CREATE INDEX job_detail_group_idx ON job_detail (group_id, item_no) WHERE group_id is not null
    """,
    """
    ALTER TABLE project ADD COLUMN regions TEXT[]
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
