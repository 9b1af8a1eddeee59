"""Licence verdicts.

Revision 0015 of the tenant line, after 0014. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE model_set (
        digest BYTEA NOT NULL,
        entries JSONB NOT NULL,
        models BYTEA[] DEFAULT '{}' NOT NULL,
        recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT model_set_pkey PRIMARY KEY (digest)
    )
    """,
    """
    CREATE INDEX model_set_models_idx ON model_set USING gin (models)
    """,
    """
    CREATE TABLE studio_statement (
        id UUID NOT NULL,
        facts JSONB NOT NULL,
        person_id UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT studio_statement_pkey PRIMARY KEY (id),
        CONSTRAINT studio_statement_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE TABLE asset_model_set (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        asset_id UUID NOT NULL,
        project_id UUID,
        digest BYTEA NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT asset_model_set_pkey PRIMARY KEY (id),
        CONSTRAINT asset_model_set_digest_fkey FOREIGN KEY(digest) REFERENCES model_set (digest),
        CONSTRAINT asset_model_set_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT asset_model_set_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT asset_model_set_asset_id_project_id_key UNIQUE NULLS NOT DISTINCT (asset_id, project_id)
    )
    """,
    """
    CREATE INDEX asset_model_set_digest_idx ON asset_model_set (digest)
    """,
    """
    CREATE INDEX asset_model_set_project_idx ON asset_model_set (project_id, digest)
    """,
    """
    ALTER TABLE asset_mark ADD COLUMN project_flags TEXT[] DEFAULT '{}' NOT NULL
    """,
    """
    ALTER TABLE licence_verdict ADD COLUMN state TEXT DEFAULT 'standing' NOT NULL
    """,
    """
    ALTER TABLE licence_verdict ADD COLUMN occasion BYTEA DEFAULT '' NOT NULL
    """,
    """
    ALTER TABLE licence_verdict ADD COLUMN models BYTEA[] DEFAULT '{}' NOT NULL
    """,
    """
    ALTER TABLE licence_verdict ADD COLUMN licences UUID[] DEFAULT '{}' NOT NULL
    """,
    """
    ALTER TABLE licence_verdict ADD COLUMN facts JSONB DEFAULT '{}' NOT NULL
    """,
    """
    ALTER TABLE licence_verdict ADD COLUMN project_id UUID
    """,
    """
    ALTER TABLE licence_verdict ADD COLUMN person_id UUID
    """,
    """
    ALTER TABLE licence_verdict ADD COLUMN reopened_at TIMESTAMP WITH TIME ZONE
    """,
    """
    ALTER TABLE licence_verdict ADD COLUMN reopened_why TEXT
    """,
    """
    ALTER TABLE licence_verdict ADD COLUMN reopened_to TEXT
    """,
    """
    CREATE INDEX licence_verdict_licences_idx ON licence_verdict USING gin (licences) WHERE state = 'standing'
    """,
    """
    CREATE INDEX licence_verdict_models_idx ON licence_verdict USING gin (models) WHERE state = 'standing'
    """,
    """
    CREATE INDEX licence_verdict_reopened_idx ON licence_verdict (reopened_at DESC, id DESC) WHERE state = 'reopened'
    """,
    """
    CREATE UNIQUE INDEX licence_verdict_standing_key ON licence_verdict (kind, subject, occasion, project_id)
    NULLS NOT DISTINCT WHERE state = 'standing'
    """,
    """
    ALTER TABLE licence_verdict ADD CONSTRAINT licence_verdict_project_id_fkey
    FOREIGN KEY(project_id) REFERENCES project (id)
    """,
    """
    ALTER TABLE licence_verdict ADD CONSTRAINT licence_verdict_person_id_fkey
    FOREIGN KEY(person_id) REFERENCES person (id)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
