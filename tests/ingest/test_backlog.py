from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import text

from memoryd.catalog.facts import RootState
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import Unavailable
from memoryd.ingest import backlog, keeping, planning, roots
from memoryd.ingest.backlog import NothingThere, Progress, Wish, ingest_paths, plan
from memoryd.ingest.facts import Custody
from memoryd.ingest.keeping import Space
from memoryd.ingest.lanes import Lanes
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "STABLE_FOR_S", 0.0)


def _take_in(database: Database, tenant: TenantScope, store: BlobStore, *paths: Path, **more: object) -> Progress:
    planned = plan(database, tenant, store, Wish(paths=paths))
    return ingest_paths(database, tenant, store, planned, lanes=Lanes(0), **more)  # type: ignore[arg-type]


def _fill(folder: Path, count: int) -> None:
    (folder / "deep").mkdir(exist_ok=True)
    for seed in range(count):
        (folder / ("deep" if seed % 2 else ".") / f"{seed}.png").write_bytes(picture(seed))


def test_a_folder_is_taken_in_and_the_second_time_nothing_is_read(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path
) -> None:
    _fill(folder, 6)
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_bytes(picture(99))
    assert _take_in(database, tenant, store, folder).new == 6
    again = plan(database, tenant, store, Wish(paths=(folder,)))
    assert (again.found, again.known, again.to_read) == (6, 6, 0)


def test_a_stopped_one_goes_on_where_it_stopped(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "FIRST_BATCH", 2)
    monkeypatch.setattr(backlog, "BATCH_LIMIT", 2)
    _fill(folder, 9)
    done: list[int] = []
    first = _take_in(
        database, tenant, store, folder, on_progress=lambda p: done.append(p.done), stop=lambda: len(done) >= 1
    )
    assert first.stopped
    assert 0 < first.new < 9
    assert _take_in(database, tenant, store, folder).new == 9 - first.new


def test_a_file_still_being_written_is_in_quarantine_at_the_end_and_soon_tried_again(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, rows: Rows
) -> None:
    (folder / "half.png").write_bytes(picture()[:60])
    (folder / "whole.png").write_bytes(picture(2))
    progress = _take_in(database, tenant, store, folder)
    assert (progress.new, progress.quarantined) == (1, 1)
    (row,) = rows("select reason, next_try_at from quarantine")
    assert row.reason == "cut-off"
    assert row.next_try_at is not None


def test_the_space_that_keeping_takes_is_told_and_checked_beforehand(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(folder, 2)
    planned = plan(database, tenant, store, Wish(paths=(folder,), custody=Custody.KEEP))
    assert planned.space is not None
    assert planned.space.needed == planned.size == len(picture(0)) + len(picture(1))
    monkeypatch.setattr(planning, "space", lambda home, sizes: Space(needed=sum(sizes), free=0))
    full = plan(database, tenant, store, Wish(paths=(folder,), custody=Custody.KEEP))
    with pytest.raises(Unavailable):
        ingest_paths(database, tenant, store, full, lanes=Lanes(0))
    assert keeping.space(store.home, ()).free > 0


def test_a_folder_inside_a_root_is_recorded_below_the_root(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, rows: Rows
) -> None:
    _fill(folder, 4)
    with database.tenant_work(tenant) as session:
        root = roots.ensure_root(session, host=roots.this_host(), path=folder, project_id=None)
    assert _take_in(database, tenant, store, folder / "deep").new == 2
    assert {row.path for row in rows("select path from location")} == {b"deep/1.png", b"deep/3.png"}
    assert rows("select watch_root_id from location limit 1")[0][0] == root.id


def test_a_single_file_is_taken_in_whatever_its_name(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path
) -> None:
    (folder / "picture").write_bytes(picture())
    assert _take_in(database, tenant, store, folder / "picture").new == 1


def test_a_path_that_is_not_there_is_said_so(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path
) -> None:
    with pytest.raises(NothingThere):
        plan(database, tenant, store, Wish(paths=(folder / "nowhere",)))


def test_a_link_given_by_the_person_is_followed_and_one_inside_is_not(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, tmp_path: Path, rows: Rows
) -> None:
    _fill(folder, 2)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.png").write_bytes(picture(50))
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "given").symlink_to(folder)
    progress = _take_in(database, tenant, store, tmp_path / "given")
    assert (progress.new, progress.quarantined) == (2, 1)
    assert {row.reason for row in rows("select reason from quarantine")} == {"outside-folder"}


def test_names_that_are_no_text_are_taken_in(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, rows: Rows
) -> None:
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(picture())
    assert _take_in(database, tenant, store, folder).new == 1
    assert rows("select path from location")[0].path.endswith(b"caf\xe9.png")


def test_a_paused_root_can_be_named(database: Database, tenant: TenantScope, store: BlobStore, folder: Path) -> None:
    _fill(folder, 2)
    with database.tenant_work(tenant) as session:
        root = roots.ensure_root(session, host=roots.this_host(), path=folder, project_id=None)
        roots.go(session, root, RootState.PAUSED, "by a person's wish")
    assert _take_in(database, tenant, store, folder).new == 2
    with database.tenant_work(tenant) as session:
        assert session.scalar(text("select state from watch_root")) == "paused"


def test_very_large_files_are_found_by_name_until_they_are_hashed(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "small.png").write_bytes(picture(1))
    (folder / "large.png").write_bytes(picture(2) + b"\0" * 5_000)
    monkeypatch.setattr(backlog, "LARGE_FILE", 5_000)
    planned = plan(database, tenant, store, Wish(paths=(folder,)))
    progress = backlog.ingest_paths(database, tenant, store, planned, lanes=Lanes(0), stop=lambda: True)
    assert progress.stopped
    with database.tenant_work(tenant) as session:
        (arriving,) = session.execute(text("select shown_path, asset_id from location where state = 'arriving'"))
    assert arriving == (str(folder / "large.png"), None)
    again = plan(database, tenant, store, Wish(paths=(folder,)))
    assert again.to_read == 2
    assert ingest_paths(database, tenant, store, again, lanes=Lanes(0)).new == 2
    with database.tenant_work(tenant) as session:
        assert session.scalar(text("select count(*) from location where state = 'recorded'")) == 2


@pytest.mark.parametrize("slow", [False, True])
def test_what_is_newest_comes_first_where_looking_is_slow(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    for day in (2, 3, 1):
        path = folder / f"{day}.png"
        path.write_bytes(picture(day))
        os.utime(path, (day * 86_400, day * 86_400))
    monkeypatch.setattr(planning.roots, "is_remote", lambda _: slow)
    planned = plan(database, tenant, store, Wish(paths=(folder,)))
    days = [int(path.stem) for path in planned.portions[0].paths]
    assert days == ([3, 2, 1] if slow else [1, 2, 3])


def test_known_content_in_another_folder_is_read_whole_and_found_known(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path
) -> None:
    (folder / "a.png").write_bytes(picture(1))
    ingest_paths(database, tenant, store, plan(database, tenant, store, Wish(paths=(folder,))), lanes=Lanes(0))
    (folder / "copy.png").write_bytes(picture(1))
    (folder / "b.png").write_bytes(picture(2))
    progress = ingest_paths(
        database, tenant, store, plan(database, tenant, store, Wish(paths=(folder,))), lanes=Lanes(0)
    )
    assert (progress.new, progress.known, progress.done) == (1, 1, 2)
