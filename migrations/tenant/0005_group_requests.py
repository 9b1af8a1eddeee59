"""Group requests.

Revision 0005 of the tenant line, after 0004. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE group_request (
        group_id UUID NOT NULL,
        key TEXT,
        body_sha256 BYTEA NOT NULL,
        template BYTEA NOT NULL,
        inputs TEXT[] NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT group_request_pkey PRIMARY KEY (group_id),
        CONSTRAINT group_request_key_key UNIQUE (key)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
