"""Pack sources.

Revision 0012 of the tenant line, after 0011. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE pack_source (
        tree BYTEA NOT NULL,
        archive BYTEA NOT NULL,
        name TEXT NOT NULL,
        remote TEXT,
        commit TEXT,
        files INTEGER NOT NULL,
        size BIGINT NOT NULL,
        kept_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT pack_source_pkey PRIMARY KEY (tree)
    )
    """,
    """
    CREATE INDEX generation_environment_idx ON generation (environment, id) WHERE environment IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
