"""Variations.

Revision 0008 of the tenant line, after 0007. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE variation (
        id UUID NOT NULL,
        asset_id UUID NOT NULL,
        generation_id UUID,
        project_id UUID,
        by_person UUID,
        job_id UUID,
        group_key TEXT,
        changes JSONB DEFAULT '[]' NOT NULL,
        items INTEGER NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT variation_pkey PRIMARY KEY (id),
        CONSTRAINT variation_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id),
        CONSTRAINT variation_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id),
        CONSTRAINT variation_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT variation_generation_id_fkey FOREIGN KEY(generation_id) REFERENCES generation (id)
    )
    """,
    """
    CREATE INDEX variation_of_asset_idx ON variation (asset_id, at DESC, id DESC)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
