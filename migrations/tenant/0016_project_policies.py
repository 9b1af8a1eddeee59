"""Project policies.

Revision 0016 of the tenant line, after 0015. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE clearance_change (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        what TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT clearance_change_pkey PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE submission_fence (
        id SMALLINT NOT NULL,
        CONSTRAINT submission_fence_pkey PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE project_policy (
        project_id UUID NOT NULL,
        version INTEGER NOT NULL,
        use TEXT NOT NULL,
        territories TEXT[] NOT NULL,
        client_id UUID,
        on_review TEXT NOT NULL,
        on_unknown TEXT NOT NULL,
        on_block TEXT NOT NULL,
        ask_role TEXT NOT NULL,
        reason TEXT NOT NULL,
        by_person UUID,
        at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT project_policy_pkey PRIMARY KEY (project_id, version),
        CONSTRAINT project_policy_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT project_policy_client_id_fkey FOREIGN KEY(client_id) REFERENCES client (id),
        CONSTRAINT project_policy_by_person_fkey FOREIGN KEY(by_person) REFERENCES person (id)
    )
    """,
    """
    CREATE TABLE approval_request (
        id UUID NOT NULL,
        project_id UUID NOT NULL,
        policy_version INTEGER NOT NULL,
        models_sha256 BYTEA NOT NULL,
        judged BYTEA NOT NULL,
        models JSONB NOT NULL,
        use TEXT NOT NULL,
        verdict TEXT NOT NULL,
        clauses JSONB NOT NULL,
        ask_role TEXT NOT NULL,
        state TEXT NOT NULL,
        asked_by UUID[] DEFAULT '{}' NOT NULL,
        asked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        decided_by UUID,
        decided_at TIMESTAMP WITH TIME ZONE,
        reason TEXT,
        CONSTRAINT approval_request_pkey PRIMARY KEY (id),
        CONSTRAINT approval_request_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id),
        CONSTRAINT approval_request_decided_by_fkey FOREIGN KEY(decided_by) REFERENCES person (id)
    )
    """,
    """
    CREATE UNIQUE INDEX approval_request_about_key ON approval_request (project_id, models_sha256, judged)
    """,
    """
    CREATE INDEX approval_request_open_idx ON approval_request (project_id, id) WHERE state = 'asked'
    """,
    """
    ALTER TABLE job_detail ADD COLUMN clearance JSONB
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
