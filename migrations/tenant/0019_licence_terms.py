"""Licence terms: what people of a tenant add and change, every version; reasons of what they state.

Revision 0019 of the tenant line, after 0018. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE licence_terms (
        licence TEXT NOT NULL,
        version INTEGER NOT NULL,
        document JSONB,
        changes JSONB DEFAULT '{}' NOT NULL,
        reasons JSONB DEFAULT '{}' NOT NULL,
        reason TEXT NOT NULL,
        person_id UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        ended_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT licence_terms_pkey PRIMARY KEY (licence, version),
        CONSTRAINT licence_terms_person_id_fkey FOREIGN KEY(person_id) REFERENCES person (id)
    )
    """,
    """
    CREATE UNIQUE INDEX licence_terms_present_key ON licence_terms (licence) WHERE ended_at is null
    """,
    """
    ALTER TABLE licence_grant ADD COLUMN reason TEXT
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
