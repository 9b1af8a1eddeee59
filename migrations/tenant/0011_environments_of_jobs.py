"""Environments of jobs: those that alone may run one.

Revision 0011 of the tenant line, after 0010. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE job_detail ADD COLUMN environments TEXT[]
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
