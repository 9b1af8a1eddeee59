"""Ingest at depth.

Revision 0002 of the tenant line, after 0001. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What was read before facts had a confidence was read by table: whoever read it was sure.
STATEMENTS = (
    """
    CREATE TABLE widget_order (
        class_type TEXT NOT NULL,
        shape BYTEA NOT NULL,
        widgets TEXT NOT NULL,
        seen INTEGER NOT NULL,
        first_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT widget_order_pkey PRIMARY KEY (class_type, shape)
    )
    """,
    """
    CREATE TABLE enriched (
        asset_id UUID NOT NULL,
        part TEXT NOT NULL,
        version SMALLINT NOT NULL,
        state TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT enriched_pkey PRIMARY KEY (asset_id, part),
        CONSTRAINT enriched_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE TABLE enrichment_order (
        id UUID NOT NULL,
        recipes TEXT NOT NULL,
        again BOOLEAN NOT NULL,
        subjects INTEGER NOT NULL,
        chores UUID[] NOT NULL,
        person_id UUID,
        asked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT enrichment_order_pkey PRIMARY KEY (id),
        CONSTRAINT enrichment_order_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE TABLE media_trait (
        asset_id UUID NOT NULL,
        duration FLOAT(53),
        frame_rate FLOAT(53),
        sample_rate INTEGER,
        channels INTEGER,
        profile_name TEXT,
        profile_sha256 BYTEA,
        layers TEXT[] DEFAULT '{}' NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT media_trait_pkey PRIMARY KEY (asset_id),
        CONSTRAINT media_trait_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE TABLE reattribution (
        id UUID NOT NULL,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        undone_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT reattribution_pkey PRIMARY KEY (id),
        CONSTRAINT reattribution_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE TABLE sequence (
        id UUID NOT NULL,
        key BYTEA NOT NULL,
        name TEXT NOT NULL,
        first_id UUID NOT NULL,
        frames INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        made_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT sequence_pkey PRIMARY KEY (id),
        CONSTRAINT sequence_first_id_fkey FOREIGN KEY(first_id) REFERENCES asset (id),
        CONSTRAINT sequence_key_key UNIQUE (key)
    )
    """,
    """
    CREATE TABLE declared_parent (
        id UUID NOT NULL,
        child_root UUID NOT NULL,
        parent_root UUID NOT NULL,
        via TEXT NOT NULL,
        project_id UUID,
        source TEXT NOT NULL,
        note TEXT,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT declared_parent_pkey PRIMARY KEY (id),
        CONSTRAINT declared_parent_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT declared_parent_child_root_parent_root_via_project_id_key UNIQUE NULLS NOT DISTINCT (child_root, parent_root, via, project_id),
        CONSTRAINT declared_parent_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id),
        CONSTRAINT declared_parent_parent_root_fkey FOREIGN KEY(parent_root) REFERENCES asset (id),
        CONSTRAINT declared_parent_child_root_fkey FOREIGN KEY(child_root) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX declared_parent_parent_root_idx ON declared_parent (parent_root)
    """,
    """
    CREATE TABLE ingest_run (
        id UUID NOT NULL,
        state TEXT NOT NULL,
        host TEXT NOT NULL,
        paths BYTEA[] NOT NULL,
        project_id UUID,
        otherwise UUID,
        person_id UUID,
        custody TEXT NOT NULL,
        by_person UUID,
        started_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        reading_since TIMESTAMP WITH TIME ZONE,
        beat_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        ended_at TIMESTAMP WITH TIME ZONE,
        found BIGINT,
        known BIGINT,
        size BIGINT,
        counts JSONB DEFAULT '{}' NOT NULL,
        error TEXT,
        hint TEXT,
        CONSTRAINT ingest_run_pkey PRIMARY KEY (id),
        CONSTRAINT ingest_run_otherwise_fkey FOREIGN KEY(otherwise) REFERENCES project (id),
        CONSTRAINT ingest_run_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT ingest_run_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id),
        CONSTRAINT ingest_run_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE TABLE proposal (
        id UUID NOT NULL,
        child_root UUID NOT NULL,
        parent_root UUID NOT NULL,
        project_id UUID,
        how TEXT NOT NULL,
        evidence JSONB DEFAULT '{}' NOT NULL,
        state TEXT NOT NULL,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        decided_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT proposal_pkey PRIMARY KEY (id),
        CONSTRAINT proposal_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id),
        CONSTRAINT proposal_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT proposal_child_root_parent_root_project_id_key UNIQUE NULLS NOT DISTINCT (child_root, parent_root, project_id),
        CONSTRAINT proposal_parent_root_fkey FOREIGN KEY(parent_root) REFERENCES asset (id),
        CONSTRAINT proposal_child_root_fkey FOREIGN KEY(child_root) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX proposal_open_idx ON proposal (id DESC) WHERE state = 'open'
    """,
    """
    CREATE INDEX proposal_parent_root_idx ON proposal (parent_root)
    """,
    """
    CREATE TABLE reattribution_item (
        reattribution_id UUID NOT NULL,
        asset_id UUID NOT NULL,
        root_id UUID NOT NULL,
        from_project UUID,
        to_project UUID,
        to_person UUID,
        had BOOLEAN NOT NULL,
        first_person UUID,
        locations JSONB DEFAULT '[]' NOT NULL,
        runs JSONB DEFAULT '[]' NOT NULL,
        CONSTRAINT reattribution_item_pkey PRIMARY KEY (reattribution_id, asset_id),
        CONSTRAINT reattribution_item_to_person_fkey FOREIGN KEY(to_person) REFERENCES person (id),
        CONSTRAINT reattribution_item_reattribution_id_fkey FOREIGN KEY(reattribution_id) REFERENCES reattribution (id),
        CONSTRAINT reattribution_item_to_project_fkey FOREIGN KEY(to_project) REFERENCES project (id),
        CONSTRAINT reattribution_item_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id),
        CONSTRAINT reattribution_item_first_person_fkey FOREIGN KEY(first_person) REFERENCES person (id),
        CONSTRAINT reattribution_item_from_project_fkey FOREIGN KEY(from_project) REFERENCES project (id),
        CONSTRAINT reattribution_item_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX reattribution_item_root_id_idx ON reattribution_item (root_id)
    """,
    """
    CREATE TABLE removal (
        root_id UUID NOT NULL,
        project_id UUID NOT NULL,
        kind TEXT NOT NULL,
        reason TEXT,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        until TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT removal_pkey PRIMARY KEY (root_id, project_id),
        CONSTRAINT removal_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT removal_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id),
        CONSTRAINT removal_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX removal_project_id_idx ON removal (project_id)
    """,
    """
    CREATE TABLE sequence_member (
        asset_id UUID NOT NULL,
        sequence_id UUID NOT NULL,
        number INTEGER NOT NULL,
        CONSTRAINT sequence_member_pkey PRIMARY KEY (asset_id),
        CONSTRAINT sequence_member_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT sequence_member_sequence_id_fkey FOREIGN KEY(sequence_id) REFERENCES sequence (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE INDEX sequence_member_sequence_idx ON sequence_member (sequence_id, number)
    """,
    """
    CREATE TABLE attestation (
        id UUID NOT NULL,
        asset_id UUID NOT NULL,
        project_id UUID,
        generation_id UUID NOT NULL,
        made_by TEXT NOT NULL,
        generated BOOLEAN NOT NULL,
        tool_version TEXT,
        prompt TEXT,
        negative TEXT,
        model TEXT,
        seed BYTEA,
        note TEXT,
        person_id UUID,
        by_person UUID,
        words TSVECTOR NOT NULL,
        added TSVECTOR NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        withdrawn_at TIMESTAMP WITH TIME ZONE,
        withdrawn_by UUID,
        CONSTRAINT attestation_pkey PRIMARY KEY (id),
        CONSTRAINT attestation_generation_id_fkey FOREIGN KEY(generation_id) REFERENCES generation (id),
        CONSTRAINT attestation_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id),
        CONSTRAINT attestation_withdrawn_by_fkey FOREIGN KEY(withdrawn_by) REFERENCES person (id),
        CONSTRAINT attestation_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT attestation_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id),
        CONSTRAINT attestation_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id)
    )
    """,
    """
    CREATE INDEX attestation_asset_id_idx ON attestation (asset_id)
    """,
    """
    CREATE TABLE trashed_file (
        id UUID NOT NULL,
        location_id UUID NOT NULL,
        watch_root_id UUID NOT NULL,
        project_id UUID NOT NULL,
        asset_id UUID NOT NULL,
        root_id UUID NOT NULL,
        path BYTEA NOT NULL,
        trash_path BYTEA NOT NULL,
        size BIGINT NOT NULL,
        state TEXT NOT NULL,
        trouble TEXT,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        until TIMESTAMP WITH TIME ZONE NOT NULL,
        ended_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT trashed_file_pkey PRIMARY KEY (id),
        CONSTRAINT trashed_file_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT trashed_file_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id),
        CONSTRAINT trashed_file_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT trashed_file_watch_root_id_fkey FOREIGN KEY(watch_root_id) REFERENCES watch_root (id),
        CONSTRAINT trashed_file_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX trashed_file_asset_id_idx ON trashed_file (asset_id)
    """,
    """
    CREATE INDEX trashed_file_held_idx ON trashed_file (at) WHERE ended_at IS NULL
    """,
    """
    CREATE INDEX trashed_file_root_id_idx ON trashed_file (root_id)
    """,
    """
    ALTER TABLE generation ADD COLUMN tool TEXT
    """,
    """
    ALTER TABLE generation ADD COLUMN tool_version TEXT
    """,
    """
    ALTER TABLE generation ADD COLUMN settings JSONB DEFAULT '{}' NOT NULL
    """,
    """
    ALTER TABLE generation_input ADD COLUMN confidence TEXT DEFAULT 'high' NOT NULL
    """,
    """
    ALTER TABLE generation_input ALTER COLUMN confidence DROP DEFAULT
    """,
    """
    ALTER TABLE generation_model ADD COLUMN claimed_hash TEXT
    """,
    """
    ALTER TABLE generation_model ADD COLUMN air TEXT
    """,
    """
    ALTER TABLE generation_model ADD COLUMN confidence TEXT DEFAULT 'high' NOT NULL
    """,
    """
    ALTER TABLE generation_model ALTER COLUMN confidence DROP DEFAULT
    """,
    """
    ALTER TABLE generation_prompt ADD COLUMN confidence TEXT DEFAULT 'high' NOT NULL
    """,
    """
    ALTER TABLE generation_prompt ALTER COLUMN confidence DROP DEFAULT
    """,
    """
    ALTER TABLE generation_sampler ADD COLUMN confidence TEXT DEFAULT 'high' NOT NULL
    """,
    """
    ALTER TABLE generation_sampler ALTER COLUMN confidence DROP DEFAULT
    """,
    """
    ALTER TABLE watch_root ADD COLUMN rules JSONB DEFAULT '[]' NOT NULL
    """,
    """
    ALTER TABLE watch_root ADD COLUMN makes_projects BOOLEAN DEFAULT 'false' NOT NULL
    """,
    """
    ALTER TABLE watch_root ADD COLUMN watched_by TEXT DEFAULT 'server' NOT NULL
    """,
    """
    ALTER TABLE watch_root ADD COLUMN watching TEXT
    """,
    """
    ALTER TABLE watch_root ADD COLUMN watching_why TEXT
    """,
    """
    ALTER TABLE watch_root ADD COLUMN trash BOOLEAN DEFAULT 'false' NOT NULL
    """,
    # Writing many words at once costs half, and a search waits for a short list only (measured: 0.3 ms at the most).
    """
    ALTER INDEX asset_text_words_idx RESET (fastupdate)
    """,
    """
    ALTER INDEX asset_text_words_idx SET (gin_pending_list_limit = 256)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
