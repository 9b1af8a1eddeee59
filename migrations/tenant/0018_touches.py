"""Touches.

Revision 0018 of the tenant line, after 0017. Nothing is imported from memoryd: renaming a table must never rewrite
history.

What a statement changes of runs' facts, of their outputs and of who owns assets is noted by triggers, one row for each
statement, in its transaction: what `touch` says and what is noted are always all. What was there before is noted too.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE touch_change (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        assets UUID[] DEFAULT '{}' NOT NULL,
        generations UUID[] DEFAULT '{}' NOT NULL,
        CONSTRAINT touch_change_pkey PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE touch_model (
        no INTEGER GENERATED ALWAYS AS IDENTITY,
        sha256 BYTEA NOT NULL,
        generations BIGINT DEFAULT '0' NOT NULL,
        assets BIGINT DEFAULT '0' NOT NULL,
        lines BIGINT DEFAULT '0' NOT NULL,
        CONSTRAINT touch_model_pkey PRIMARY KEY (no),
        CONSTRAINT touch_model_sha256_key UNIQUE (sha256)
    )
    """,
    """
    CREATE TABLE touch (
        model_no INTEGER NOT NULL,
        root_id UUID NOT NULL,
        asset_id UUID NOT NULL,
        projects UUID[] DEFAULT '{}' NOT NULL,
        people UUID[] DEFAULT '{}' NOT NULL,
        CONSTRAINT touch_pkey PRIMARY KEY (model_no, root_id, asset_id)
    )
    """,
    """
    CREATE INDEX touch_asset_id_idx ON touch (asset_id)
    """,
    """
    CREATE TABLE touch_run (
        generation_id UUID NOT NULL,
        model_no INTEGER NOT NULL,
        CONSTRAINT touch_run_pkey PRIMARY KEY (generation_id, model_no)
    )
    """,
    """
    CREATE TABLE touch_tally (
        model_no INTEGER NOT NULL,
        project_id UUID NOT NULL,
        person_id UUID NOT NULL,
        assets BIGINT NOT NULL,
        CONSTRAINT touch_tally_pkey PRIMARY KEY (model_no, project_id, person_id)
    )
    """,
    """
    create function note_touch_change() returns trigger language plpgsql as $$
    declare
        changed uuid[];
    begin
        if tg_table_name = 'generation_model' then
            select array_agg(distinct generation_id) into changed from changed_rows where sha256 is not null;
            if changed is not null then
                insert into touch_change (generations) values (changed);
            end if;
        else
            select array_agg(distinct asset_id) into changed from changed_rows;
            if changed is not null then
                insert into touch_change (assets) values (changed);
            end if;
        end if;
        return null;
    end $$
    """,
    *(
        f"""
    create trigger {table}_touch_{act} after {act} on {table} referencing {age} table as changed_rows
    for each statement execute function note_touch_change()
    """
        for table in ("generation_model", "generation_output", "asset_project")
        for act, age in (("insert", "new"), ("delete", "old"))
    ),
    """
    create function note_touch_update() returns trigger language plpgsql as $$
    declare
        changed uuid[];
    begin
        if tg_table_name = 'generation_model' then
            select array_agg(distinct generation_id) into changed
              from (select * from rows_before union all select * from rows_after) either where sha256 is not null;
            if changed is not null then
                insert into touch_change (generations) values (changed);
            end if;
        else
            select array_agg(distinct asset_id) into changed
              from (select asset_id from rows_before union all select asset_id from rows_after) either;
            if changed is not null then
                insert into touch_change (assets) values (changed);
            end if;
        end if;
        return null;
    end $$
    """,
    *(
        f"""
    create trigger {table}_touch_update after update on {table}
    referencing old table as rows_before new table as rows_after
    for each statement execute function note_touch_update()
    """
        for table in ("generation_model", "generation_output", "asset_project")
    ),
    """
    insert into touch_change (generations)
    select array_agg(id) from (select id, row_number() over (order by id desc) / 500 as part from generation) run
    group by part order by part
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
