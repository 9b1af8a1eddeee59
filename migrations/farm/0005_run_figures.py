"""Run figures.

Revision 0005 of the farm line, after 0004. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE run_figure (
        fence BIGINT NOT NULL,
        job_id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        project_id UUID,
        person_id UUID,
        pool_id UUID NOT NULL,
        class_id SMALLINT NOT NULL,
        worker_id UUID NOT NULL,
        model_set TEXT NOT NULL,
        outcome TEXT NOT NULL,
        kind TEXT,
        waited_ms BIGINT NOT NULL,
        leased_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ended_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        loading_ms BIGINT,
        executing_ms BIGINT,
        model_loaded BOOLEAN,
        vram_peak_mb INTEGER,
        CONSTRAINT run_figure_pkey PRIMARY KEY (fence)
    )
    """,
    """
    CREATE INDEX run_figure_tenant_id_ended_at_idx ON run_figure (tenant_id, ended_at)
    """,
    """
    ALTER TABLE lease ADD COLUMN waited_ms BIGINT DEFAULT '0' NOT NULL
    """,
    """
    ALTER TABLE worker ADD COLUMN vram_used_mb INTEGER
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
