"""Stated environments.

Revision 0009 of the farm line, after 0008. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE worker_environment (
        worker_id UUID NOT NULL,
        sha256 BYTEA NOT NULL,
        document BYTEA NOT NULL,
        first_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        last_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT worker_environment_pkey PRIMARY KEY (worker_id, sha256),
        CONSTRAINT worker_environment_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (id)
    )
    """,
    """
    CREATE INDEX worker_environment_sha256_idx ON worker_environment (sha256)
    """,
    """
    INSERT INTO worker_environment (worker_id, sha256, document, first_at, last_at)
    SELECT id, environment_sha256, environment, coalesce(registered_at, created_at), coalesce(registered_at, created_at)
      FROM worker WHERE environment_sha256 IS NOT NULL AND environment IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
