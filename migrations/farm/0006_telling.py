"""Telling: what happened in the queue, on its way to the tenants' events.

Revision 0006 of the farm line, after 0005. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE told (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        tenant_id UUID NOT NULL,
        kind TEXT NOT NULL,
        subject UUID NOT NULL,
        facts JSONB DEFAULT '{}' NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT told_pkey PRIMARY KEY (id)
    )
    WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)
    """,
    """
    CREATE INDEX told_tenant_id_id_idx ON told (tenant_id, id)
    """,
    """
    ALTER TABLE worker ADD COLUMN silent_since TIMESTAMP WITH TIME ZONE
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
