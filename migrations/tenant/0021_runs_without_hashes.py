"""Runs without hashes.

Revision 0021 of the tenant line, after 0020. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE INDEX generation_model_unknown_idx ON generation_model (name, generation_id)
    WHERE sha256 is null and octet_length(name) <= 1000
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
