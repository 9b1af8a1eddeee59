"""Jobs by the hundred thousand, as if they had been submitted: written in bulk, tags as fair queuing gives them."""

from __future__ import annotations

import json
import zlib
from uuid import UUID

import psycopg

from memoryd.dispatch.queries.entering import order_name

TENANTS = 20
MODELS = 20
COST_MS = 4_000

_TENANTS = """
insert into farm.tenant (id, slug, name, schema, role, state)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'bench-' || n, 'bench', 'bench_' || n, 'bench_' || n,
       'active'
  from generate_series(1, %(tenants)s) n on conflict do nothing
"""

_JOBS = """
create temporary table made as
select uuidv7() as id, n, (array(select id from farm.tenant order by id))[1 + n %% %(tenants)s] as tenant_id,
       (select greatest(1, max(low)) from farm.mark where pool_id = %(pool)s and class_id = %(class)s)
       + (n / %(tenants)s)::bigint * %(cost)s as vtag,
       'model-' || floor(%(models)s * power(random(), 2.5))::int as model_set
  from generate_series(0, %(count)s - 1) n;
insert into farm.job (id, tenant_id, pool_id, class_id, model_set, cost_ms, vtag, state, max_attempts, expires_at)
select id, tenant_id, %(pool)s, %(class)s, model_set, %(cost)s, vtag, 'ready', 2, now() + interval '72 h' from made;
insert into farm.ready (pool_id, class_id, vtag, job_id, model_set, tenant_id, cost_ms, expires_at)
select %(pool)s, %(class)s, vtag, id, model_set, tenant_id, %(cost)s, now() + interval '72 h' from made order by vtag, id
"""

_ORDER = "select pg_advisory_xact_lock_shared(hashtextextended(%(name)s, 0))"
"""Whoever lets jobs in holds off the watermark until commit; a tag below it is never claimed. Tag 0 is no tag."""

_FLOWS = """
insert into farm.flow (pool_id, class_id, tenant_id, last_finish)
select %(pool)s, %(class)s, tenant_id, max(vtag) + %(cost)s from made group by tenant_id on conflict do nothing
"""

_DETAILS = """
insert into {schema}.job_detail (job_id, kind, name, pool, urgency, prompt, extra_data, recompute, inputs, pins, via)
select id, 'run', 'bench', 'default', 'standard', %(prompt)s, %(extra)s, false, '[]', '[]', 'bench' from made
"""


def fill(
    superuser_url: str,
    *,
    count: int,
    pool_id: UUID,
    tenants: int = TENANTS,
    class_id: int = 1,
    schema: str | None = None,
    prompt: object = None,
) -> None:
    """Let `count` jobs wait in a pool, of so many tenants and of MODELS models, the first of them the most popular.

    `schema` of the only tenant: its jobs get what they ask for as well, so that they can be claimed over HTTP.
    """
    values = {"count": count, "pool": pool_id, "class": class_id, "cost": COST_MS, "models": MODELS}
    with psycopg.connect(superuser_url) as connection:
        connection.execute("set synchronous_commit = off")
        if schema is None:
            connection.execute(_TENANTS, {"tenants": tenants})
        found = connection.execute("select count(*) from farm.tenant").fetchone()
        assert found is not None
        values["tenants"] = min(tenants, found[0])
        connection.execute(_ORDER, {"name": order_name(pool_id, class_id)})
        for statement in _JOBS.split(";"):
            connection.execute(psycopg.ClientCursor(connection).mogrify(statement, values))
        connection.execute(_FLOWS, values)
        if schema is not None:
            texts = {name: zlib.compress(json.dumps(value).encode()) for name, value in _texts(prompt).items()}
            connection.execute(_DETAILS.format(schema=schema), texts)
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("vacuum analyze farm.job, farm.ready, farm.flow, farm.lease, farm.mark")
        connection.execute("checkpoint")


def _texts(prompt: object) -> dict[str, object]:
    return {"prompt": prompt, "extra": {}}
