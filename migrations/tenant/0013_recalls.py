"""Recalls.

Revision 0013 of the tenant line, after 0012. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE recall (
        id UUID NOT NULL,
        model BYTEA NOT NULL,
        kind TEXT NOT NULL,
        reason TEXT NOT NULL,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        lifted_at TIMESTAMP WITH TIME ZONE,
        lifted_by UUID,
        lifted_reason TEXT,
        marking TEXT NOT NULL,
        mark_cursor UUID,
        lines_marked BIGINT DEFAULT '0' NOT NULL,
        jobs_ended INTEGER DEFAULT '0' NOT NULL,
        CONSTRAINT recall_pkey PRIMARY KEY (id),
        CONSTRAINT recall_model_check CHECK (octet_length(model) = 32),
        CONSTRAINT recall_lifted_by_fkey FOREIGN KEY(lifted_by) REFERENCES person (id),
        CONSTRAINT recall_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE UNIQUE INDEX recall_standing_key ON recall (model) WHERE lifted_at is null
    """,
    """
    CREATE TABLE recalled_model (
        recall_id UUID NOT NULL,
        sha256 BYTEA NOT NULL,
        via TEXT,
        CONSTRAINT recalled_model_pkey PRIMARY KEY (recall_id, sha256),
        CONSTRAINT recalled_model_recall_id_fkey FOREIGN KEY(recall_id) REFERENCES recall (id)
    )
    """,
    """
    CREATE INDEX recalled_model_sha256_idx ON recalled_model (sha256)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
