"""Stale sets: which sets of models have to be worked out anew, since what they rest on changed.

Revision 0024 of the tenant line, after 0023. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE asset_model_set ADD COLUMN stale BOOLEAN DEFAULT false NOT NULL",
    "CREATE INDEX asset_model_set_stale_idx ON asset_model_set (asset_id) WHERE stale",
    "ALTER TABLE touch_change ADD COLUMN at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL",
    # What hangs on a line hangs on all its assets.
    """
    create function note_lineage_change() returns trigger language plpgsql as $$
    declare
        changed uuid[];
    begin
        select array_agg(id) into changed from asset where root_id in (select child_root from changed_rows);
        if changed is not null then
            insert into touch_change (assets) values (changed);
        end if;
        return null;
    end $$
    """,
    """
    create trigger note_lineage_insert after insert on lineage referencing new table as changed_rows
    for each statement execute function note_lineage_change()
    """,
    """
    create trigger note_lineage_delete after delete on lineage referencing old table as changed_rows
    for each statement execute function note_lineage_change()
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
