"""Model descriptions.

Revision 0011 of the farm line, after 0010. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE worker_description (
        worker_id UUID NOT NULL,
        sha256 BYTEA NOT NULL,
        stamp TEXT NOT NULL,
        document BYTEA NOT NULL,
        told_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT worker_description_pkey PRIMARY KEY (worker_id, sha256),
        CONSTRAINT worker_description_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (id)
    )
    """,
    """
    CREATE TABLE worker_place (
        worker_id UUID NOT NULL,
        key TEXT NOT NULL,
        kind TEXT NOT NULL,
        root TEXT NOT NULL,
        CONSTRAINT worker_place_pkey PRIMARY KEY (worker_id, key),
        CONSTRAINT worker_place_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (id)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
