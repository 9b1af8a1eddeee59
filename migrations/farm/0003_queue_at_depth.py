"""Queue at depth: groups, held jobs, caps, weights, pauses, and what pools and workers state of themselves.

Revision 0003 of the farm line, after 0002. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE held (
        job_id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        project_id UUID,
        reason TEXT NOT NULL,
        waits_for UUID NOT NULL,
        vtag BIGINT NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT held_pkey PRIMARY KEY (job_id)
    )
     WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)
    """,
    """
    CREATE INDEX held_expires_at_idx ON held (expires_at)
    """,
    """
    CREATE INDEX held_order_idx ON held (reason, waits_for, vtag, job_id)
    """,
    """
    CREATE TABLE setback (
        pool_id UUID NOT NULL,
        worker_id UUID NOT NULL,
        streak SMALLINT NOT NULL,
        kind TEXT NOT NULL,
        until TIMESTAMP WITH TIME ZONE NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT setback_pkey PRIMARY KEY (pool_id, worker_id)
    )
    """,
    """
    CREATE TABLE cap (
        id UUID NOT NULL,
        tenant_id UUID,
        project_id UUID,
        person_id UUID,
        pool_id UUID,
        max_running INTEGER NOT NULL,
        CONSTRAINT cap_pkey PRIMARY KEY (id),
        CONSTRAINT cap_owner_check CHECK (tenant_id is not null or (project_id is null and person_id is null)),
        CONSTRAINT cap_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id),
        CONSTRAINT cap_pool_id_fkey FOREIGN KEY(pool_id) REFERENCES pool (id),
        CONSTRAINT cap_max_running_check CHECK (max_running >= 0)
    )
    """,
    """
    CREATE UNIQUE INDEX cap_scope_key ON cap (tenant_id, project_id, person_id, pool_id) NULLS NOT DISTINCT
    """,
    """
    CREATE TABLE job_group (
        id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        project_id UUID,
        person_id UUID,
        name TEXT NOT NULL,
        total INTEGER NOT NULL,
        paused_at TIMESTAMP WITH TIME ZONE,
        cancelled_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT job_group_pkey PRIMARY KEY (id),
        CONSTRAINT job_group_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id)
    )
    """,
    """
    CREATE INDEX job_group_tenant_id_id_idx ON job_group (tenant_id, id)
    """,
    """
    CREATE TABLE paused_project (
        tenant_id UUID NOT NULL,
        project_id UUID NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT paused_project_pkey PRIMARY KEY (tenant_id, project_id),
        CONSTRAINT paused_project_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id)
    )
    """,
    """
    CREATE TABLE project_weight (
        tenant_id UUID NOT NULL,
        project_id UUID NOT NULL,
        weight DOUBLE PRECISION NOT NULL,
        CONSTRAINT project_weight_pkey PRIMARY KEY (tenant_id, project_id),
        CONSTRAINT project_weight_weight_check CHECK (weight > 0),
        CONSTRAINT project_weight_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id)
    )
    """,
    """
    CREATE TABLE tenant_weight (
        tenant_id UUID NOT NULL,
        weight DOUBLE PRECISION NOT NULL,
        CONSTRAINT tenant_weight_pkey PRIMARY KEY (tenant_id),
        CONSTRAINT tenant_weight_weight_check CHECK (weight > 0),
        CONSTRAINT tenant_weight_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id)
    )
    """,
    """
    ALTER TABLE flow ADD COLUMN project_id UUID DEFAULT '00000000-0000-0000-0000-000000000000' NOT NULL
    """,
    """
    ALTER TABLE flow DROP CONSTRAINT flow_pkey
    """,
    """
    ALTER TABLE flow ADD CONSTRAINT flow_pkey PRIMARY KEY (pool_id, class_id, tenant_id, project_id)
    """,
    """
    ALTER TABLE flow ADD COLUMN last_back BIGINT DEFAULT '0' NOT NULL
    """,
    """
    ALTER TABLE job ADD COLUMN project_id UUID
    """,
    """
    ALTER TABLE job ADD COLUMN person_id UUID
    """,
    """
    ALTER TABLE job ADD COLUMN bigger_pools UUID[] DEFAULT '{}' NOT NULL
    """,
    """
    ALTER TABLE job ADD COLUMN followed BOOLEAN DEFAULT 'false' NOT NULL
    """,
    """
    ALTER TABLE job ADD COLUMN starts_after TIMESTAMP WITH TIME ZONE
    """,
    """
    CREATE INDEX job_after_job_id_idx ON job (after_job_id) WHERE after_job_id is not null
    """,
    """
    CREATE INDEX job_group_id_idx ON job (group_id) WHERE group_id is not null
    """,
    # A lease that lives through the upgrade keeps its fence and its token: its worker goes on.
    """
    ALTER TABLE lease ADD COLUMN tenant_id UUID
    """,
    """
    UPDATE lease SET tenant_id = job.tenant_id FROM job WHERE job.id = lease.job_id
    """,
    """
    ALTER TABLE lease ALTER COLUMN tenant_id SET NOT NULL
    """,
    """
    ALTER TABLE lease ADD COLUMN project_id UUID
    """,
    """
    ALTER TABLE lease ADD COLUMN person_id UUID
    """,
    """
    ALTER TABLE pool ADD COLUMN licence_server TEXT
    """,
    """
    ALTER TABLE pool ADD COLUMN rank INTEGER DEFAULT '0' NOT NULL
    """,
    """
    ALTER TABLE pool ADD COLUMN paused_at TIMESTAMP WITH TIME ZONE
    """,
    """
    ALTER TABLE pool ADD COLUMN warm_up_graph BYTEA
    """,
    """
    ALTER TABLE ready ADD COLUMN project_id UUID
    """,
    """
    ALTER TABLE ready ADD COLUMN person_id UUID
    """,
    """
    CREATE INDEX ready_tenant_idx ON ready (tenant_id, pool_id, class_id, vtag, job_id)
    """,
    """
    DROP INDEX ready_model_set_idx
    """,
    """
    CREATE INDEX ready_model_set_idx ON ready (model_set, pool_id, class_id, vtag, job_id)
    """,
    """
    ALTER TABLE worker ADD COLUMN gpu_name TEXT
    """,
    """
    ALTER TABLE worker ADD COLUMN gpu_driver TEXT
    """,
    """
    ALTER TABLE worker ADD COLUMN vram_mb INTEGER
    """,
    """
    ALTER TABLE worker ADD COLUMN node_packs JSONB DEFAULT '[]' NOT NULL
    """,
    """
    ALTER TABLE worker ADD COLUMN launch_flags TEXT[] DEFAULT '{}' NOT NULL
    """,
    """
    ALTER TABLE worker_model ADD COLUMN mount TEXT
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
