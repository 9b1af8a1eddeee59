"""Hold releases.

Revision 0010 of the tenant line, after 0009. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE hold_release (
        id UUID NOT NULL,
        sha256 BYTEA NOT NULL,
        reason TEXT NOT NULL,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT hold_release_pkey PRIMARY KEY (id),
        CONSTRAINT hold_release_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX hold_release_sha256_idx ON hold_release (sha256)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
