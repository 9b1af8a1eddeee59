"""Approvals.

Revision 0013 of the farm line, after 0012. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE approval_hold (
        id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        refused TEXT,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT approval_hold_pkey PRIMARY KEY (id),
        CONSTRAINT approval_hold_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id)
    )
    """,
    """
    ALTER TABLE job ADD COLUMN approval_id UUID
    """,
    """
    CREATE INDEX job_approval_id_idx ON job (approval_id) WHERE approval_id is not null
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
