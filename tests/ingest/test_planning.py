"""Folders of any size: their files are found in portions while the first are read, and the totals are told honestly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from memoryd.foundation.database import Database, TenantScope
from memoryd.ingest import backlog, planning, roots
from memoryd.ingest.backlog import Progress, Wish, ingest_paths, plan
from memoryd.ingest.facts import Custody, Seen
from memoryd.ingest.lanes import Lanes
from memoryd.ingest.planning import Plan
from memoryd.ingest.spooling import Spool
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture

FILES = 11


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "PORTION_FILES", 2)
    monkeypatch.setattr(backlog, "STABLE_FOR_S", 0.0)


@pytest.fixture
def filled(folder: Path) -> Path:
    for number in range(FILES):
        place = folder / f"{number % 3}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.png").write_bytes(picture(number))
        os.utime(place / f"{number}.png", (1_000_000 + number * 7 % FILES, 1_000_000 + number * 7 % FILES))
    return folder


def _names(planned: Plan) -> list[str]:
    return [path.name for portion in planned.handed_out() for path in portion.paths]


@pytest.fixture(params=[False, True], ids=["a folder", "a root"])
def wished(request: pytest.FixtureRequest, database: Database, tenant: TenantScope, filled: Path) -> Path:
    if request.param:
        with database.tenant_work(tenant) as session:
            roots.ensure_root(session, host=roots.this_host(), path=filled, project_id=None)
    return filled


def test_reading_begins_before_everything_is_found_and_nothing_is_left_out(
    database: Database, tenant: TenantScope, store: BlobStore, wished: Path, rows: Rows
) -> None:
    planned = plan(database, tenant, store, Wish(paths=(wished,)))
    complete_at_first = planned.complete
    assert 0 < planned.to_read < FILES
    seen: list[tuple[int, int]] = []

    def note(progress: Progress) -> None:
        assert progress.done <= progress.to_read <= FILES
        seen.append((progress.done, progress.to_read))

    progress = ingest_paths(database, tenant, store, planned, lanes=Lanes(0), on_progress=note)
    assert (complete_at_first, planned.complete) == (False, True)
    assert (progress.to_read, progress.done, progress.new) == (FILES, FILES, FILES)
    assert len(seen) > 1
    assert {row.state for row in rows("select state from location")} == {"recorded"}
    again = plan(database, tenant, store, Wish(paths=(wished,)))
    assert (again.found, again.to_read, again.complete) == (FILES, 0, True)
    assert _names(again) == []


def test_what_is_only_asked_is_counted_to_its_end_and_not_held(
    database: Database, tenant: TenantScope, store: BlobStore, wished: Path
) -> None:
    planned = plan(database, tenant, store, Wish(paths=(wished,), dry=True))
    assert planned.complete
    assert (planned.found, planned.to_read) == (FILES, FILES)
    assert planned.portions == []


def test_what_will_be_kept_is_measured_before_the_first_is_read(
    database: Database, tenant: TenantScope, store: BlobStore, wished: Path
) -> None:
    planned = plan(database, tenant, store, Wish(paths=(wished,), custody=Custody.KEEP))
    assert planned.complete
    assert planned.space is not None
    assert planned.space.needed == sum(path.stat().st_size for path in wished.rglob("*.png"))
    assert ingest_paths(database, tenant, store, planned, lanes=Lanes(0)).new == FILES


def test_of_a_slow_folder_the_newest_of_all_come_first(
    database: Database, tenant: TenantScope, store: BlobStore, wished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "is_remote", lambda _: True)
    planned = plan(database, tenant, store, Wish(paths=(wished,)))
    by_age = sorted(wished.rglob("*.png"), key=lambda path: path.stat().st_mtime, reverse=True)
    assert _names(planned) == [path.name for path in by_age]


def test_a_stopped_one_finds_no_more(
    database: Database, tenant: TenantScope, store: BlobStore, wished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(database, tenant, store, Wish(paths=(wished,)))
    progress = ingest_paths(database, tenant, store, planned, lanes=Lanes(0), stop=lambda: True)
    assert progress.stopped
    assert planned.stop.is_set()
    assert planned.found < FILES
    again = plan(database, tenant, store, Wish(paths=(wished,)))
    assert ingest_paths(database, tenant, store, again, lanes=Lanes(0)).new == FILES - progress.new


def test_of_a_root_seen_in_portions_the_moved_move_and_the_gone_are_missing(
    database: Database, tenant: TenantScope, store: BlobStore, filled: Path, rows: Rows
) -> None:
    with database.tenant_work(tenant) as session:
        roots.ensure_root(session, host=roots.this_host(), path=filled, project_id=None)
    ingest_paths(database, tenant, store, plan(database, tenant, store, Wish(paths=(filled,))), lanes=Lanes(0))
    before = {row.path: row.id for row in rows("select id, path from location")}
    (filled / "0" / "0.png").rename(filled / "2" / "moved.png")
    (filled / "1" / "1.png").unlink()
    (filled / "2" / "2.png").write_bytes(picture(99))
    for number in range(100, 105):
        (filled / "1" / f"{number}.png").write_bytes(picture(number))
    planned = plan(database, tenant, store, Wish(paths=(filled,)))
    assert ingest_paths(database, tenant, store, planned, lanes=Lanes(0)).new == 6
    with database.tenant_work(tenant) as session:
        now = {path: (id_, state) for id_, path, state in session.execute(text("select id, path, state from location"))}
    assert now[b"2/moved.png"] == (before[b"0/0.png"], "recorded")
    assert now[b"1/1.png"][1] == "missing"
    assert [path for path, (_, state) in now.items() if state == "missing"] == [b"1/1.png"]
    assert now[b"2/2.png"] == (before[b"2/2.png"], "recorded")


Parts = st.lists(st.dictionaries(st.binary(max_size=3), st.integers(0, 5), max_size=9), max_size=6)


@settings(max_examples=40)
@given(parts=Parts, newest_first=st.booleans())
def test_a_spool_gives_everything_in_the_order_of_time(parts: list[dict[bytes, int]], newest_first: bool) -> None:
    spool = Spool(newest_first=newest_first)
    told = []
    for number, part in enumerate(parts):
        named = {b"%d/%s" % (number, path): mtime for path, mtime in part.items()}
        spool.add({path: Seen(size=1, mtime_ns=mtime, inode=1, device=1) for path, mtime in named.items()})
        told += [(mtime, path) for path, mtime in named.items()]
    assert [(mtime, path) for mtime, path, _ in spool.all()] == sorted(told, reverse=newest_first)
