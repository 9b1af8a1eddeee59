"""How fast files become searchable: folders taken in by the backlog's own pipeline, on an embedded Postgres of its own.

    python benchmarks/ingest.py [--quick] [--json FILE]

The files are real PNGs, none equal to another: 40 workflows of 8 to 60 nodes (median 20), each file with its own seeds and
prompt, and the editor's document beside the prompt; once more with a workflow of its own for every file. Measured in the
same run: the floor, on the same files and with as many processes: reading, SHA-256, JSON parsing, and COPY of the very
same rows into the same tables with the same indexes. Memory is that of all our processes together, without Postgres, at
its highest. Shares of the stages are processor time of the reading processes, and the transactions' time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from pictures import LARGE_PIXELS, SMALL_PIXELS, make_folder  # type: ignore[import-not-found]  # beside this script
from sqlalchemy import text

from memoryd.access.directory import add_tenant, find_tenant
from memoryd.foundation.database import Database, Session, TenantScope, raw_connection
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.ids import new_id
from memoryd.foundation.migrations import ensure_farm_role, upgrade_schema
from memoryd.ingest.backlog import Progress, Wish, ingest_paths, plan
from memoryd.ingest.facts import Folder
from memoryd.ingest.lanes import Lanes
from memoryd.storage.blob_store import BlobStore

SMALL_RATE = 1_500.0
LARGE_RATE = 1_200.0
SHARE_OF_FLOOR = 50.0
MEMORY_MB = 600.0
RESCAN_S = 3.0
FLOOR_BATCH = 500
FLOOR_PROCESSES = 2

COPIED = (
    *("document", "graph", "graph_identity", "workflow", "node_value", "asset", "location", "generation"),
    *("generation_output", "generation_sampler", "generation_prompt", "generation_model", "generation_input"),
    *("asset_project", "asset_text", "extraction"),
)
"""The tables whose rows the floor copies, each after those it refers to."""

Figure = dict[str, Any]


class Spent:
    """The seconds of a block: by the clock, and of the processor (this process, its children, and Postgres)."""

    def __init__(self, postmaster: int) -> None:
        """Nothing was measured yet."""
        self.clock = self.processor = 0.0
        self._roots = (os.getpid(), postmaster)

    def __enter__(self) -> Spent:
        """Begin."""
        self.clock, self.processor = -time.perf_counter(), -self._so_far()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.clock, self.processor = self.clock + time.perf_counter(), self.processor + self._so_far()

    def _so_far(self) -> float:
        ticks = 0
        for process in Path("/proc").iterdir():
            if not process.name.isdigit():
                continue
            try:
                told = (process / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it ended meanwhile
            if int(process.name) in self._roots:
                ticks += sum(map(int, told[11:15]))
            elif int(told[1]) in self._roots:
                ticks += sum(map(int, told[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


class Held(NamedTuple):
    """What a folder is measured with; `other` is the tenant that the floor copies into."""

    database: Database
    scope: TenantScope
    other: TenantScope
    store: BlobStore
    owners: dict[bytes, bytes]
    postmaster: int


def read_and_parse(paths: Sequence[str]) -> int:
    """Do what no reader can do without: read, hash, find the texts, parse them. Return the bytes."""
    size = 0
    for path in paths:
        with open(path, "rb") as file:  # noqa: PTH123 - the floor is bare
            content = file.read()
        hashlib.sha256(content).digest()
        place = 8
        while content[place + 4 : place + 8] != b"IDAT":
            length = int.from_bytes(content[place : place + 4], "big")
            if content[place + 4 : place + 8] == b"tEXt":
                orjson.loads(content[content.index(b"\0", place + 8) + 1 : place + 8 + length])
            place += length + 12
        size += len(content)
    return size


def copied_rows(session: Session, table: str) -> tuple[list[str], list[bytes]]:
    """Return a table's columns and rows as COPY gives them."""
    columns = session.scalars(
        text(
            "select column_name from information_schema.columns where table_schema = current_schema()"
            " and table_name = :table and is_identity = 'NO' order by ordinal_position"
        ),
        {"table": table},
    )
    names = list(columns)
    with (
        raw_connection(session).cursor() as cursor,
        cursor.copy(f"copy (select {', '.join(names)} from {table}) to stdout") as copy,
    ):
        return names, [bytes(row) for row in copy]


def floor(held: Held, folder: Path) -> Spent:
    """Return what it takes to do no more than reading and parsing all files in FLOOR_PROCESSES while their rows are copied."""
    paths = [str(path) for path in sorted(folder.rglob("*.png"))]
    batches = [paths[at : at + 24] for at in range(0, len(paths), 24)]
    with held.database.tenant_work(held.scope) as session:
        tables = [(table, *copied_rows(session, table)) for table in COPIED]
    tables = [(table, names, [owned(held, row) for row in rows]) for table, names, rows in tables]
    count = max(len(paths) // FLOOR_BATCH, 1)
    # Table after table, so that no row comes before what it refers to; as many transactions as batches.
    pieces = [
        (table, names, rows[number * len(rows) // count : (number + 1) * len(rows) // count])
        for table, names, rows in tables
        for number in range(count)
    ]
    with multiprocessing.get_context("spawn").Pool(FLOOR_PROCESSES) as pool:
        pool.map(read_and_parse, [[]] * FLOOR_PROCESSES)
        with Spent(held.postmaster) as spent:
            reading = pool.map_async(read_and_parse, batches, chunksize=1)
            for at in range(0, len(pieces), len(tables)):
                with held.database.tenant_work(held.other) as session:
                    for table, names, rows in pieces[at : at + len(tables)]:
                        copy_in(session, table, names, rows)
            reading.get()
    return spent


def postmaster(cluster: Cluster) -> int:
    """Return the number of the database's first process."""
    return int((cluster.data / "postmaster.pid").read_text().splitlines()[0])


def owned(held: Held, row: bytes) -> bytes:
    """Return a row with the project and person of the tenant that the floor copies into."""
    for mine, theirs in held.owners.items():
        row = row.replace(mine, theirs)
    return row


def owners(database: Database, scope: TenantScope, other: TenantScope) -> dict[bytes, bytes]:
    """Return the ids of one tenant's projects and people, and those of the same names of another."""
    found = []
    for tenant in (scope, other):
        with database.tenant_work(tenant) as session:
            rows = session.execute(
                text("select slug, id::text from project union all select login, id::text from person")
            )
            found.append({name: id_.encode() for name, id_ in rows})
    return {found[0][name]: found[1][name] for name in found[0].keys() & found[1].keys()}


def copy_in(session: Session, table: str, names: Sequence[str], rows: Sequence[bytes]) -> None:
    """Append rows as COPY gave them."""
    with (
        raw_connection(session).cursor() as cursor,
        cursor.copy(f"copy {table} ({', '.join(names)}) from stdin") as copy,
    ):
        copy.write(b"".join(rows))


def memory_mb() -> float:
    """Return the resident memory of this process and its children, shared pages counted once a process."""
    pages, own = 0, os.getpid()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if int(process.name) == own or (parent == own and b"reading_process" in (process / "cmdline").read_bytes()):
                pages += int((process / "statm").read_text().split()[1])
        except OSError:
            continue  # it ended meanwhile
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Memory:
    """The highest memory while a block runs."""

    def __init__(self) -> None:
        """Nothing was measured yet."""
        self.highest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self.highest = max(self.highest, memory_mb())


def take_in(held: Held, lanes: Lanes, folder: Path) -> tuple[Spent, Progress]:
    """Return what it takes until every file of a folder is found by a search, and what became of them."""
    with Spent(held.postmaster) as spent:
        planned = plan(held.database, held.scope, held.store, Wish(paths=(folder,)))
        progress = ingest_paths(held.database, held.scope, held.store, planned, lanes=lanes)
    with held.database.tenant_work(held.scope) as session:
        found = session.scalar(text("select count(*) from asset_text where words <> ''"))
    if progress.new != planned.to_read or found != progress.new:
        raise SystemExit(f"only {progress.new} of {planned.to_read} were recorded, {found} are searchable")
    return spent, progress


def measure(cluster: Cluster, name: str, folder: Path, target: float | None, place: Path) -> Iterator[Figure]:
    """Take one folder in, on tenants of its own, and yield its figures beside the floor's."""
    slug = f"t{sum(map(ord, name))}"
    for one in (slug, f"{slug}-floor"):
        add_tenant(cluster.owner_url(), one, one)
    database = Database(cluster.server_url())
    try:
        with database.farm_work() as session:
            scopes = (find_tenant(session, slug), find_tenant(session, f"{slug}-floor"))
        held = Held(database, *scopes, BlobStore(place / "blobs"), owners(database, *scopes), postmaster(cluster))
        count = sum(1 for _ in folder.rglob("*.png"))
        # The reading processes start once for a whole server, not for each folder.
        with Lanes() as lanes:
            warmed = [path for path, _ in zip(folder.rglob("*.png"), range(64), strict=False)]
            lanes.prepare(Folder(path=folder), warmed)
            with Memory() as memory:
                spent, progress = take_in(held, lanes, folder)
        yield figure(f"{name}: to searchable", count / spent.clock, "files/s", target, at_least=True)
        lowest = floor(held, folder)
        yield figure(f"{name}: floor (read, SHA-256, JSON, COPY of the same rows)", count / lowest.clock, "files/s")
        yield figure(f"{name}: share of the floor", lowest.clock / spent.clock * 100, "%", SHARE_OF_FLOOR)
        yield figure(f"{name}: processor time of a file, Postgres included", spent.processor / count * 1000, "ms")
        yield figure(f"{name}: the same by two cores that nobody else uses", 2 * count / spent.processor, "files/s")
        yield figure(f"{name}: processor time of a file at the floor", lowest.processor / count * 1000, "ms")
        yield figure(f"{name}: share of the floor's processor time", lowest.processor / spent.processor * 100, "%")
        yield figure(f"{name}: memory of our processes", memory.highest, "MB", MEMORY_MB, at_least=False)
        whole = sum(progress.seconds.values())
        for stage, seconds in progress.seconds.items():
            yield figure(f"{name}: share of {stage}", seconds / whole * 100, "%")
    finally:
        database.close()


def rescan(cluster: Cluster, count: int, place: Path) -> Iterator[Figure]:
    """Yield the seconds of looking at a folder of which every file is known."""
    add_tenant(cluster.owner_url(), "rescan", "Rescan")
    folder = place / "unchanged"
    for n in range(count):
        (folder / f"{n // 1000:03}").mkdir(parents=True, exist_ok=True)
        (folder / f"{n // 1000:03}" / f"ComfyUI_{n:06}_.png").write_bytes(b"")
    database = Database(cluster.server_url())
    with database.farm_work() as session:
        scope = find_tenant(session, "rescan")
    with database.tenant_work(scope) as session:
        # The places as a taking-in leaves them; all of one asset, since only their faces are compared.
        session.execute(
            text(
                "insert into asset (id, sha256, size, kind, media_type, made_at, made_source, root_id)"
                " select i, '\\x00', 0, 'image', 'image/png', now(), 'file_time', i from (select gen_random_uuid() i)"
            )
        )
        asset = session.scalar(text("select id from asset"))
        with (
            raw_connection(session).cursor() as cursor,
            cursor.copy(
                "copy location (id, path, shown_path, size, mtime_ns, inode, device, asset_id, state) from stdin"
            ) as copy,
        ):
            for path in folder.rglob("*.png"):
                face = path.stat()
                named = (os.fsencode(path), str(path), face.st_size, face.st_mtime_ns, face.st_ino, face.st_dev)
                copy.write_row((new_id(), *named, asset, "recorded"))
    spent = []
    with Memory() as memory:
        for _ in range(3):
            began = time.perf_counter()
            planned = plan(database, scope, BlobStore(place / "blobs"), Wish(paths=(folder,)))
            spent.append(time.perf_counter() - began)
            if (planned.found, planned.to_read) != (count, 0):
                raise SystemExit(f"{planned.to_read} of {planned.found} unchanged files would be read")
    database.close()
    yield figure(f"rescan of {count:,} unchanged files", sorted(spent)[1], "s", RESCAN_S, at_least=False)
    yield figure(f"rescan of {count:,} unchanged files: memory", memory.highest, "MB", MEMORY_MB, at_least=False)


def figure(name: str, value: float, unit: str, target: float | None = None, *, at_least: bool = True) -> Figure:
    """Return one figure, and whether it holds where it has a target."""
    holds = None if target is None else (value >= target if at_least else value <= target)
    return {"name": name, "value": round(value, 2), "unit": unit, "target": target, "holds": holds}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    asked = parser.parse_args()
    part = 10 if asked.quick else 1
    kinds: list[tuple[str, int, int, float | None, bool]] = [
        (f"small x {10_000 // part:,}", 10_000 // part, SMALL_PIXELS, SMALL_RATE, False),
        # As many as make the filling and emptying of the pipeline, half a second each, a small part of the whole.
        (f"450 KB x {4_000 // part:,}", 4_000 // part, LARGE_PIXELS, LARGE_RATE, False),
        (f"small x {3_000 // part:,}, each its own workflow", 3_000 // part, SMALL_PIXELS, None, True),
    ]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="memoryd-bench-") as temporary:
        place = Path(temporary)
        cluster = Cluster(place / "home")
        cluster.ensure_running()
        try:
            ensure_farm_role(cluster.owner_url())
            upgrade_schema(cluster.owner_url(), line="farm", schema="farm", role="memoryd_farm")
            for number, (name, count, pixels, target, own) in enumerate(kinds):
                folder = make_folder(
                    place / f"pictures-{number}", count, pixels, (number + 1) * 1_000_000, own_structures=own
                )
                figures += told(measure(cluster, name, folder, target, place))
            figures += told(rescan(cluster, 100_000 // part, place))
        finally:
            cluster.destroy()
    if asked.json:
        machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        asked.json.write_text(
            json.dumps({"benchmark": "ingest", "machine": machine, "figures": figures}, indent=2) + "\n"
        )


def told(figures: Iterator[Figure]) -> Iterator[Figure]:
    """Print each figure as it comes."""
    for one in figures:
        verdict = (
            "" if one["holds"] is None else f"  target {one['target']:,.0f}: {'holds' if one['holds'] else 'missed'}"
        )
        print(f"{one['name']:66} {one['value']:12,.2f} {one['unit']:8}{verdict}", flush=True)
        yield one


if __name__ == "__main__":
    main()
