"""Model copies.

Revision 0017 of the tenant line, after 0016. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE model_copy (
        sha256 BYTEA NOT NULL,
        size BIGINT NOT NULL,
        folder TEXT NOT NULL,
        name TEXT NOT NULL,
        pushed_by UUID,
        pushed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        last_used_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        uses BIGINT DEFAULT '0' NOT NULL,
        CONSTRAINT model_copy_pkey PRIMARY KEY (sha256),
        CONSTRAINT model_copy_sha256_check CHECK (octet_length(sha256) = 32),
        CONSTRAINT model_copy_pushed_by_fkey FOREIGN KEY(pushed_by) REFERENCES person (id),
        CONSTRAINT model_copy_sha256_fkey FOREIGN KEY(sha256) REFERENCES model (sha256)
    )
    """,
    """
    CREATE INDEX model_copy_name_idx ON model_copy (name, folder)
    """,
    """
    CREATE INDEX model_copy_used_idx ON model_copy (last_used_at)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
