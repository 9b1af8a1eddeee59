"""What must be true of the queue's tables at any moment, by SQL: invariants 1, 2 and 4, and that nothing is out of sight."""

from __future__ import annotations

from typing import Any

import psycopg

PLACES = {"ready": "ready", "leased": "lease", "delayed": "delayed", "held": "held", "dead": "dead"}

_CHECKS = {
    "jobs that do not lie in exactly the place of their state": "select count(*) from farm.job j where "
    + " or ".join(
        f"(select count(*) from farm.{table} x where x.job_id = j.id) <> (j.state = '{state}')::int"
        for state, table in PLACES.items()
    ),
    "rows of no job": "select "
    + " + ".join(
        f"(select count(*) from farm.{table} x where not exists (select from farm.job j where j.id = x.job_id))"
        for table in (*PLACES.values(), "result")
    ),
    "successes without a result, or results without an end": """select count(*) from farm.job j
       left join farm.result r on r.job_id = j.id
      where (j.state = 'succeeded') <> (r.outcome is not distinct from 'succeeded')""",
    "jobs tried more often than they may": "select count(*) from farm.job where attempt > max_attempts",
    "waiting jobs below their watermark": """select count(*) from farm.ready r
       join farm.mark m on m.pool_id = r.pool_id and m.class_id = r.class_id and r.vtag < m.low""",
    "keys whose job is not there": """select count(*) from farm.job_key k
      where not exists (select from farm.job j where j.id = k.job_id)""",
    "waiting rows that are not what their job is": """select count(*) from farm.ready r join farm.job j on j.id = r.job_id
      where (r.pool_id, r.class_id, r.vtag, r.tenant_id) is distinct from (j.pool_id, j.class_id, j.vtag, j.tenant_id)""",
}


def disorder_of(sql: psycopg.Connection[Any]) -> dict[str, int]:
    """Return how many there are of each that must not be."""
    counts = {}
    for sentence, statement in _CHECKS.items():
        row = sql.execute(statement).fetchone()  # type: ignore[call-overload]
        assert row is not None
        counts[sentence] = int(row[0])
    return counts


def disorder(url: str) -> list[str]:
    """Return a sentence for everything that is not as it must be, over a connection of its own."""
    with psycopg.connect(url, autocommit=True) as sql:
        return [f"{count} {sentence}" for sentence, count in disorder_of(sql).items() if count]
