"""What all tenants share: the directory and the queue.

Revision 0001 of the farm line. Nothing is imported from memoryd: renaming a table must never rewrite history.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE dead (
        job_id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        reason TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT dead_pkey PRIMARY KEY (job_id)
    )
    """,
    """
    CREATE INDEX dead_tenant_id_job_id_idx ON dead (tenant_id, job_id)
    """,
    """
    CREATE TABLE delayed (
        job_id UUID NOT NULL,
        run_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT delayed_pkey PRIMARY KEY (job_id)
    )
    """,
    """
    CREATE INDEX delayed_run_at_idx ON delayed (run_at)
    """,
    """
    CREATE TABLE flow (
        pool_id UUID NOT NULL,
        class_id SMALLINT NOT NULL,
        tenant_id UUID NOT NULL,
        weight DOUBLE PRECISION DEFAULT '1' NOT NULL,
        last_finish BIGINT NOT NULL,
        CONSTRAINT flow_pkey PRIMARY KEY (pool_id, class_id, tenant_id)
    )
     WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE job_class (
        id SMALLINT NOT NULL,
        name TEXT NOT NULL,
        visibility_s DOUBLE PRECISION NOT NULL,
        age_offset_s DOUBLE PRECISION NOT NULL,
        backoff_s DOUBLE PRECISION NOT NULL,
        affinity DOUBLE PRECISION NOT NULL,
        CONSTRAINT job_class_pkey PRIMARY KEY (id),
        CONSTRAINT job_class_name_key UNIQUE (name)
    )
    """,
    """
    CREATE TABLE join_token (
        token_hash BYTEA NOT NULL,
        pool_ids UUID[] NOT NULL,
        serves UUID[] NOT NULL,
        label TEXT,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        used_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT join_token_pkey PRIMARY KEY (token_hash)
    )
    """,
    """
    CREATE UNLOGGED TABLE leader (
        name TEXT NOT NULL,
        holder UUID NOT NULL,
        elected_at TIMESTAMP WITH TIME ZONE NOT NULL,
        until TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT leader_pkey PRIMARY KEY (name)
    )
    """,
    """
    CREATE TABLE lease (
        job_id UUID NOT NULL,
        fence BIGINT GENERATED ALWAYS AS IDENTITY,
        token_hash BYTEA NOT NULL,
        worker_id UUID NOT NULL,
        incarnation UUID NOT NULL,
        pool_id UUID NOT NULL,
        class_id SMALLINT NOT NULL,
        vtag BIGINT NOT NULL,
        leased_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        deadline_at TIMESTAMP WITH TIME ZONE NOT NULL,
        progress DOUBLE PRECISION,
        phase TEXT,
        node TEXT,
        progressed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT lease_pkey PRIMARY KEY (job_id)
    )
     WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE mark (
        pool_id UUID NOT NULL,
        class_id SMALLINT NOT NULL,
        low BIGINT NOT NULL,
        CONSTRAINT mark_pkey PRIMARY KEY (pool_id, class_id)
    )
     WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE pool (
        id UUID NOT NULL,
        name TEXT NOT NULL,
        shared BOOLEAN NOT NULL,
        vram_mb INTEGER,
        region TEXT,
        labels JSONB DEFAULT '{}' NOT NULL,
        max_run_time_s DOUBLE PRECISION NOT NULL,
        no_progress_limit_s DOUBLE PRECISION NOT NULL,
        warm_up_s DOUBLE PRECISION NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT pool_pkey PRIMARY KEY (id),
        CONSTRAINT pool_name_key UNIQUE (name)
    )
    """,
    """
    CREATE TABLE ready (
        pool_id UUID NOT NULL,
        class_id SMALLINT NOT NULL,
        vtag BIGINT NOT NULL,
        job_id UUID NOT NULL,
        model_set TEXT NOT NULL,
        tenant_id UUID NOT NULL,
        avoid_worker UUID,
        cost_ms BIGINT NOT NULL,
        enqueued_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT ready_pkey PRIMARY KEY (pool_id, class_id, vtag, job_id)
    )
     WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)
    """,
    """
    CREATE INDEX ready_model_set_idx ON ready (pool_id, class_id, model_set, vtag, job_id)
    """,
    """
    CREATE TABLE restore_epoch (
        id SMALLINT NOT NULL,
        system_identifier BIGINT NOT NULL,
        timeline INTEGER NOT NULL,
        database_oid BIGINT NOT NULL,
        epoch INTEGER NOT NULL,
        changed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT restore_epoch_pkey PRIMARY KEY (id),
        CONSTRAINT restore_epoch_single_check CHECK (id = 1)
    )
    """,
    """
    CREATE TABLE result (
        job_id UUID NOT NULL,
        fence BIGINT NOT NULL,
        token_hash BYTEA NOT NULL,
        outcome TEXT NOT NULL,
        worker_id UUID NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT result_pkey PRIMARY KEY (job_id)
    )
    """,
    """
    CREATE TABLE tenant (
        id UUID NOT NULL,
        slug TEXT NOT NULL,
        name TEXT NOT NULL,
        schema TEXT NOT NULL,
        role TEXT NOT NULL,
        time_zone TEXT DEFAULT 'UTC' NOT NULL,
        state TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT tenant_pkey PRIMARY KEY (id),
        CONSTRAINT tenant_slug_key UNIQUE (slug),
        CONSTRAINT tenant_schema_key UNIQUE (schema),
        CONSTRAINT tenant_role_key UNIQUE (role)
    )
    """,
    """
    CREATE TABLE worker (
        id UUID NOT NULL,
        incarnation UUID,
        label TEXT NOT NULL,
        host TEXT NOT NULL,
        gpu_uuid TEXT,
        state TEXT NOT NULL,
        serves UUID[] NOT NULL,
        protocol INTEGER NOT NULL,
        environment_sha256 BYTEA,
        environment BYTEA,
        nodes_sha256 BYTEA,
        registered_at TIMESTAMP WITH TIME ZONE,
        seen_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT worker_pkey PRIMARY KEY (id)
    )
     WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE worker_nodes (
        sha256 BYTEA NOT NULL,
        classes TEXT[] NOT NULL,
        first_seen_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT worker_nodes_pkey PRIMARY KEY (sha256)
    )
    """,
    """
    CREATE TABLE chore (
        id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        kind TEXT NOT NULL,
        recipe TEXT NOT NULL,
        subjects UUID[] NOT NULL,
        priority SMALLINT NOT NULL,
        not_before TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        attempt SMALLINT DEFAULT '0' NOT NULL,
        lease_token UUID,
        lease_until TIMESTAMP WITH TIME ZONE,
        error TEXT,
        gave_up_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT chore_pkey PRIMARY KEY (id),
        CONSTRAINT chore_subjects_check CHECK (cardinality(subjects) between 1 and 500),
        CONSTRAINT chore_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id)
    )
     WITH (fillfactor = 50)
    """,
    """
    CREATE INDEX chore_order_idx ON chore (priority desc, id) WHERE gave_up_at is null
    """,
    """
    CREATE INDEX chore_tenant_id_idx ON chore (tenant_id)
    """,
    """
    CREATE TABLE job (
        id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        pool_id UUID NOT NULL,
        class_id SMALLINT NOT NULL,
        model_set TEXT NOT NULL,
        cost_ms BIGINT NOT NULL,
        vtag BIGINT NOT NULL,
        state TEXT NOT NULL,
        attempt SMALLINT DEFAULT '0' NOT NULL,
        infra_attempts SMALLINT DEFAULT '0' NOT NULL,
        max_attempts SMALLINT NOT NULL,
        replays SMALLINT DEFAULT '0' NOT NULL,
        cancel_requested BOOLEAN DEFAULT 'false' NOT NULL,
        avoid_worker UUID,
        failures JSONB DEFAULT '[]' NOT NULL,
        follow_up JSONB,
        group_id UUID,
        after_job_id UUID,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ended_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT job_pkey PRIMARY KEY (id),
        CONSTRAINT job_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id),
        CONSTRAINT job_pool_id_fkey FOREIGN KEY(pool_id) REFERENCES pool (id),
        CONSTRAINT job_class_id_fkey FOREIGN KEY(class_id) REFERENCES job_class (id)
    )
     WITH (fillfactor = 80)
    """,
    """
    CREATE INDEX job_tenant_id_id_idx ON job (tenant_id, id)
    """,
    """
    CREATE TABLE job_key (
        tenant_id UUID NOT NULL,
        key TEXT NOT NULL,
        job_id UUID NOT NULL,
        body_sha256 BYTEA NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT job_key_pkey PRIMARY KEY (tenant_id, key),
        CONSTRAINT job_key_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id)
    )
    """,
    """
    CREATE INDEX job_key_created_at_idx ON job_key (created_at)
    """,
    """
    CREATE TABLE key_index (
        prefix TEXT NOT NULL,
        tenant_id UUID NOT NULL,
        key_id UUID NOT NULL,
        CONSTRAINT key_index_pkey PRIMARY KEY (prefix),
        CONSTRAINT key_index_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id)
    )
    """,
    """
    CREATE INDEX key_index_tenant_id_idx ON key_index (tenant_id)
    """,
    """
    CREATE TABLE pool_grant (
        tenant_id UUID NOT NULL,
        pool_id UUID NOT NULL,
        CONSTRAINT pool_grant_pkey PRIMARY KEY (tenant_id, pool_id),
        CONSTRAINT pool_grant_tenant_id_fkey FOREIGN KEY(tenant_id) REFERENCES tenant (id),
        CONSTRAINT pool_grant_pool_id_fkey FOREIGN KEY(pool_id) REFERENCES pool (id)
    )
    """,
    """
    CREATE INDEX pool_grant_pool_id_idx ON pool_grant (pool_id)
    """,
    """
    CREATE TABLE worker_key (
        prefix TEXT NOT NULL,
        worker_id UUID NOT NULL,
        secret_hash BYTEA NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        revoked_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT worker_key_pkey PRIMARY KEY (prefix),
        CONSTRAINT worker_key_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (id)
    )
    """,
    """
    CREATE INDEX worker_key_worker_id_idx ON worker_key (worker_id)
    """,
    """
    CREATE TABLE worker_model (
        worker_id UUID NOT NULL,
        folder TEXT NOT NULL,
        path TEXT NOT NULL,
        sha256 BYTEA,
        size BIGINT,
        mtime_ns BIGINT,
        CONSTRAINT worker_model_pkey PRIMARY KEY (worker_id, folder, path),
        CONSTRAINT worker_model_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (id)
    )
    """,
    """
    CREATE INDEX worker_model_folder_path_idx ON worker_model (folder, path)
    """,
    """
    CREATE TABLE worker_pool (
        worker_id UUID NOT NULL,
        pool_id UUID NOT NULL,
        CONSTRAINT worker_pool_pkey PRIMARY KEY (worker_id, pool_id),
        CONSTRAINT worker_pool_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (id),
        CONSTRAINT worker_pool_pool_id_fkey FOREIGN KEY(pool_id) REFERENCES pool (id)
    )
    """,
    """
    CREATE INDEX worker_pool_pool_id_idx ON worker_pool (pool_id)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore a backup")
