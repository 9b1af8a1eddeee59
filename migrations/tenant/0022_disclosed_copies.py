"""Disclosed copies.

Revision 0022 of the tenant line, after 0021. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE INDEX asset_disclosed_copies_idx ON asset (root_id) WHERE succession = 'disclosed'
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
