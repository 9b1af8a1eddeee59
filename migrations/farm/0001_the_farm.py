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
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore a backup")
