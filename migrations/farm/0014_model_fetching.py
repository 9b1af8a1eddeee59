"""Workers that fetch models.

Revision 0014 of the farm line, after 0013. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE worker ADD COLUMN fetches_models BOOLEAN DEFAULT 'false' NOT NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
