"""Canaries: which projects keep them, and every run with what it showed.

Revision 0009 of the tenant line, after 0008. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE canary_run (
        id UUID NOT NULL,
        project_id UUID NOT NULL,
        asset_id UUID NOT NULL,
        worker_id UUID NOT NULL,
        worker TEXT NOT NULL,
        pool TEXT NOT NULL,
        reason TEXT NOT NULL,
        state TEXT NOT NULL,
        reproduction_id UUID NOT NULL,
        stated BYTEA,
        environment BYTEA,
        outcome TEXT,
        verdict TEXT,
        made_asset_id UUID,
        made_sha256 BYTEA,
        baseline_sha256 BYTEA,
        is_baseline BOOLEAN DEFAULT 'false' NOT NULL,
        measures JSONB DEFAULT '{}' NOT NULL,
        causes JSONB DEFAULT '[]' NOT NULL,
        doubt_id UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        begun_at TIMESTAMP WITH TIME ZONE,
        ended_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT canary_run_pkey PRIMARY KEY (id),
        CONSTRAINT canary_run_made_asset_id_fkey FOREIGN KEY(made_asset_id) REFERENCES asset (id),
        CONSTRAINT canary_run_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT canary_run_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id)
    )
    """,
    """
    CREATE INDEX canary_run_asset_id_idx ON canary_run (asset_id)
    """,
    """
    CREATE INDEX canary_run_latest_idx ON canary_run (worker_id, asset_id, project_id, id DESC)
    """,
    """
    CREATE INDEX canary_run_newest_idx ON canary_run (project_id, id DESC)
    """,
    """
    CREATE UNIQUE INDEX canary_run_open_key ON canary_run (worker_id, asset_id, project_id) WHERE state != 'over'
    """,
    """
    CREATE TABLE canary_policy (
        project_id UUID NOT NULL,
        every_s INTEGER,
        after_change BOOLEAN NOT NULL,
        assets_limit INTEGER NOT NULL,
        collection_id UUID,
        keep_out BOOLEAN NOT NULL,
        by_person UUID,
        set_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT canary_policy_pkey PRIMARY KEY (project_id),
        CONSTRAINT canary_policy_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id),
        CONSTRAINT canary_policy_every_check CHECK (every_s > 0),
        CONSTRAINT canary_policy_collection_id_fkey FOREIGN KEY(collection_id) REFERENCES collection (id),
        CONSTRAINT canary_policy_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT canary_policy_assets_check CHECK (assets_limit > 0)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
