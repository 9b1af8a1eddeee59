"""A tenant's memory.

Revision 0001 of the tenant line. Nothing is imported from memoryd: renaming a table must never rewrite history.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE asset (
        id UUID NOT NULL,
        sha256 BYTEA NOT NULL,
        size BIGINT NOT NULL,
        kind TEXT NOT NULL,
        media_type TEXT NOT NULL,
        width INTEGER,
        height INTEGER,
        frames INTEGER,
        made_at TIMESTAMP WITH TIME ZONE NOT NULL,
        made_source TEXT NOT NULL,
        recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        root_id UUID NOT NULL,
        succeeds_id UUID,
        succession TEXT,
        pixel_recipe TEXT,
        pixel_digest BYTEA,
        held BOOLEAN DEFAULT 'false' NOT NULL,
        erased_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT asset_pkey PRIMARY KEY (id),
        CONSTRAINT asset_sha256_key UNIQUE (sha256),
        CONSTRAINT asset_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id),
        CONSTRAINT asset_succeeds_id_fkey FOREIGN KEY(succeeds_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX asset_newest_idx ON asset (made_at DESC, id DESC)
    """,
    """
    CREATE INDEX asset_pixel_digest_idx ON asset (pixel_digest) WHERE pixel_digest IS NOT NULL
    """,
    """
    CREATE INDEX asset_root_id_idx ON asset (root_id)
    """,
    """
    CREATE INDEX asset_succeeds_id_idx ON asset (succeeds_id) WHERE succeeds_id IS NOT NULL
    """,
    """
    CREATE TABLE audit_checkpoint (
        seq BIGINT NOT NULL,
        hash BYTEA NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        statement BYTEA NOT NULL,
        public_key BYTEA NOT NULL,
        signature BYTEA NOT NULL,
        CONSTRAINT audit_checkpoint_pkey PRIMARY KEY (seq)
    )
    """,
    """
    CREATE TABLE audit_entry (
        seq BIGINT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        person_id UUID,
        body BYTEA NOT NULL,
        personal_sealed BYTEA,
        hash BYTEA NOT NULL,
        CONSTRAINT audit_entry_pkey PRIMARY KEY (seq),
        CONSTRAINT audit_entry_hash_check CHECK (length(hash) = 32)
    )
    """,
    """
    CREATE INDEX audit_entry_action_seq_idx ON audit_entry (action, seq)
    """,
    """
    CREATE INDEX audit_entry_person_id_seq_idx ON audit_entry (person_id, seq)
    """,
    """
    CREATE INDEX audit_entry_subject_seq_idx ON audit_entry (subject, seq)
    """,
    """
    CREATE TABLE audit_pending (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        via TEXT,
        key_id UUID,
        person_id UUID,
        facts TEXT NOT NULL,
        personal TEXT,
        CONSTRAINT audit_pending_pkey PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE blob (
        sha256 BYTEA NOT NULL,
        size BIGINT NOT NULL,
        backend TEXT NOT NULL,
        key TEXT NOT NULL,
        state TEXT NOT NULL,
        touched_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        held BOOLEAN DEFAULT 'false' NOT NULL,
        CONSTRAINT blob_pkey PRIMARY KEY (sha256),
        CONSTRAINT blob_sha256_check CHECK (octet_length(sha256) = 32),
        CONSTRAINT blob_size_check CHECK (size >= 0)
    )
    """,
    """
    CREATE INDEX blob_collectable_idx ON blob (touched_at) WHERE not held
    """,
    """
    CREATE TABLE client (
        id UUID NOT NULL,
        name TEXT NOT NULL,
        facts JSONB DEFAULT '{}' NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT client_pkey PRIMARY KEY (id),
        CONSTRAINT client_name_key UNIQUE (name)
    )
    """,
    """
    CREATE TABLE document (
        sha256 BYTEA NOT NULL,
        kind TEXT NOT NULL,
        packed BYTEA NOT NULL,
        raw_size INTEGER NOT NULL,
        CONSTRAINT document_pkey PRIMARY KEY (sha256)
    )
    """,
    """
    CREATE TABLE environment (
        hash BYTEA NOT NULL,
        document BYTEA NOT NULL,
        comfyui_version TEXT,
        gpu TEXT,
        recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT environment_pkey PRIMARY KEY (hash)
    )
    """,
    """
    CREATE TABLE event (
        seq BIGINT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        kind TEXT NOT NULL,
        subject UUID,
        project_id UUID,
        body TEXT NOT NULL,
        CONSTRAINT event_pkey PRIMARY KEY (seq)
    )
    """,
    """
    CREATE INDEX event_at_idx ON event (at)
    """,
    """
    CREATE TABLE graph (
        exact BYTEA NOT NULL,
        recipe TEXT NOT NULL,
        canonical BYTEA NOT NULL,
        node_count INTEGER NOT NULL,
        first_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT graph_pkey PRIMARY KEY (exact)
    )
    """,
    """
    CREATE TABLE licence (
        id UUID NOT NULL,
        name TEXT NOT NULL,
        version TEXT DEFAULT '' NOT NULL,
        text_sha256 BYTEA,
        url TEXT,
        terms JSONB DEFAULT '{}' NOT NULL,
        recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT licence_pkey PRIMARY KEY (id)
    )
    """,
    """
    CREATE UNIQUE INDEX licence_name_key ON licence (name, version, text_sha256) NULLS NOT DISTINCT
    """,
    """
    CREATE TABLE licence_verdict (
        id UUID NOT NULL,
        kind TEXT NOT NULL,
        subject BYTEA NOT NULL,
        use TEXT NOT NULL,
        territory TEXT NOT NULL,
        verdict TEXT NOT NULL,
        clauses JSONB DEFAULT '[]' NOT NULL,
        text_sha256s BYTEA[] DEFAULT '{}' NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT licence_verdict_pkey PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX licence_verdict_subject_idx ON licence_verdict (kind, subject, at DESC)
    """,
    """
    CREATE TABLE model (
        sha256 BYTEA NOT NULL,
        size BIGINT NOT NULL,
        kind TEXT NOT NULL,
        base TEXT,
        header JSONB DEFAULT '{}' NOT NULL,
        findings JSONB DEFAULT '[]' NOT NULL,
        first_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT model_pkey PRIMARY KEY (sha256),
        CONSTRAINT model_sha256_check CHECK (octet_length(sha256) = 32)
    )
    """,
    """
    CREATE TABLE node_value (
        workflow BYTEA NOT NULL,
        ordinal INTEGER NOT NULL,
        class_type TEXT NOT NULL,
        input TEXT NOT NULL,
        number DOUBLE PRECISION,
        text TEXT,
        CONSTRAINT node_value_pkey PRIMARY KEY (workflow, ordinal)
    )
    """,
    """
    CREATE INDEX node_value_number_idx ON node_value (class_type, input, number) WHERE number IS NOT NULL
    """,
    """
    CREATE INDEX node_value_text_idx ON node_value (class_type, input, text) WHERE text IS NOT NULL
    """,
    """
    CREATE TABLE outbox (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        kind TEXT NOT NULL,
        subject UUID,
        project_id UUID,
        body TEXT NOT NULL,
        CONSTRAINT outbox_pkey PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE person (
        id UUID NOT NULL,
        login TEXT NOT NULL,
        display_name TEXT NOT NULL,
        email_sealed BYTEA,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        erased_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT person_pkey PRIMARY KEY (id),
        CONSTRAINT person_login_key UNIQUE (login)
    )
    """,
    """
    CREATE TABLE webhook (
        id UUID NOT NULL,
        url TEXT NOT NULL,
        kinds TEXT[],
        secret_sealed BYTEA NOT NULL,
        after BIGINT DEFAULT '0' NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        disabled_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT webhook_pkey PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE workflow (
        id UUID NOT NULL,
        digest BYTEA NOT NULL,
        recipe TEXT NOT NULL,
        name TEXT NOT NULL,
        first_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT workflow_pkey PRIMARY KEY (id)
    )
    """,
    """
    CREATE UNIQUE INDEX workflow_digest_recipe_key ON workflow (digest, recipe)
    """,
    """
    CREATE TABLE api_key (
        id UUID NOT NULL,
        name TEXT NOT NULL,
        person_id UUID,
        prefix TEXT NOT NULL,
        secret_hash BYTEA NOT NULL,
        scopes TEXT[] NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE,
        last_used_on DATE,
        revoked_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT api_key_pkey PRIMARY KEY (id),
        CONSTRAINT api_key_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id),
        CONSTRAINT api_key_prefix_key UNIQUE (prefix)
    )
    """,
    """
    CREATE INDEX api_key_person_id_idx ON api_key (person_id)
    """,
    """
    CREATE TABLE asset_mark (
        root_id UUID NOT NULL,
        flags TEXT[] DEFAULT '{}' NOT NULL,
        marks TSVECTOR DEFAULT '' NOT NULL,
        CONSTRAINT asset_mark_pkey PRIMARY KEY (root_id),
        CONSTRAINT asset_mark_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX asset_mark_marks_idx ON asset_mark USING gin (marks) WITH (fastupdate = off)
    """,
    """
    CREATE TABLE asset_text (
        asset_id UUID NOT NULL,
        root_id UUID NOT NULL,
        made_at TIMESTAMP WITH TIME ZONE NOT NULL,
        recipe TEXT NOT NULL,
        head BOOLEAN NOT NULL,
        words TSVECTOR NOT NULL,
        CONSTRAINT asset_text_pkey PRIMARY KEY (asset_id),
        CONSTRAINT asset_text_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT asset_text_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX asset_text_newest_idx ON asset_text (made_at DESC, asset_id DESC)
    """,
    """
    CREATE INDEX asset_text_root_id_idx ON asset_text (root_id)
    """,
    """
    CREATE INDEX asset_text_words_idx ON asset_text USING gin (words) WITH (fastupdate = off)
    """,
    """
    CREATE TABLE asset_vector (
        asset_id UUID NOT NULL,
        embedder TEXT NOT NULL,
        vector HALFVEC NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT asset_vector_pkey PRIMARY KEY (asset_id, embedder),
        CONSTRAINT asset_vector_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE TABLE disclosure (
        id UUID NOT NULL,
        original_id UUID NOT NULL,
        disclosed_id UUID NOT NULL,
        profiles TEXT NOT NULL,
        source_type TEXT NOT NULL,
        statement JSONB NOT NULL,
        statement_digest BYTEA NOT NULL,
        manifest_id TEXT NOT NULL,
        signer TEXT NOT NULL,
        signer_fingerprint BYTEA NOT NULL,
        development BOOLEAN NOT NULL,
        timestamped BOOLEAN DEFAULT 'false' NOT NULL,
        layers TEXT NOT NULL,
        kept TEXT NOT NULL,
        state TEXT NOT NULL,
        person_id UUID,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        verified_at TIMESTAMP WITH TIME ZONE NOT NULL,
        superseded_by UUID,
        CONSTRAINT disclosure_pkey PRIMARY KEY (id),
        CONSTRAINT disclosure_original_id_fkey FOREIGN KEY(original_id) REFERENCES asset (id),
        CONSTRAINT disclosure_disclosed_id_fkey FOREIGN KEY(disclosed_id) REFERENCES asset (id),
        CONSTRAINT disclosure_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id),
        CONSTRAINT disclosure_superseded_by_fkey FOREIGN KEY(superseded_by) REFERENCES disclosure (id)
    )
    """,
    """
    CREATE INDEX disclosure_disclosed_id_idx ON disclosure (disclosed_id)
    """,
    """
    CREATE UNIQUE INDEX disclosure_once_key ON disclosure (original_id, statement_digest, signer_fingerprint)
    """,
    """
    CREATE TABLE extraction (
        asset_id UUID NOT NULL,
        plugin TEXT NOT NULL,
        version TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        state TEXT NOT NULL,
        findings JSONB DEFAULT '[]' NOT NULL,
        current BOOLEAN DEFAULT 'true' NOT NULL,
        CONSTRAINT extraction_pkey PRIMARY KEY (asset_id, plugin, version),
        CONSTRAINT extraction_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE TABLE fingerprint (
        asset_id UUID NOT NULL,
        recipe TEXT NOT NULL,
        mirrored BOOLEAN NOT NULL,
        frame SMALLINT NOT NULL,
        code BYTEA NOT NULL,
        bands INTEGER[] NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT fingerprint_pkey PRIMARY KEY (asset_id, recipe, mirrored, frame),
        CONSTRAINT fingerprint_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX fingerprint_bands_idx ON fingerprint USING gin (bands) WITH (fastupdate = off)
    """,
    """
    CREATE TABLE graph_identity (
        exact BYTEA NOT NULL,
        level TEXT NOT NULL,
        recipe TEXT NOT NULL,
        digest BYTEA NOT NULL,
        CONSTRAINT graph_identity_pkey PRIMARY KEY (exact, level, recipe),
        CONSTRAINT graph_identity_exact_fkey FOREIGN KEY(exact) REFERENCES graph (exact)
    )
    """,
    """
    CREATE INDEX graph_identity_digest_idx ON graph_identity (digest, level, recipe)
    """,
    """
    CREATE TABLE licence_grant (
        id UUID NOT NULL,
        model BYTEA NOT NULL,
        licence_id UUID NOT NULL,
        source TEXT NOT NULL,
        person_id UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        withdrawn_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT licence_grant_pkey PRIMARY KEY (id),
        CONSTRAINT licence_grant_model_fkey FOREIGN KEY(model) REFERENCES model (sha256),
        CONSTRAINT licence_grant_licence_id_fkey FOREIGN KEY(licence_id) REFERENCES licence (id),
        CONSTRAINT licence_grant_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX licence_grant_licence_id_idx ON licence_grant (licence_id)
    """,
    """
    CREATE UNIQUE INDEX licence_grant_model_key ON licence_grant (model, licence_id, source) WHERE withdrawn_at is null
    """,
    """
    CREATE TABLE lineage (
        child_root UUID NOT NULL,
        parent_root UUID NOT NULL,
        via TEXT NOT NULL,
        CONSTRAINT lineage_pkey PRIMARY KEY (child_root, parent_root, via),
        CONSTRAINT lineage_child_root_fkey FOREIGN KEY(child_root) REFERENCES asset (id),
        CONSTRAINT lineage_parent_root_fkey FOREIGN KEY(parent_root) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX lineage_parent_root_idx ON lineage (parent_root)
    """,
    """
    CREATE TABLE model_alias (
        algorithm TEXT NOT NULL,
        value TEXT NOT NULL,
        sha256 BYTEA NOT NULL,
        CONSTRAINT model_alias_pkey PRIMARY KEY (algorithm, value, sha256),
        CONSTRAINT model_alias_sha256_fkey FOREIGN KEY(sha256) REFERENCES model (sha256)
    )
    """,
    """
    CREATE INDEX model_alias_sha256_idx ON model_alias (sha256)
    """,
    """
    CREATE TABLE model_name (
        worker TEXT NOT NULL,
        root TEXT NOT NULL,
        folder TEXT NOT NULL,
        path TEXT NOT NULL,
        seen_from TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        seen_to TIMESTAMP WITH TIME ZONE,
        sha256 BYTEA,
        size BIGINT NOT NULL,
        mtime_ns BIGINT NOT NULL,
        CONSTRAINT model_name_pkey PRIMARY KEY (worker, root, folder, path, seen_from),
        CONSTRAINT model_name_interval_check CHECK (seen_to is null or seen_to >= seen_from),
        CONSTRAINT model_name_sha256_fkey FOREIGN KEY(sha256) REFERENCES model (sha256)
    )
    """,
    """
    CREATE INDEX model_name_path_idx ON model_name (path, folder)
    """,
    """
    CREATE UNIQUE INDEX model_name_present_idx ON model_name (worker, root, folder, path) WHERE seen_to is null
    """,
    """
    CREATE INDEX model_name_sha256_idx ON model_name (sha256)
    """,
    """
    CREATE TABLE person_key (
        person_id UUID NOT NULL,
        wrapped BYTEA,
        made_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        destroyed_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT person_key_pkey PRIMARY KEY (person_id),
        CONSTRAINT person_key_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE TABLE project (
        id UUID NOT NULL,
        slug TEXT NOT NULL,
        name TEXT NOT NULL,
        client_id UUID,
        policy_version TEXT,
        pools TEXT[],
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        archived_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT project_pkey PRIMARY KEY (id),
        CONSTRAINT project_slug_key UNIQUE (slug),
        CONSTRAINT project_client_id_fkey FOREIGN KEY(client_id) REFERENCES client (id)
    )
    """,
    """
    CREATE TABLE sign_in (
        token_hash BYTEA NOT NULL,
        person_id UUID NOT NULL,
        made_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        used_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT sign_in_pkey PRIMARY KEY (token_hash),
        CONSTRAINT sign_in_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX sign_in_person_id_idx ON sign_in (person_id)
    """,
    """
    CREATE TABLE thumbnail (
        asset_id UUID NOT NULL,
        recipe TEXT NOT NULL,
        size INTEGER NOT NULL,
        sha256 BYTEA NOT NULL,
        media_type TEXT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        made_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT thumbnail_pkey PRIMARY KEY (asset_id, recipe, size),
        CONSTRAINT thumbnail_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE TABLE web_session (
        token_hash BYTEA NOT NULL,
        person_id UUID NOT NULL,
        made_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT web_session_pkey PRIMARY KEY (token_hash),
        CONSTRAINT web_session_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX web_session_person_id_idx ON web_session (person_id)
    """,
    """
    CREATE TABLE webhook_delivery (
        webhook_id UUID NOT NULL,
        seq BIGINT NOT NULL,
        tries INTEGER DEFAULT '0' NOT NULL,
        next_try_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        last_answer TEXT,
        delivered_at TIMESTAMP WITH TIME ZONE,
        failed_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT webhook_delivery_pkey PRIMARY KEY (webhook_id, seq),
        CONSTRAINT webhook_delivery_webhook_id_fkey FOREIGN KEY(webhook_id) REFERENCES webhook (id)
    )
    """,
    """
    CREATE INDEX webhook_delivery_next_try_at_idx ON webhook_delivery (next_try_at) WHERE delivered_at is null and failed_at is null
    """,
    """
    CREATE TABLE approval (
        asset_id UUID NOT NULL,
        state TEXT NOT NULL,
        comment TEXT,
        project_id UUID NOT NULL,
        root_id UUID NOT NULL,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT approval_pkey PRIMARY KEY (project_id, root_id),
        CONSTRAINT approval_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT approval_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT approval_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id),
        CONSTRAINT approval_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX approval_root_id_idx ON approval (root_id)
    """,
    """
    CREATE TABLE asset_project (
        project_id UUID NOT NULL,
        asset_id UUID NOT NULL,
        root_id UUID NOT NULL,
        made_at TIMESTAMP WITH TIME ZONE NOT NULL,
        first_person UUID,
        CONSTRAINT asset_project_pkey PRIMARY KEY (project_id, asset_id),
        CONSTRAINT asset_project_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT asset_project_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT asset_project_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id),
        CONSTRAINT asset_project_first_person_fkey FOREIGN KEY(first_person) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX asset_project_asset_id_idx ON asset_project (asset_id)
    """,
    """
    CREATE INDEX asset_project_newest_idx ON asset_project (project_id, made_at DESC, asset_id DESC)
    """,
    """
    CREATE INDEX asset_project_root_id_idx ON asset_project (root_id)
    """,
    """
    CREATE TABLE collection (
        id UUID NOT NULL,
        project_id UUID NOT NULL,
        name TEXT NOT NULL,
        by_person UUID,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT collection_pkey PRIMARY KEY (id),
        CONSTRAINT collection_project_id_name_key UNIQUE (project_id, name),
        CONSTRAINT collection_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT collection_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE TABLE delivery (
        id UUID NOT NULL,
        client_id UUID,
        project_id UUID NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        frozen_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT delivery_pkey PRIMARY KEY (id),
        CONSTRAINT delivery_client_id_fkey FOREIGN KEY(client_id) REFERENCES client (id),
        CONSTRAINT delivery_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id)
    )
    """,
    """
    CREATE INDEX delivery_project_id_idx ON delivery (project_id)
    """,
    """
    CREATE TABLE generation (
        id UUID NOT NULL,
        run_key TEXT NOT NULL,
        origin TEXT NOT NULL,
        exact BYTEA,
        prompt_document BYTEA,
        extra_documents JSONB DEFAULT '[]' NOT NULL,
        environment BYTEA,
        job_id UUID,
        project_id UUID,
        person_id UUID,
        attribution_source TEXT,
        started_at TIMESTAMP WITH TIME ZONE,
        ended_at TIMESTAMP WITH TIME ZONE,
        cached BOOLEAN DEFAULT 'false' NOT NULL,
        extracted_by TEXT,
        adopted_by UUID,
        recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT generation_pkey PRIMARY KEY (id),
        CONSTRAINT generation_run_key_key UNIQUE (run_key),
        CONSTRAINT generation_environment_fkey FOREIGN KEY(environment) REFERENCES environment (hash),
        CONSTRAINT generation_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT generation_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id),
        CONSTRAINT generation_adopted_by_fkey FOREIGN KEY(adopted_by) REFERENCES generation (id)
    )
    """,
    """
    CREATE INDEX generation_exact_idx ON generation (exact)
    """,
    """
    CREATE INDEX generation_job_id_idx ON generation (job_id)
    """,
    """
    CREATE TABLE job_detail (
        job_id UUID NOT NULL,
        project_id UUID,
        person_id UUID,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        pool TEXT NOT NULL,
        urgency TEXT NOT NULL,
        prompt BYTEA NOT NULL,
        extra_data BYTEA NOT NULL,
        recompute BOOLEAN NOT NULL,
        inputs JSONB NOT NULL,
        pins JSONB NOT NULL,
        via TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        result JSONB,
        CONSTRAINT job_detail_pkey PRIMARY KEY (job_id),
        CONSTRAINT job_detail_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT job_detail_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX job_detail_person_id_idx ON job_detail (person_id)
    """,
    """
    CREATE INDEX job_detail_project_idx ON job_detail (project_id, job_id desc)
    """,
    """
    CREATE TABLE membership (
        id UUID NOT NULL,
        person_id UUID NOT NULL,
        project_id UUID,
        role TEXT NOT NULL,
        since TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT membership_pkey PRIMARY KEY (id),
        CONSTRAINT membership_person_id_project_id_key UNIQUE NULLS NOT DISTINCT (person_id, project_id),
        CONSTRAINT membership_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id),
        CONSTRAINT membership_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id)
    )
    """,
    """
    CREATE INDEX membership_project_id_idx ON membership (project_id)
    """,
    """
    CREATE TABLE note (
        id UUID NOT NULL,
        project_id UUID NOT NULL,
        root_id UUID NOT NULL,
        asset_id UUID NOT NULL,
        text TEXT NOT NULL,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT note_pkey PRIMARY KEY (id),
        CONSTRAINT note_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT note_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id),
        CONSTRAINT note_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT note_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX note_root_id_idx ON note (root_id)
    """,
    """
    CREATE TABLE rating (
        stars SMALLINT NOT NULL,
        project_id UUID NOT NULL,
        root_id UUID NOT NULL,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT rating_pkey PRIMARY KEY (project_id, root_id),
        CONSTRAINT rating_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT rating_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id),
        CONSTRAINT rating_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX rating_root_id_idx ON rating (root_id)
    """,
    """
    CREATE TABLE tag (
        id UUID NOT NULL,
        project_id UUID NOT NULL,
        name TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT tag_pkey PRIMARY KEY (id),
        CONSTRAINT tag_project_id_name_key UNIQUE (project_id, name),
        CONSTRAINT tag_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id)
    )
    """,
    """
    CREATE TABLE watch_root (
        id UUID NOT NULL,
        host TEXT NOT NULL,
        path BYTEA NOT NULL,
        shown_path TEXT NOT NULL,
        marker TEXT,
        device BIGINT,
        aliases JSONB DEFAULT '{}' NOT NULL,
        project_id UUID,
        person_id UUID,
        person_rule TEXT,
        custody TEXT NOT NULL,
        disclosure TEXT NOT NULL,
        state TEXT NOT NULL,
        state_reason TEXT,
        state_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        scanned_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        retired_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT watch_root_pkey PRIMARY KEY (id),
        CONSTRAINT watch_root_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT watch_root_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE UNIQUE INDEX watch_root_place_key ON watch_root (host, sha256(path))
    """,
    """
    CREATE TABLE asset_tag (
        tag_id UUID NOT NULL,
        root_id UUID NOT NULL,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT asset_tag_pkey PRIMARY KEY (tag_id, root_id),
        CONSTRAINT asset_tag_tag_id_fkey FOREIGN KEY(tag_id) REFERENCES tag (id),
        CONSTRAINT asset_tag_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id),
        CONSTRAINT asset_tag_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX asset_tag_root_id_idx ON asset_tag (root_id)
    """,
    """
    CREATE TABLE collection_item (
        collection_id UUID NOT NULL,
        root_id UUID NOT NULL,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT collection_item_pkey PRIMARY KEY (collection_id, root_id),
        CONSTRAINT collection_item_collection_id_fkey FOREIGN KEY(collection_id) REFERENCES collection (id),
        CONSTRAINT collection_item_root_id_fkey FOREIGN KEY(root_id) REFERENCES asset (id),
        CONSTRAINT collection_item_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX collection_item_root_id_idx ON collection_item (root_id)
    """,
    """
    CREATE TABLE delivery_item (
        delivery_id UUID NOT NULL,
        root_id UUID NOT NULL,
        asset_id UUID NOT NULL,
        CONSTRAINT delivery_item_pkey PRIMARY KEY (delivery_id, root_id, asset_id),
        CONSTRAINT delivery_item_delivery_id_fkey FOREIGN KEY(delivery_id) REFERENCES delivery (id)
    )
    """,
    """
    CREATE TABLE generation_input (
        input TEXT NOT NULL,
        class_type TEXT NOT NULL,
        name TEXT NOT NULL,
        sha256 BYTEA,
        generation_id UUID NOT NULL,
        output_node TEXT NOT NULL,
        ordinal SMALLINT NOT NULL,
        node TEXT NOT NULL,
        source TEXT NOT NULL,
        CONSTRAINT generation_input_pkey PRIMARY KEY (generation_id, output_node, ordinal),
        CONSTRAINT generation_input_generation_id_fkey FOREIGN KEY(generation_id) REFERENCES generation (id)
    )
    """,
    """
    CREATE INDEX generation_input_sha256_idx ON generation_input (sha256) WHERE sha256 IS NOT NULL
    """,
    """
    CREATE TABLE generation_model (
        input TEXT NOT NULL,
        class_type TEXT NOT NULL,
        role TEXT NOT NULL,
        name TEXT NOT NULL,
        sha256 BYTEA,
        identified TEXT,
        strength_model DOUBLE PRECISION,
        strength_clip DOUBLE PRECISION,
        evidence TEXT NOT NULL,
        generation_id UUID NOT NULL,
        output_node TEXT NOT NULL,
        ordinal SMALLINT NOT NULL,
        node TEXT NOT NULL,
        source TEXT NOT NULL,
        CONSTRAINT generation_model_pkey PRIMARY KEY (generation_id, output_node, ordinal),
        CONSTRAINT generation_model_generation_id_fkey FOREIGN KEY(generation_id) REFERENCES generation (id)
    )
    """,
    """
    CREATE INDEX generation_model_sha256_idx ON generation_model (sha256) WHERE sha256 IS NOT NULL
    """,
    """
    CREATE TABLE generation_output (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        generation_id UUID NOT NULL,
        node TEXT NOT NULL,
        output TEXT NOT NULL,
        batch_index INTEGER,
        asset_id UUID NOT NULL,
        certain BOOLEAN NOT NULL,
        output_digest BYTEA,
        width INTEGER,
        height INTEGER,
        generates BOOLEAN DEFAULT 'false' NOT NULL,
        CONSTRAINT generation_output_pkey PRIMARY KEY (id),
        CONSTRAINT generation_output_generation_id_asset_id_node_output_ba_e7f5 UNIQUE NULLS NOT DISTINCT (generation_id, asset_id, node, output, batch_index),
        CONSTRAINT generation_output_generation_id_fkey FOREIGN KEY(generation_id) REFERENCES generation (id),
        CONSTRAINT generation_output_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX generation_output_asset_id_idx ON generation_output (asset_id)
    """,
    """
    CREATE TABLE generation_prompt (
        input TEXT NOT NULL,
        polarity TEXT NOT NULL,
        text TEXT NOT NULL,
        is_template BOOLEAN NOT NULL,
        generation_id UUID NOT NULL,
        output_node TEXT NOT NULL,
        ordinal SMALLINT NOT NULL,
        node TEXT NOT NULL,
        source TEXT NOT NULL,
        CONSTRAINT generation_prompt_pkey PRIMARY KEY (generation_id, output_node, ordinal),
        CONSTRAINT generation_prompt_generation_id_fkey FOREIGN KEY(generation_id) REFERENCES generation (id)
    )
    """,
    """
    CREATE TABLE generation_sampler (
        class_type TEXT NOT NULL,
        seed BYTEA,
        steps INTEGER,
        cfg DOUBLE PRECISION,
        sampler TEXT,
        scheduler TEXT,
        denoise DOUBLE PRECISION,
        final BOOLEAN NOT NULL,
        generation_id UUID NOT NULL,
        output_node TEXT NOT NULL,
        ordinal SMALLINT NOT NULL,
        node TEXT NOT NULL,
        source TEXT NOT NULL,
        CONSTRAINT generation_sampler_pkey PRIMARY KEY (generation_id, output_node, ordinal),
        CONSTRAINT generation_sampler_generation_id_fkey FOREIGN KEY(generation_id) REFERENCES generation (id)
    )
    """,
    """
    CREATE INDEX generation_sampler_seed_idx ON generation_sampler (seed) WHERE seed IS NOT NULL
    """,
    """
    CREATE TABLE job_event (
        job_id UUID NOT NULL,
        seq BIGINT GENERATED ALWAYS AS IDENTITY,
        state TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        worker TEXT,
        reason TEXT,
        CONSTRAINT job_event_pkey PRIMARY KEY (job_id, seq),
        CONSTRAINT job_event_job_id_fkey FOREIGN KEY(job_id) REFERENCES job_detail (job_id)
    )
    """,
    """
    CREATE TABLE location (
        id UUID NOT NULL,
        watch_root_id UUID,
        path BYTEA NOT NULL,
        shown_path TEXT NOT NULL,
        size BIGINT NOT NULL,
        mtime_ns BIGINT NOT NULL,
        inode BIGINT,
        device BIGINT,
        state TEXT NOT NULL,
        asset_id UUID,
        project_id UUID,
        first_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        last_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        gone_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT location_pkey PRIMARY KEY (id),
        CONSTRAINT location_watch_root_id_fkey FOREIGN KEY(watch_root_id) REFERENCES watch_root (id),
        CONSTRAINT location_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT location_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id)
    )
    """,
    """
    CREATE INDEX location_asset_id_idx ON location (asset_id)
    """,
    """
    CREATE INDEX location_inode_idx ON location (watch_root_id, inode) WHERE inode IS NOT NULL
    """,
    """
    CREATE UNIQUE INDEX location_place_key ON location (sha256(path), watch_root_id) NULLS NOT DISTINCT
    """,
    """
    CREATE INDEX location_watch_root_idx ON location (watch_root_id, sha256(path))
    """,
    """
    CREATE TABLE quarantine (
        id UUID NOT NULL,
        watch_root_id UUID,
        path BYTEA NOT NULL,
        shown TEXT NOT NULL,
        size BIGINT,
        mtime_ns BIGINT,
        sha256 BYTEA,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        tries INTEGER DEFAULT 1 NOT NULL,
        first_seen_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        next_try_at TIMESTAMP WITH TIME ZONE,
        resolved_at TIMESTAMP WITH TIME ZONE,
        resolution TEXT,
        project_id UUID,
        person_id UUID,
        custody TEXT NOT NULL,
        CONSTRAINT quarantine_pkey PRIMARY KEY (id),
        CONSTRAINT quarantine_watch_root_id_fkey FOREIGN KEY(watch_root_id) REFERENCES watch_root (id) ON DELETE CASCADE,
        CONSTRAINT quarantine_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT quarantine_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE INDEX quarantine_open_idx ON quarantine (id DESC) WHERE resolved_at IS NULL
    """,
    """
    CREATE UNIQUE INDEX quarantine_open_place_key ON quarantine (watch_root_id, sha256(path)) NULLS NOT DISTINCT WHERE resolved_at IS NULL
    """,
    """
    CREATE TABLE reproduction (
        id UUID NOT NULL,
        asset_id UUID NOT NULL,
        project_id UUID,
        by_person UUID,
        state TEXT NOT NULL,
        plan JSONB NOT NULL,
        job_id UUID,
        generation_id UUID,
        made_asset_id UUID,
        verdict TEXT,
        measures JSONB DEFAULT '{}' NOT NULL,
        causes JSONB DEFAULT '[]' NOT NULL,
        receipt BYTEA,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        decided_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT reproduction_pkey PRIMARY KEY (id),
        CONSTRAINT reproduction_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT reproduction_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT reproduction_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id),
        CONSTRAINT reproduction_generation_id_fkey FOREIGN KEY(generation_id) REFERENCES generation (id),
        CONSTRAINT reproduction_made_asset_id_fkey FOREIGN KEY(made_asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX reproduction_asset_id_idx ON reproduction (asset_id)
    """,
    """
    CREATE UNIQUE INDEX reproduction_job_id_key ON reproduction (job_id) WHERE job_id IS NOT NULL
    """,
    """
    CREATE INDEX reproduction_newest_idx ON reproduction (at DESC, id DESC)
    """,
    """
    CREATE TABLE location_past (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        location_id UUID NOT NULL,
        asset_id UUID,
        path BYTEA NOT NULL,
        shown_path TEXT NOT NULL,
        size BIGINT NOT NULL,
        mtime_ns BIGINT NOT NULL,
        reason TEXT NOT NULL,
        until TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT location_past_pkey PRIMARY KEY (id),
        CONSTRAINT location_past_location_id_fkey FOREIGN KEY(location_id) REFERENCES location (id),
        CONSTRAINT location_past_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX location_past_asset_id_idx ON location_past (asset_id)
    """,
    """
    CREATE INDEX location_past_location_id_idx ON location_past (location_id)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore a backup")
