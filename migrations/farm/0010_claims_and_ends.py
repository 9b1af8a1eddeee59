"""Claims and ends of leases as functions: what is read where something is rare is read only then.

Revision 0010 of the farm line, after 0009. Nothing is imported from memoryd: renaming a table must never rewrite
history.

As one statement each they were started with everything that might be needed, and that took longer than what they do.
Their callers have taken the farm's role: it decides on the search path, and that plans are made once per connection.
A job is looked for by tenant and id, so that both indexes that may be taken for it lead to one row.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NOBODY = "00000000-0000-0000-0000-000000000000"

# Hard conditions come before any ranking: no preference may ever lead to a worker that must not have the job. Whether there
# is another worker is only asked where a job avoids this one.
MAY_TAKE = """r.expires_at > clock_timestamp()
                       and (r.avoid_worker is distinct from p_worker
                            or not another_may_take(r.pool_id, r.tenant_id, p_worker))"""

# The classes and pools in which a worker finds something: by the pool's rank and memory, then the one whose head has waited
# longest, the class's age offset added.
HEADS = f"""
                select p.id as pool_id, k.id as class_id, coalesce(m.low, -1) as low, head.vtag, head.model_set,
                       head.tenant_id, (k.affinity * p.warm_up_s * 1000)::bigint as bonus, k.visibility_s, p.max_run_time_s
                  from pool p cross join (select * from job_class limit 8) k
                  left join mark m on m.pool_id = p.id and m.class_id = k.id
                 cross join lateral ({{head}}) head
                 where p.id = any(p_pools) and p.paused_at is null and not exists (
                       select from setback s where s.pool_id = p.id and s.worker_id in (p_worker, '{NOBODY}')
                          and s.until > clock_timestamp())
                 order by p.rank desc, p.vram_mb desc nulls last,
                          head.enqueued_at + make_interval(secs => k.age_offset_s), k.id"""
HEAD_OF_ALL = f"""
                    select r.vtag, r.model_set, r.tenant_id, r.enqueued_at from ready r
                     where r.pool_id = p.id and r.class_id = k.id and r.vtag >= coalesce(m.low, -1) and {MAY_TAKE}
                     order by r.vtag, r.job_id limit 1"""
HEAD_OF_SOME = f"""
                    select x.* from unnest(p_serves) served(tenant_id) cross join lateral (
                        select r.vtag, r.model_set, r.tenant_id, r.enqueued_at, r.job_id from ready r
                         where (r.tenant_id, r.pool_id, r.class_id, r.vtag)
                               >= (served.tenant_id, p.id, k.id, coalesce(m.low, -1))
                           and (r.tenant_id, r.pool_id, r.class_id) <= (served.tenant_id, p.id, k.id) and {MAY_TAKE}
                         order by r.tenant_id, r.pool_id, r.class_id, r.vtag, r.job_id limit 1) x
                     order by x.vtag, x.job_id limit 1"""

ROW = "r.ctid as spot, r.vtag, r.job_id, r.tenant_id, r.project_id, r.person_id, r.enqueued_at"

STATEMENTS = (
    """
    create type claimed_job as (
        pool_id uuid, class_id smallint, low bigint, vtag bigint, job_id uuid, tenant_id uuid, project_id uuid,
        person_id uuid, blocked boolean, busy boolean, model_set text, attempt smallint, fence bigint, lease_s float8,
        deadline_s float8)
    """,
    """
    create function another_may_take(p_pool uuid, p_tenant uuid, p_worker uuid) returns boolean
    language plpgsql stable as $$
    begin
        return exists (
            select from worker_pool x join worker o on o.id = x.worker_id
             where x.pool_id = p_pool and o.id <> p_worker and o.state = 'active'
               and o.seen_at > clock_timestamp() - interval '60 s'
               and (cardinality(o.serves) = 0 or p_tenant = any(o.serves)));
    end $$
    """,
    """
    create function lease_ready(
        c claimed_job, p_spot tid, p_enqueued_at timestamptz, p_visibility_s float8, p_max_run_time_s float8,
        p_worker uuid, p_incarnation uuid, p_token bytea) returns claimed_job
    language plpgsql as $$
    declare
        at timestamptz := clock_timestamp();
    begin
        update job j set state = 'leased', attempt = j.attempt + 1
         where j.id = c.job_id and j.tenant_id = c.tenant_id and j.state = 'ready' and not j.cancel_requested
        returning j.model_set, j.attempt into c.model_set, c.attempt;
        if found then
            insert into lease (job_id, token_hash, worker_id, incarnation, tenant_id, project_id, person_id, pool_id,
                               class_id, vtag, waited_ms, leased_at, progressed_at, expires_at, deadline_at)
            values (c.job_id, p_token, p_worker, p_incarnation, c.tenant_id, c.project_id, c.person_id, c.pool_id,
                    c.class_id, c.vtag, extract(epoch from at - p_enqueued_at) * 1000, at, at,
                    at + make_interval(secs => p_visibility_s), at + make_interval(secs => p_max_run_time_s))
            returning fence into c.fence;
            c.lease_s := p_visibility_s;
            c.deadline_s := p_max_run_time_s;
        end if;
        delete from ready where ctid = p_spot;
        return c;
    end $$
    """,
    f"""
    create function claim_next(
        p_worker uuid, p_incarnation uuid, p_pools uuid[], p_serves uuid[], p_loaded text[], p_token bytea,
        p_among_others boolean) returns setof claimed_job
    language plpgsql as $$
    declare
        heads refcursor;
        h record;
        got record;
        c claimed_job;
        warm tid;
        nth int := 0;
    begin
        if not exists (select from worker w
                        where w.id = p_worker and w.incarnation = p_incarnation and w.state = 'active') then
            return;
        end if;
        if cardinality(p_serves) = 0 then
            open heads for {HEADS.format(head=HEAD_OF_ALL)};
        else
            open heads for {HEADS.format(head=HEAD_OF_SOME)};
        end if;
        loop
            fetch heads into h;
            exit when not found;
            nth := nth + 1;
            warm := null;
            -- The first job within the bonus for which a model is loaded already, if nobody else is taking it.
            if nth = 1 and h.model_set <> '' and cardinality(p_loaded) > 0 and h.model_set <> all(p_loaded) then
                select x.spot into warm from unnest(p_loaded) have(model_set) cross join lateral (
                    select r.ctid as spot, r.vtag, r.job_id from ready r
                     where (r.model_set, r.pool_id, r.class_id, r.vtag)
                           >= (have.model_set, h.pool_id, h.class_id, h.low)
                       and (r.model_set, r.pool_id, r.class_id, r.vtag)
                           <= (have.model_set, h.pool_id, h.class_id, h.vtag + h.bonus)
                       -- `is true`, so that no index is thought of for it: this is looked up by its model.
                       and (cardinality(p_serves) = 0 or r.tenant_id = any(p_serves)) is true
                       and {MAY_TAKE}
                     order by r.model_set, r.pool_id, r.class_id, r.vtag, r.job_id limit 1) x
                 order by x.vtag, x.job_id limit 1;
                if warm is not null then
                    select {ROW} into got from ready r where r.ctid = warm for update skip locked;
                    if not found then
                        warm := null;
                    end if;
                end if;
            end if;
            -- The first job in fair order that nobody else is taking.
            if warm is null and cardinality(p_serves) = 0 then
                select {ROW} into got from ready r
                 where r.pool_id = h.pool_id and r.class_id = h.class_id and r.vtag >= h.low and {MAY_TAKE}
                 order by r.vtag, r.job_id limit 1 for update skip locked;
                continue when not found;
            elsif warm is null then
                select {ROW} into got from ready r
                 where (r.tenant_id, r.pool_id, r.class_id, r.vtag) >= (h.tenant_id, h.pool_id, h.class_id, h.low)
                   and (r.tenant_id, r.pool_id, r.class_id) <= (h.tenant_id, h.pool_id, h.class_id) and {MAY_TAKE}
                 order by r.tenant_id, r.pool_id, r.class_id, r.vtag, r.job_id limit 1 for update skip locked;
                continue when not found;
            end if;
            c.pool_id := h.pool_id;
            c.class_id := h.class_id;
            c.low := h.low;
            c.vtag := got.vtag;
            c.job_id := got.job_id;
            c.tenant_id := got.tenant_id;
            c.project_id := got.project_id;
            c.person_id := got.person_id;
            c.busy := false;
            -- Whether something may hold the one picked job back: looked at once a claim, never in a scan.
            c.blocked := exists (
                    select from cap x where (x.tenant_id is null or x.tenant_id = c.tenant_id)
                       and (x.project_id is null or x.project_id = c.project_id)
                       and (x.person_id is null or x.person_id = c.person_id)
                       and (x.pool_id is null or x.pool_id = c.pool_id))
                or exists (select from paused_project q where q.tenant_id = c.tenant_id and q.project_id = c.project_id)
                or exists (select from job_group g where g.paused_at is not null
                              and g.id = (
                              select j.group_id from job j where j.id = c.job_id and j.tenant_id = c.tenant_id));
            if not c.blocked and p_among_others then
                -- Who holds one job's row must not wait for another's: two that do could wait for each other.
                perform from job j where j.id = c.job_id and j.tenant_id = c.tenant_id and j.state = 'ready'
                   and not j.cancel_requested for no key update skip locked;
                c.busy := not found;
            end if;
            if not c.blocked and not c.busy then
                c := lease_ready(c, got.spot, got.enqueued_at, h.visibility_s, h.max_run_time_s, p_worker, p_incarnation,
                                 p_token);
            end if;
            return next c;
            exit;
        end loop;
        close heads;
    end $$
    """,
    """
    create function claim_picked(
        p_pool uuid, p_class smallint, p_low bigint, p_vtag bigint, p_job uuid, p_worker uuid, p_incarnation uuid,
        p_token bytea) returns setof claimed_job
    language plpgsql as $$
    declare
        c claimed_job;
        got record;
    begin
        select r.ctid as spot, r.enqueued_at, r.tenant_id, r.project_id, r.person_id, k.visibility_s, q.max_run_time_s
          into got from ready r join job_class k on k.id = r.class_id join pool q on q.id = r.pool_id
         where r.pool_id = p_pool and r.class_id = p_class
           and (r.vtag, r.job_id) >= (p_vtag, p_job) and (r.vtag, r.job_id) <= (p_vtag, p_job) for update of r;
        if not found then
            return;
        end if;
        c.pool_id := p_pool;
        c.class_id := p_class;
        c.low := p_low;
        c.vtag := p_vtag;
        c.job_id := p_job;
        c.tenant_id := got.tenant_id;
        c.project_id := got.project_id;
        c.person_id := got.person_id;
        c.blocked := false;
        c.busy := false;
        return next lease_ready(c, got.spot, got.enqueued_at, got.visibility_s, got.max_run_time_s, p_worker, p_incarnation,
                                p_token);
    end $$
    """,
    f"""
    create function end_lease(p_job uuid, p_fence bigint, p_token bytea, p_worker uuid, p_state text)
    returns table (
        id uuid, tenant_id uuid, project_id uuid, person_id uuid, pool_id uuid, class_id smallint, model_set text,
        followed boolean, brings boolean, over_ms float8, capped boolean)
    language plpgsql as $$
    #variable_conflict use_column
    declare
        e lease;
        cost bigint;
        at timestamptz;
    begin
        delete from lease l
         where l.job_id = p_job and l.fence = p_fence and l.token_hash = p_token and l.worker_id = p_worker returning l.* into e;
        if not found then
            return;
        end if;
        at := clock_timestamp();
        update job j set state = p_state, ended_at = at where j.id = p_job and j.tenant_id = e.tenant_id and j.state = 'leased'
        returning j.id, j.tenant_id, j.project_id, j.person_id, j.pool_id, j.class_id, j.model_set, j.followed,
                  j.follow_up is not null, j.cost_ms
             into id, tenant_id, project_id, person_id, pool_id, class_id, model_set, followed, brings, cost;
        if not found then
            raise exception 'job % was leased, and its state was another', p_job;
        end if;
        insert into result (job_id, fence, token_hash, outcome, worker_id) values (p_job, p_fence, p_token, p_state, p_worker);
        insert into run_figure (fence, job_id, tenant_id, project_id, person_id, pool_id, class_id, worker_id, model_set,
                                outcome, waited_ms, leased_at, ended_at)
        values (e.fence, e.job_id, e.tenant_id, e.project_id, e.person_id, e.pool_id, e.class_id, e.worker_id, model_set,
                p_state, e.waited_ms, e.leased_at, at);
        if p_state = 'succeeded' then
            delete from setback s where s.pool_id = e.pool_id and s.worker_id in (e.worker_id, '{NOBODY}');
        end if;
        over_ms := extract(epoch from at - e.leased_at)::float8 * 1000 - cost;
        -- Whether the end of this lease may make room under a cap.
        capped := exists (
            select from cap c where (c.tenant_id is null or c.tenant_id = e.tenant_id)
               and (c.project_id is null or c.project_id = e.project_id)
               and (c.person_id is null or c.person_id = e.person_id) and (c.pool_id is null or c.pool_id = e.pool_id));
        if not followed and not capped then
            update flow f set last_finish = greatest(0, f.last_finish + (over_ms / f.weight)::bigint)
             where f.pool_id = end_lease.pool_id and f.class_id = end_lease.class_id
               and f.tenant_id = end_lease.tenant_id and f.project_id = coalesce(end_lease.project_id, '{NOBODY}');
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
