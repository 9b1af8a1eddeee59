"""The end of a lease and the claim that follows it, as one function: a report brings the next job.

Revision 0012 of the farm line, after 0011. Nothing is imported from memoryd: renaming a table must never rewrite
history.

One commit for both. Nobody is waited for with the ended job's rows in hand: what another transaction is at, and what a cap
or a pause may hold back, is left for a claim of its own.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create type ended_lease as (
        id uuid, tenant_id uuid, project_id uuid, person_id uuid, pool_id uuid, class_id smallint, model_set text,
        followed boolean, brings boolean, over_ms float8, capped boolean)
    """,
    """
    create function end_and_claim(
        p_job uuid, p_fence bigint, p_token bytea, p_worker uuid, p_state text, p_incarnation uuid, p_loaded text[],
        p_next_token bytea) returns table (done ended_lease, got claimed_job)
    language plpgsql as $$
    declare
        held_by uuid := (select l.incarnation from lease l where l.job_id = p_job and l.fence = p_fence);
        w record;
        c claimed_job;
    begin
        select * into done from end_lease(p_job, p_fence, p_token, p_worker, p_state);
        if not found then
            return;
        end if;
        -- Whoever an end lets enter has its place in the order before anybody claims. What an earlier start left over was put
        -- away when the present one claimed for itself; so one that has not done so yet is given nothing here.
        if held_by = p_incarnation and not (done.followed or done.brings or done.capped) then
            select o.serves, array(select x.pool_id from worker_pool x where x.worker_id = o.id)
                             || array(select p.id from pool p where p.owner_worker = o.id) as pools
              into w from worker o where o.id = p_worker;
            select * into c from claim_next(p_worker, p_incarnation, w.pools, w.serves, p_loaded, p_next_token, true);
            if found and not c.blocked and not c.busy then
                got := c;
            end if;
        end if;
        return next;
    end $$
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
