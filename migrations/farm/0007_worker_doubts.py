"""Workers in doubt: those whose output drifted, and whose canary a worker runs.

Revision 0007 of the farm line, after 0006. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE canary_turn (
        worker_id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        run_id UUID NOT NULL,
        until TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT canary_turn_pkey PRIMARY KEY (worker_id),
        CONSTRAINT canary_turn_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (id)
    )
    """,
    """
    CREATE TABLE worker_doubt (
        id UUID NOT NULL,
        worker_id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        project_id UUID NOT NULL,
        reason TEXT NOT NULL,
        last_good_at TIMESTAMP WITH TIME ZONE,
        first_bad_at TIMESTAMP WITH TIME ZONE NOT NULL,
        change JSONB DEFAULT '[]' NOT NULL,
        changed BOOLEAN,
        keeps_out BOOLEAN NOT NULL,
        bad_runs INTEGER DEFAULT '1' NOT NULL,
        last_bad_at TIMESTAMP WITH TIME ZONE NOT NULL,
        good_again_at TIMESTAMP WITH TIME ZONE,
        raised_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        decided_at TIMESTAMP WITH TIME ZONE,
        decided_by UUID,
        decision TEXT,
        note TEXT,
        closed_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT worker_doubt_pkey PRIMARY KEY (id),
        CONSTRAINT worker_doubt_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (id),
        CONSTRAINT worker_doubt_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id)
    )
    """,
    """
    CREATE UNIQUE INDEX worker_doubt_standing_key ON worker_doubt (tenant_id, worker_id, project_id) WHERE closed_at IS NULL
    """,
    """
    CREATE INDEX worker_doubt_worker_id_idx ON worker_doubt (worker_id, raised_at DESC, id DESC)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
