"""Model stamps.

Revision 0020 of the tenant line, after 0019. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE model ADD COLUMN described TEXT
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
