"""How Postgres reads the queue's tables, as they are when it knows nothing of them, and when they are full.

The generic plan is looked at, since that is what a prepared statement ends with: whatever the statistics say, and they say
nothing of a table that was empty a moment ago, each lookup must go by the index that is meant.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from memoryd.dispatch import jobs, leases, pools, tending
from memoryd.dispatch.facts import LeaseKey, WorkerIdentity
from memoryd.dispatch.queries import capping, entering, holding, moving
from memoryd.foundation.database import Database, Session, TenantScope, raw_connection
from tests.dispatch.conftest import add_worker, ask

JOBS = 20_000
UUID_NAMES = {
    "worker_id",
    "incarnation",
    "pool_id",
    "tenant_id",
    "project_id",
    "person_id",
    "job_id",
    "cap_id",
    "group_id",
}
TYPES = {
    **dict.fromkeys(UUID_NAMES | {"first_id", "last_id", "waits_for", "cap_project_id", "cap_person_id"}, "uuid"),
    **dict.fromkeys(("pool_ids", "serves", "ids", "job_ids", "bigger_pools"), "uuid[]"),
    **dict.fromkeys(("vtag", "low", "limit", "fence", "cost_ms", "first_vtag", "last_vtag"), "bigint"),
    **dict.fromkeys(("olds", "vtags"), "bigint[]"),
    "loaded": "text[]",
    "token_hash": "bytea",
    "class_id": "smallint",
    "max_attempts": "smallint",
    "follow_up": "jsonb",
    "model_set": "text",
    "state": "text",
    "expires_in_s": "float8",
}


def plan(session: Session, statement: Any) -> list[str]:
    """The generic plan of a statement, line by line."""
    names: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    sql = re.sub(r"(?<![:\w]):(\w+)", numbered, str(statement.text))
    connection = raw_connection(session)
    connection.execute(f"prepare looked_at ({', '.join(TYPES[name] for name in names)}) as {sql}".encode())
    try:
        nulls = ", ".join(["null"] * len(names))
        rows = connection.execute(f"explain (costs off) execute looked_at ({nulls})".encode()).fetchall()
    finally:
        connection.execute("deallocate looked_at")
    return [str(row[0]) for row in rows]


def scans(lines: list[str], table: str) -> list[tuple[str, str]]:
    """How a table is read: each scan with its condition."""
    found = []
    for at, line in enumerate(lines):
        if re.search(rf" on {table}( |$)", line) and "Scan" in line:
            condition = next((more.strip() for more in lines[at + 1 : at + 3] if "Cond:" in more), "")
            found.append((line.strip().lstrip("-> "), condition))
    return found


@pytest.fixture(params=["never analysed", "nearly empty", "full"])
def farm_at(request: pytest.FixtureRequest, owner_url: str, served: Database, tenant: TenantScope) -> Iterator[Session]:
    """A session on a queue of which nothing is known, on one that was analysed nearly empty, and on a full one."""
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        many = JOBS if request.param == "full" else 5
        session.execute(
            text("""
            with made as (
                insert into job (id, tenant_id, pool_id, class_id, model_set, cost_ms, vtag, state, max_attempts,
                                 expires_at)
                select uuidv7(), :tenant_id, :pool_id, 1, 'm' || g % 20, 1000, g, 'ready', 2,
                       clock_timestamp() + interval '1 h' from generate_series(1, :many) g returning *)
            insert into ready (pool_id, class_id, vtag, job_id, model_set, tenant_id, cost_ms, expires_at)
            select pool_id, class_id, vtag, id, model_set, tenant_id, cost_ms, expires_at from made"""),
            {"tenant_id": tenant.id, "pool_id": pool.id, "many": many},
        )
    if request.param != "never analysed":
        with psycopg.connect(owner_url, autocommit=True) as owner:
            owner.execute("set search_path to farm")
            owner.execute("vacuum analyze ready, job, lease, pool, worker, job_class, mark")
    with served.farm_work() as session:
        yield session
        session.rollback()


class Reads:
    """How often tables and indexes were read since it was made, in this transaction: (times, rows)."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before = self._counted()

    def _counted(self) -> dict[str, tuple[int, int]]:
        rows = self._session.execute(
            text("""select c.relname, coalesce(pg_stat_get_xact_numscans(c.oid), 0) as times,
                           coalesce(pg_stat_get_xact_tuples_returned(c.oid), 0) as rows
                      from pg_class c where c.relnamespace = 'farm'::regnamespace and c.relkind in ('r', 'i')""")
        )
        return {row.relname: (row.times, row.rows) for row in rows}

    def since(self) -> dict[str, tuple[int, int]]:
        found = {name: (times, rows) for name, (times, rows) in self._counted().items()}
        return {
            name: (times - self._before[name][0], rows - self._before[name][1])
            for name, (times, rows) in found.items()
            if times != self._before[name][0]
        }


def reading_worker(session: Session, tenant: TenantScope, *, some: bool) -> WorkerIdentity:
    """A worker that serves the tenant alone, or everybody; its first call has been made: plans are made then."""
    worker = add_worker(session, tenant.id)
    if not some:
        session.execute(text("update worker set serves = '{}'"))
        worker = dataclasses.replace(worker, serves=())
    return worker


@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize("warm", [False, True])
def test_a_claim_reads_each_order_from_its_watermark_on(
    farm_at: Session, tenant: TenantScope, *, some: bool, warm: bool
) -> None:
    worker = reading_worker(farm_at, tenant, some=some)
    farm_at.execute(text("insert into mark (pool_id, class_id, low) select pool_id, 1, 2 from ready limit 1"))
    reads = Reads(farm_at)
    grant = leases.claim(farm_at, worker, loaded=("m4",) if warm else ())
    assert grant is not None
    assert grant.model_set == ("m4" if warm else "m2")
    read = reads.since()
    assert not read.keys() & {"ready", "job", "lease", "worker", "pool", "job_group", "run_figure"}, read
    orders = "ready_tenant_idx" if some else "ready_pkey"
    assert {name for name in read if name.startswith("ready")} == {orders} | (
        {"ready_model_set_idx"} if warm else set()
    )
    # One look at each class's head, and one at what is taken.
    assert read[orders][0] == 4 - warm, read
    assert read[orders][1] <= 4, read
    assert read.get("ready_model_set_idx", (0, 0))[1] <= 1, read
    # By whichever of the two indexes that name one row.
    assert read.get("job_pkey", (0, 0))[1] + read.get("job_tenant_id_id_idx", (0, 0))[1] <= 3, read


def test_an_end_is_found_by_its_key(farm_at: Session, tenant: TenantScope) -> None:
    worker = reading_worker(farm_at, tenant, some=False)
    grant = leases.claim(farm_at, worker, loaded=())
    assert grant is not None
    reads = Reads(farm_at)
    leases.complete(farm_at, worker, LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token))
    read = reads.since()
    assert not read.keys() & {"ready", "job", "lease", "result", "run_figure", "flow"}, read
    assert read["lease_pkey"][1] <= 1, read
    # By whichever of the two indexes that name one row.
    assert read.get("job_pkey", (0, 0))[1] + read.get("job_tenant_id_id_idx", (0, 0))[1] <= 3, read


def test_a_job_that_was_held_back_is_taken_by_its_whole_key(farm_at: Session, tenant: TenantScope) -> None:
    worker = reading_worker(farm_at, tenant, some=False)
    farm_at.execute(text("insert into cap (id, tenant_id, max_running) values (:id, :id, 5)"), {"id": tenant.id})
    assert leases.claim(farm_at, worker, loaded=()) is not None
    reads = Reads(farm_at)
    assert leases.claim(farm_at, worker, loaded=()) is not None
    read = reads.since()
    assert "ready" not in read, read
    assert read["ready_pkey"][1] <= 8, read


@pytest.mark.parametrize(
    "statement",
    [capping._DELETE_READY_OF_CAP, holding._DELETE_READY_OF_PAUSE, moving._REPLACE],
    ids=["cap", "pause", "move"],
)
def test_a_waiting_job_is_looked_up_by_its_whole_key(farm_at: Session, statement: Any) -> None:
    read = [one for one in scans(plan(farm_at, statement), "ready") if "Tid Scan" not in one[0]]
    assert read
    for line, condition in read:
        if "ready_tenant_idx" in line:
            assert "class_id, vtag) >= ROW(" in condition
        else:
            assert "ready_pkey" in line, (line, condition)
            assert "ROW(vtag, job_id) >= ROW(" in condition, (line, condition)


def test_an_enqueue_looks_at_the_first_that_waits_and_no_further(farm_at: Session) -> None:
    for line, condition in scans(plan(farm_at, entering._INSERT_JOB), "ready"):
        assert "ready_pkey" in line, line
        assert "vtag >= " in condition


def test_dead_rows_before_the_watermark_cost_a_claim_nothing(served: Database, tenant: TenantScope) -> None:
    """While somebody holds a snapshot, nothing is vacuumed: a claim must not walk over what was claimed before it."""
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        session.execute(text("update worker set serves = '{}'"))
    with served.engine.connect() as holder:
        holder.execute(text("begin isolation level repeatable read; select 1"))
        with served.farm_work() as session:
            for _ in range(3):
                jobs.enqueue_many(session, [ask(tenant.id, pool) for _ in range(1000)])
            first = pages_of_a_claim(session, worker)
            session.execute(text("delete from ready where vtag < (select max(vtag) - 100000 from ready)"))
        tending.tend_once(served)
        with served.farm_work() as session:
            after = pages_of_a_claim(session, worker)
        holder.rollback()
    assert after <= first + 20, (first, after)


def pages_of_a_claim(session: Session, worker: WorkerIdentity) -> int:
    """How many pages of the waiting jobs' table and indexes one claim reads."""
    count = """select sum(pg_stat_get_xact_blocks_fetched(c.oid)) from pg_class c
                where c.relname in ('ready', 'ready_pkey', 'ready_model_set_idx', 'ready_tenant_idx')
                  and c.relnamespace = 'farm'::regnamespace"""
    before = session.execute(text(count)).scalar_one()
    assert leases.claim(session, worker, loaded=()) is not None
    return int(session.execute(text(count)).scalar_one() - before)
