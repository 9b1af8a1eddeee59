"""Model uses.

Revision 0023 of the tenant line, after 0022. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    DROP INDEX generation_model_sha256_idx
    """,
    """
    CREATE INDEX generation_model_sha256_idx ON generation_model (sha256, generation_id) WHERE sha256 IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
