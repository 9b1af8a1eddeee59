"""What a recall costs where a model touched a million assets: counts, the list, the marks.

    python benchmarks/recall.py [--quick] [--json FILE]

A year's work is written by COPY (recall_measures/memory.py): one model took part in making all of it, one in a tenth, one in
a thousandth. What writing it notes is folded first, as the server does in the background, and that is a figure too. Counts
are those of `memoryd models blast-radius`: generations, assets, lines, derived lines, disclosed copies, deliveries with
their clients, projects, people, runs that name the model without a hash; `first` is by a connection that has asked nothing
before. Marking is what the chore does. That search documents are not rewritten is proven by every row's ctid and xmin.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from queue_measures.figures import Figure, median, watched
from queue_measures.places import Place
from queue_measures.processor import spent
from recall_measures.memory import MODELS, write_memory
from sqlalchemy import text

from memoryd.access.facts import Caller, Scope
from memoryd.clearance.recalls import deciding, keeping, marking
from memoryd.clearance.recalls.facts import RecallKind
from memoryd.clearance.recalls.radius import blast_radius
from memoryd.clearance.recalls.spelling import as_json_lines
from memoryd.clearance.recalls.touched import stream_touched
from memoryd.foundation.database import Database, TenantScope

COUNTS_TARGET_MS = 1_000.0
TIMES = 5
DOCUMENTS = "select md5(string_agg(ctid::text || xmin::text, ',' order by asset_id)), count(*) from asset_text"


def fold(database: Database, scope: TenantScope, assets: int) -> list[Figure]:
    """Fold what writing noted; return how fast that was."""
    started = time.monotonic()
    keeping.tend(database, scope)
    took = time.monotonic() - started
    return [Figure(name="kept: touches folded, assets per second", value=assets / took, unit="/s")]


def count(place: Place, database: Database, scope: TenantScope) -> list[Figure]:
    """Return how long counting takes, the first time on a new connection and then, and what it costs Postgres' processors."""
    figures = []
    for word, sha256 in MODELS.items():
        took: list[float] = []
        touched = 0
        database.engine.dispose()
        with spent(place) as cost:
            for _ in range(TIMES + 1):
                started = time.monotonic()
                with database.tenant_work(scope) as session:
                    radius = blast_radius(session, sha256, None)
                took.append((time.monotonic() - started) * 1000)
                assert radius.behind == 0
                touched = radius.assets
        named = f"counts, model in {word} ({touched:,} assets)"
        figures.append(Figure(name=f"{named}: first", value=took[0], unit="ms", target=COUNTS_TARGET_MS))
        figures.append(Figure(name=f"{named}: median", value=median(took[1:]), unit="ms", target=COUNTS_TARGET_MS))
        each = cost.postgres / len(took)
        figures.append(Figure(name=f"{named}: processor time of Postgres", value=each, unit="ms"))
    return figures


def stream(database: Database, scope: TenantScope, *, rows_limit: int) -> list[Figure]:
    """Return how the whole list of the model in all streams."""
    started = time.monotonic()
    first, rows = 0.0, 0
    before = most = _resident_mb()
    for piece in as_json_lines(stream_touched(database, scope, MODELS["all"], None)):
        first = first or (time.monotonic() - started) * 1000
        rows += piece.count("\n")
        most = max(most, _resident_mb())
        if rows >= rows_limit:
            break
    took = time.monotonic() - started
    return [
        Figure(name="list: first rows after", value=first, unit="ms"),
        Figure(name=f"list: rows per second, of {rows:,}", value=rows / took, unit="/s"),
        Figure(name="list: memory that the process grew by", value=most - before, unit="MB"),
    ]


def _resident_mb() -> float:
    """Memory of this process now, not its greatest so far: writing the year's work took more."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def mark(database: Database, scope: TenantScope, watch: psycopg.Connection[Any], limit_s: float) -> list[Figure]:
    """Return how fast lines are marked, and whether a search document was touched by it."""
    caller = Caller(
        tenant=scope,
        name="bench",
        scopes=frozenset(Scope),
        everywhere=frozenset(Scope),
        sees=None,
        via="local",
    )
    before = watch.execute(DOCUMENTS).fetchone()
    started = time.monotonic()
    with database.tenant_work(scope) as session:
        recall_id = deciding.recall(session, caller, MODELS["all"], RecallKind.MALICIOUS, "measured")
    decided = (time.monotonic() - started) * 1000
    started = time.monotonic()
    while marking.mark_some(database, scope, recall_id) and time.monotonic() - started < limit_s:
        pass
    took = time.monotonic() - started
    with database.tenant_work(scope) as session:
        view = deciding.find_recall(session, caller, recall_id)
        marked = session.scalar(text("select count(*) from asset_mark where 'recalled' = any(flags)"))
    assert view.lines_marked == marked, (view.lines_marked, marked)
    after = watch.execute(DOCUMENTS).fetchone()
    return [
        Figure(name="recall: decided, blocked at submission from then on", value=decided, unit="ms"),
        Figure(name=f"marks: lines per second, of {marked:,}", value=(marked or 0) / took, unit="/s"),
        Figure(name="marks: search documents rewritten", value=float(before != after), unit="", target=0),
    ]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50,000 assets instead of 1,000,000")
    parser.add_argument("--assets", type=int, help="so many")
    parser.add_argument("--mark-s", type=float, default=120.0, help="seconds of marking at most")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    assets = asked.assets or (50_000 if asked.quick else 1_000_000)
    figures: list[Figure] = []
    place = Place()
    try:
        with psycopg.connect(place.cluster.owner_url()) as owner:
            owner.execute(f"set search_path to {place.scope.schema}, public")
            made = write_memory(owner, assets)
            print(f"{made.assets:,} assets, {made.copies:,} signed copies, {made.edges:,} edges of lineage", flush=True)
            database = Database(place.cluster.server_url())
            vacuum = partial(owner.execute, "vacuum (analyze) touch")
            steps: list[Callable[[], list[Figure]]] = [
                partial(fold, database, place.scope, assets),
                partial(count, place, database, place.scope),
                partial(stream, database, place.scope, rows_limit=200_000),
                partial(mark, database, place.scope, owner, asked.mark_s),
            ]
            for step in steps:
                with watched() as machine:
                    some = step()
                for figure in some:
                    print(figure.line(), flush=True)
                print(machine.line(), flush=True)
                figures += some
                vacuum()  # what autovacuum does within a minute
            database.close()
    finally:
        place.close()
    if asked.json:
        told = [{"name": one.name, "value": one.value, "unit": one.unit, "target": one.target} for one in figures]
        about = {"cores": os.cpu_count(), "python": platform.python_version(), "assets": assets}
        asked.json.write_text(json.dumps({"machine": about, "figures": told}, indent=2) + "\n")


if __name__ == "__main__":
    main()
