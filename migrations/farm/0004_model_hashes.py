"""Model hashes.

Revision 0004 of the farm line, after 0003. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE model_hash (
        key BYTEA NOT NULL,
        worker_id UUID NOT NULL,
        sha256 BYTEA,
        leased_until TIMESTAMP WITH TIME ZONE NOT NULL,
        asked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT model_hash_pkey PRIMARY KEY (key)
    )
    """,
    """
    CREATE INDEX model_hash_worker_id_idx ON model_hash (worker_id)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
