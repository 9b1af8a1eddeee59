"""Jobs of no group, newest first.

Revision 0006 of the tenant line, after 0005. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE INDEX job_detail_alone_idx ON job_detail (job_id) WHERE group_id is null
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
