"""Reproduction verdicts.

Revision 0007 of the tenant line, after 0006. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE reproduction ADD COLUMN purpose TEXT DEFAULT 'asked' NOT NULL
    """,
    """
    ALTER TABLE reproduction ADD COLUMN parent_id UUID
    """,
    """
    ALTER TABLE reproduction ADD COLUMN worker_id UUID
    """,
    """
    ALTER TABLE reproduction ADD COLUMN tries INTEGER DEFAULT '0' NOT NULL
    """,
    """
    ALTER TABLE reproduction ADD COLUMN environment BYTEA
    """,
    """
    ALTER TABLE reproduction ADD COLUMN difference BYTEA
    """,
    """
    ALTER TABLE reproduction ADD COLUMN testing TEXT DEFAULT 'off' NOT NULL
    """,
    """
    ALTER TABLE reproduction ADD COLUMN causes_tested JSONB
    """,
    """
    ALTER TABLE reproduction ADD COLUMN tested_at TIMESTAMP WITH TIME ZONE
    """,
    """
    CREATE INDEX reproduction_parent_idx ON reproduction (parent_id) WHERE parent_id IS NOT NULL
    """,
    """
    ALTER TABLE reproduction ADD CONSTRAINT reproduction_parent_id_fkey FOREIGN KEY(parent_id) REFERENCES reproduction (id)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
