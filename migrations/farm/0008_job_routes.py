"""Routes: jobs that are meant for particular workers, and the private pools that they enter.

Revision 0008 of the farm line, after 0007. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE route (
        job_id UUID NOT NULL,
        asked_pool_id UUID NOT NULL,
        worker_id UUID NOT NULL,
        workers UUID[] NOT NULL,
        only_these BOOLEAN NOT NULL,
        since TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        away_since TIMESTAMP WITH TIME ZONE,
        open BOOLEAN NOT NULL,
        CONSTRAINT route_pkey PRIMARY KEY (job_id)
    )
    """,
    """
    CREATE UNIQUE INDEX route_open_idx ON route (job_id) WHERE open
    """,
    """
    ALTER TABLE pool ADD COLUMN owner_worker UUID
    """,
    """
    ALTER TABLE pool ADD CONSTRAINT pool_owner_worker_key UNIQUE (owner_worker)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
