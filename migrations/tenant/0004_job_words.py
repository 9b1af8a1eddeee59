"""Job words.

Revision 0004 of the tenant line, after 0003. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE job_words (
        job_id UUID NOT NULL,
        words TSVECTOR NOT NULL,
        CONSTRAINT job_words_pkey PRIMARY KEY (job_id),
        CONSTRAINT job_words_job_id_fkey FOREIGN KEY(job_id) REFERENCES job_detail (job_id)
    )
    """,
    """
    CREATE INDEX job_words_words_idx ON job_words USING gin (words)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
