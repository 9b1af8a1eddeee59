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
    CREATE TABLE delivery_item (
        delivery_id UUID NOT NULL, 
        root_id UUID NOT NULL, 
        asset_id UUID NOT NULL, 
        CONSTRAINT delivery_item_pkey PRIMARY KEY (delivery_id, root_id, asset_id), 
        CONSTRAINT delivery_item_delivery_id_fkey FOREIGN KEY(delivery_id) REFERENCES delivery (id)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore a backup")
