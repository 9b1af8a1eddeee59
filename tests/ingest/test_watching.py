from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memoryd.foundation.database import Database, TenantScope
from memoryd.ingest import changes, roots, settling, watching
from memoryd.ingest.surveying import survey_in_portions
from memoryd.ingest.watching import Watcher
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture, png

PATIENCE_S = 60.0
"""How long a test waits for what the watcher should notice; it is noticed long before."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "STABLE_FOR_S", 0.15)
    monkeypatch.setattr(settling, "LINGER_S", 0.02)
    monkeypatch.setattr(watching, "POLL_EVERY_S", 0.1)
    monkeypatch.setattr(watching, "ROOTS_EVERY_S", 0.1)
    monkeypatch.setattr(watching, "FOLDER_SETTLES_S", 0.1)


@pytest.fixture
def watcher(database: Database, tenant: TenantScope, store: BlobStore, folder: Path) -> Iterator[Watcher]:
    """A watcher at work over the folder."""
    with database.tenant_work(tenant) as session:
        roots.ensure_root(session, host=roots.this_host(), path=folder, project_id=None)
    watcher = Watcher(database, tenant, store)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    yield watcher
    watcher.stop_soon()
    thread.join()


def _until(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ask():
        assert time.monotonic() < deadline, "not noticed"
        time.sleep(0.05)


@pytest.fixture
def places(rows: Rows) -> Callable[[], dict[bytes, str]]:
    """The places as recorded: path to state."""
    return lambda: {row.path: row.state for row in rows("select path, state from location")}


Places = Callable[[], dict[bytes, str]]


@pytest.mark.usefixtures("watcher")
def test_a_file_is_recorded_soon_after_it_was_closed(folder: Path, places: Places) -> None:
    (folder / "a.png").write_bytes(picture())
    _until(lambda: places() == {b"a.png": "recorded"})


@pytest.mark.usefixtures("watcher")
def test_a_file_in_a_new_folder_is_recorded(folder: Path, places: Places) -> None:
    (folder / "2026" / "11").mkdir(parents=True)
    (folder / "2026" / "11" / "a.png").write_bytes(picture())
    _until(lambda: places() == {b"2026/11/a.png": "recorded"})


@pytest.mark.usefixtures("watcher")
def test_a_half_written_file_waits_until_it_is_whole(folder: Path, places: Places, rows: Rows) -> None:
    content = picture()
    with (folder / "a.png").open("wb") as file:
        file.write(content[:50])
        file.flush()
        time.sleep(0.2)
        assert places() == {}
        file.write(content[50:])
    _until(lambda: places() == {b"a.png": "recorded"})
    assert rows("select count(*) from quarantine")[0][0] == 0


@pytest.mark.usefixtures("watcher")
def test_a_rename_keeps_the_place_and_reads_nothing(folder: Path, places: Places, rows: Rows) -> None:
    (folder / "a.png").write_bytes(picture())
    _until(lambda: places() == {b"a.png": "recorded"})
    (before,) = rows("select id, asset_id from location")
    (folder / "deep").mkdir()
    (folder / "a.png").rename(folder / "deep" / "b.png")
    _until(lambda: places() == {b"deep/b.png": "recorded"})
    assert rows("select id, asset_id from location") == [before]


@pytest.mark.usefixtures("watcher")
def test_a_renamed_folder_takes_its_files_along(folder: Path, places: Places, rows: Rows) -> None:
    (folder / "old").mkdir()
    for seed in (1, 2):
        (folder / "old" / f"{seed}.png").write_bytes(picture(seed))
    _until(lambda: len(places()) == 2)
    before = {row.id for row in rows("select id from location")}
    (folder / "old").rename(folder / "new")
    _until(lambda: places() == {b"new/1.png": "recorded", b"new/2.png": "recorded"})
    assert {row.id for row in rows("select id from location")} == before


@pytest.mark.usefixtures("watcher")
def test_a_rewrite_with_an_older_time_stays_in_its_line(folder: Path, places: Places, rows: Rows) -> None:
    (folder / "a.png").write_bytes(picture(1))
    _until(lambda: places() == {b"a.png": "recorded"})
    rewritten = folder / ".a.png.tmp"
    rewritten.write_bytes(png({"Software": "an editor"}, colour=1))
    os.utime(rewritten, (1_000_000, 1_000_000))
    rewritten.replace(folder / "a.png")
    _until(lambda: rows("select count(*) from asset")[0][0] == 2)
    assert len({row.root_id for row in rows("select root_id from asset")}) == 1
    assert rows("select succession from asset where succession is not null")[0][0] == "rewritten"


@pytest.mark.usefixtures("watcher")
def test_a_copy_is_one_more_place_and_a_deletion_marks_only_its_own(folder: Path, places: Places, rows: Rows) -> None:
    (folder / "a.png").write_bytes(picture())
    _until(lambda: places() == {b"a.png": "recorded"})
    shutil.copy(folder / "a.png", folder / "b.png")
    _until(lambda: places() == {b"a.png": "recorded", b"b.png": "recorded"})
    (folder / "a.png").unlink()
    _until(lambda: places() == {b"a.png": "missing", b"b.png": "recorded"})
    assert rows("select count(*) from asset")[0][0] == 1


@pytest.mark.usefixtures("watcher")
def test_the_watcher_goes_on_after_bad_files(folder: Path, places: Places, rows: Rows, tmp_path: Path) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 60)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "out.png").symlink_to(tmp_path / "blobs")
    os.mkfifo(folder / "pipe.png")
    (folder / "a.png").write_bytes(picture())
    _until(lambda: places() == {b"a.png": "recorded"})
    _until(
        lambda: {"broken", "symlink-loop", "not-a-file"} <= {r.reason for r in rows("select reason from quarantine")}
    )
    (folder / "b.png").write_bytes(picture(2))
    _until(lambda: len(places()) == 2)


@pytest.mark.usefixtures("watcher")
def test_a_lost_marker_puts_the_root_offline_and_nothing_is_gone(folder: Path, places: Places, rows: Rows) -> None:
    (folder / "a.png").write_bytes(picture())
    _until(lambda: places() == {b"a.png": "recorded"})
    hidden = folder.rename(folder.parent / "unmounted")
    folder.mkdir()
    _until(lambda: rows("select state from watch_root")[0][0] == "offline")
    assert places() == {b"a.png": "recorded"}
    folder.rmdir()
    hidden.rename(folder)
    _until(lambda: rows("select state from watch_root")[0][0] == "online")
    assert places() == {b"a.png": "recorded"}
    (folder / "b.png").write_bytes(picture(2))
    _until(lambda: len(places()) == 2)


@pytest.mark.usefixtures("watcher")
def test_a_mass_vanishing_is_a_lost_folder(
    folder: Path, places: Places, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MASS_VANISHING_LEAST", 2)
    for seed in range(5):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    _until(lambda: len(places()) == 5)
    away = folder.parent / "away"
    away.mkdir()
    for seed in range(5):
        (folder / f"{seed}.png").rename(away / f"{seed}.png")
    _until(lambda: rows("select state from watch_root")[0][0] == "offline")
    assert set(places().values()) == {"recorded"}
    for seed in range(5):
        (away / f"{seed}.png").rename(folder / f"{seed}.png")
    _until(lambda: rows("select state from watch_root")[0][0] == "online")
    assert set(places().values()) == {"recorded"}


def test_what_came_while_nobody_watched_is_found_at_the_start(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, places: Places
) -> None:
    for seed in range(3):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    with database.tenant_work(tenant) as session:
        roots.ensure_root(session, host=roots.this_host(), path=folder, project_id=None)
    watcher = Watcher(database, tenant, store)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    _until(lambda: len(places()) == 3)
    watcher.stop_soon()
    thread.join()


def test_more_files_than_one_look_names_are_all_recorded_and_what_went_is_missing(
    database: Database,
    tenant: TenantScope,
    store: BlobStore,
    folder: Path,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "LOOK_FILES", 3)
    for seed in range(10):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    with database.tenant_work(tenant) as session:
        root = roots.ensure_root(session, host=roots.this_host(), path=folder, project_id=None)
    (before,) = survey_in_portions(database, tenant, root, limit=None)
    assert len(before.read) == 10
    watcher = Watcher(database, tenant, store)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    _until(lambda: len(places()) == 10)
    (folder / "4.png").unlink()
    _until(lambda: places()[b"4.png"] == "missing")
    watcher.stop_soon()
    thread.join()
    assert sorted(places().values()) == ["missing"] + ["recorded"] * 9
