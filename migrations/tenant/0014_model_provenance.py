"""Model provenance.

Revision 0014 of the tenant line, after 0013. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE model_place (
        id UUID NOT NULL,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        worker TEXT NOT NULL,
        root TEXT NOT NULL,
        first_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        last_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT model_place_pkey PRIMARY KEY (id),
        CONSTRAINT model_place_key_key UNIQUE (key)
    )
    """,
    """
    CREATE TABLE model_family (
        id UUID NOT NULL,
        name TEXT NOT NULL,
        source TEXT NOT NULL,
        source_id TEXT,
        url TEXT,
        person_id UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT model_family_pkey PRIMARY KEY (id),
        CONSTRAINT model_family_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE UNIQUE INDEX model_family_name_key ON model_family (name) WHERE source_id is null
    """,
    """
    CREATE UNIQUE INDEX model_family_source_key ON model_family (source, source_id) WHERE source_id is not null
    """,
    """
    CREATE TABLE model_look_up (
        sha256 BYTEA NOT NULL,
        service TEXT NOT NULL,
        found BOOLEAN NOT NULL,
        answer JSONB DEFAULT '{}' NOT NULL,
        person_id UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT model_look_up_pkey PRIMARY KEY (sha256, service),
        CONSTRAINT model_look_up_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id),
        CONSTRAINT model_look_up_sha256_fkey FOREIGN KEY(sha256) REFERENCES model (sha256)
    )
    """,
    """
    CREATE TABLE model_origin (
        id UUID NOT NULL,
        child BYTEA NOT NULL,
        parent BYTEA,
        stated TEXT NOT NULL,
        via TEXT NOT NULL,
        source TEXT NOT NULL,
        person_id UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        withdrawn_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT model_origin_pkey PRIMARY KEY (id),
        CONSTRAINT model_origin_parent_fkey FOREIGN KEY(parent) REFERENCES model (sha256),
        CONSTRAINT model_origin_child_fkey FOREIGN KEY(child) REFERENCES model (sha256),
        CONSTRAINT model_origin_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id),
        CONSTRAINT model_origin_itself_check CHECK (child <> parent)
    )
    """,
    """
    CREATE UNIQUE INDEX model_origin_key ON model_origin (child, stated, via, source) WHERE withdrawn_at is null
    """,
    """
    CREATE INDEX model_origin_parent_idx ON model_origin (parent) WHERE withdrawn_at is null
    """,
    """
    CREATE INDEX model_origin_stated_idx ON model_origin (stated) WHERE parent is null and withdrawn_at is null
    """,
    """
    CREATE TABLE model_place_worker (
        place_id UUID NOT NULL,
        worker_id UUID NOT NULL,
        label TEXT NOT NULL,
        root TEXT NOT NULL,
        told BYTEA NOT NULL,
        first_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        last_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT model_place_worker_pkey PRIMARY KEY (place_id, worker_id),
        CONSTRAINT model_place_worker_place_id_fkey FOREIGN KEY(place_id) REFERENCES model_place (id)
    )
    """,
    """
    CREATE INDEX model_place_worker_worker_id_idx ON model_place_worker (worker_id)
    """,
    """
    CREATE TABLE model_version (
        id UUID NOT NULL,
        family_id UUID NOT NULL,
        name TEXT NOT NULL,
        source_id TEXT,
        base_name TEXT,
        url TEXT,
        person_id UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT model_version_pkey PRIMARY KEY (id),
        CONSTRAINT model_version_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id),
        CONSTRAINT model_version_family_id_fkey FOREIGN KEY(family_id) REFERENCES model_family (id)
    )
    """,
    """
    CREATE UNIQUE INDEX model_version_name_key ON model_version (family_id, name) WHERE source_id is null
    """,
    """
    CREATE UNIQUE INDEX model_version_source_key ON model_version (family_id, source_id) WHERE source_id is not null
    """,
    """
    CREATE TABLE model_version_file (
        id UUID NOT NULL,
        version_id UUID NOT NULL,
        sha256 BYTEA NOT NULL,
        source TEXT NOT NULL,
        person_id UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        withdrawn_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT model_version_file_pkey PRIMARY KEY (id),
        CONSTRAINT model_version_file_sha256_fkey FOREIGN KEY(sha256) REFERENCES model (sha256),
        CONSTRAINT model_version_file_version_id_fkey FOREIGN KEY(version_id) REFERENCES model_version (id),
        CONSTRAINT model_version_file_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE UNIQUE INDEX model_version_file_key ON model_version_file (sha256, version_id, source) WHERE withdrawn_at is null
    """,
    """
    CREATE INDEX model_version_file_version_id_idx ON model_version_file (version_id)
    """,
    """
    ALTER TABLE model ADD COLUMN last_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL
    """,
    """
    ALTER TABLE model ADD COLUMN format TEXT DEFAULT 'unknown' NOT NULL
    """,
    """
    ALTER TABLE model ADD COLUMN base_name TEXT
    """,
    """
    ALTER TABLE model ADD COLUMN triggers TEXT[] DEFAULT '{}' NOT NULL
    """,
    """
    ALTER TABLE model ADD COLUMN sidecar JSONB
    """,
    """
    CREATE INDEX model_newest_idx ON model (first_seen desc, sha256 desc)
    """,
    """
    ALTER TABLE model_alias ADD COLUMN measured BOOLEAN DEFAULT 'false' NOT NULL
    """,
    """
    CREATE INDEX model_alias_value_idx ON model_alias (value text_pattern_ops)
    """,
    # Until now a name stated machine and folder itself: each pair of them is a place from now on.
    """
    INSERT INTO model_place (id, kind, key, worker, root, first_seen, last_seen)
    SELECT gen_random_uuid(), 'scanned', 'scan:' || encode(sha256(convert_to(worker || chr(10) || root, 'UTF8')), 'hex'),
           worker, root, min(seen_from), max(coalesce(seen_to, seen_from))
      FROM model_name GROUP BY worker, root
    """,
    """
    ALTER TABLE model_name ADD COLUMN place_id UUID
    """,
    """
    UPDATE model_name n SET place_id = p.id FROM model_place p WHERE p.worker = n.worker AND p.root = n.root
    """,
    """
    ALTER TABLE model_name ALTER COLUMN place_id SET NOT NULL
    """,
    """
    ALTER TABLE model_name DROP CONSTRAINT model_name_pkey
    """,
    """
    DROP INDEX model_name_present_idx
    """,
    """
    ALTER TABLE model_name DROP COLUMN worker
    """,
    """
    ALTER TABLE model_name DROP COLUMN root
    """,
    """
    ALTER TABLE model_name ADD CONSTRAINT model_name_pkey PRIMARY KEY (place_id, folder, path, seen_from)
    """,
    """
    CREATE UNIQUE INDEX model_name_present_idx ON model_name (place_id, folder, path) WHERE seen_to is null
    """,
    """
    ALTER TABLE model_name ADD CONSTRAINT model_name_place_id_fkey FOREIGN KEY(place_id) REFERENCES model_place (id)
    """,
    """
    UPDATE model m SET last_seen = greatest(
        m.first_seen, (SELECT max(coalesce(n.seen_to, n.seen_from)) FROM model_name n WHERE n.sha256 = m.sha256))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
