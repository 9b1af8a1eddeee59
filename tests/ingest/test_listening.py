from __future__ import annotations

import errno
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.events import FileCreatedEvent

from memoryd.catalog import roots as catalog_roots
from memoryd.catalog.facts import AssetKind, AssetRecord, MadeSource, Succession, SuccessionRecord
from memoryd.catalog.recording import record_assets
from memoryd.foundation.database import Database, TenantScope
from memoryd.ingest import hearing, listening, roots, settling, watched_root, watching
from memoryd.ingest.watching import Watcher
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture, png

PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "STABLE_FOR_S", 0.15)
    monkeypatch.setattr(watching, "POLL_EVERY_S", 0.1)
    monkeypatch.setattr(watching, "ROOTS_EVERY_S", 0.1)
    monkeypatch.setattr(watching, "FOLDER_SETTLES_S", 0.1)
    monkeypatch.setattr(listening, "TRIAL_S", 0.2)


Start = Callable[[], Watcher]


@pytest.fixture
def start(database: Database, tenant: TenantScope, store: BlobStore) -> Iterator[Start]:
    """Run a watcher in the background."""
    running: list[tuple[Watcher, threading.Thread]] = []

    def begin() -> Watcher:
        watcher = Watcher(database, tenant, store)
        thread = threading.Thread(target=watcher.run)
        running.append((watcher, thread))
        thread.start()
        return watcher

    yield begin
    for watcher, thread in running:
        watcher.stop_soon()
        thread.join()


@pytest.fixture
def watch(database: Database, tenant: TenantScope) -> Callable[[Path], None]:
    """Add a root."""

    def add(folder: Path) -> None:
        with database.tenant_work(tenant) as session:
            roots.ensure_root(session, host=roots.this_host(), path=folder, project_id=None)

    return add


def _until(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ask():
        assert time.monotonic() < deadline, "not noticed"
        time.sleep(0.03)


def _how(rows: Rows) -> tuple[str | None, str | None]:
    (row,) = rows("select watching, watching_why from watch_root")
    return row.watching, row.watching_why


def _count(rows: Rows) -> int:
    return int(rows("select count(*) from location where state = 'recorded'")[0][0])


def test_a_folder_with_events_says_so(start: Start, watch: Callable[[Path], None], folder: Path, rows: Rows) -> None:
    watch(folder)
    start()
    _until(lambda: _how(rows) == ("events", None))
    (folder / "a.png").write_bytes(picture())
    _until(lambda: _count(rows) == 1)
    assert not (folder / listening.TRIAL_NAME.decode()).exists()


def test_a_folder_whose_trial_gives_no_event_is_looked_through(
    start: Start, watch: Callable[[Path], None], folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing.Ear, "on_any_event", lambda self, event: None)
    watch(folder)
    start()
    _until(lambda: _how(rows) == ("polling", listening.NO_EVENTS))
    (folder / "a.png").write_bytes(picture())
    _until(lambda: _count(rows) == 1)


def test_a_network_share_is_looked_through(
    start: Start, watch: Callable[[Path], None], folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "is_remote", lambda path: True)
    watch(folder)
    start()
    _until(lambda: _how(rows) == ("polling", listening.NETWORK))
    (folder / "a.png").write_bytes(picture())
    _until(lambda: _count(rows) == 1)


def test_the_limit_of_watches_is_told_with_the_sysctl_and_nothing_is_missed(
    start: Start, watch: Callable[[Path], None], folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "watch_limit_met", lambda folder: True)
    watch(folder)
    start()
    _until(lambda: _how(rows)[0] == "polling")
    why = _how(rows)[1]
    assert why is not None
    assert "sudo sysctl fs.inotify.max_user_watches=" in why
    (folder / "a.png").write_bytes(picture())
    _until(lambda: _count(rows) == 1)


def test_what_refuses_to_be_listened_to_is_told_in_words() -> None:
    assert "max_user_watches" in listening.why_not(OSError(errno.ENOSPC, "x"))
    assert "max_user_instances" in listening.why_not(OSError(errno.EMFILE, "x"))
    assert "Permission" in listening.why_not(OSError(errno.EACCES, "Permission denied"))


def test_here_one_more_watch_is_possible(folder: Path) -> None:
    assert not listening.watch_limit_met(folder)
    assert listening.write_trial(folder)
    assert hearing.is_trial(FileCreatedEvent(str(folder / listening.TRIAL_NAME.decode())))


def test_lost_events_are_answered_by_a_look(
    start: Start, watch: Callable[[Path], None], folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(folder)
    watcher = start()
    _until(lambda: _how(rows) == ("events", None))
    monkeypatch.setattr(hearing.Ear, "on_any_event", lambda self, event: None)
    (folder / "a.png").write_bytes(picture())
    watcher._overflowed.set()
    _until(lambda: _count(rows) == 1)


def test_a_folder_that_is_moved_in_is_read_and_one_that_is_moved_out_is_missing(
    start: Start, watch: Callable[[Path], None], folder: Path, rows: Rows, tmp_path: Path
) -> None:
    watch(folder)
    start()
    _until(lambda: _how(rows) == ("events", None))
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    for seed in (1, 2):
        (elsewhere / "deep" / f"{seed}.png").write_bytes(picture(seed))
    elsewhere.rename(folder / "in")
    _until(lambda: _count(rows) == 2)
    (folder / "in" / "deep").rename(tmp_path / "out")
    _until(lambda: {row.state for row in rows("select state from location")} == {"missing"})


def test_names_of_unfinished_files_are_passed_by_until_they_are_renamed(
    start: Start, watch: Callable[[Path], None], folder: Path, rows: Rows
) -> None:
    watch(folder)
    start()
    _until(lambda: _how(rows) == ("events", None))
    for number, name in enumerate(("a.png.tmp", "b.png.part", "~c.png", ".d.png", "e.png~", "f.png.crdownload")):
        (folder / name).write_bytes(picture(number))
    (folder / "g.png").write_bytes(picture(50))
    _until(lambda: _count(rows) == 1)
    (folder / "a.png.tmp").rename(folder / "a.png")
    (folder / "b.png.part").rename(folder / "b.png")
    _until(lambda: _count(rows) == 3)
    assert {row.shown_path for row in rows("select shown_path from location")} == {"a.png", "b.png", "g.png"}
    assert rows("select count(*) from quarantine")[0][0] == 0


def test_fifty_roots_are_watched_at_once(
    start: Start, watch: Callable[[Path], None], folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "TRIAL_S", 10.0)
    places = [folder / f"root-{number}" for number in range(50)]
    for place in places:
        place.mkdir()
        watch(place)
    start()
    _until(lambda: rows("select count(*) from watch_root where watching = 'events'")[0][0] == 50)
    for number, place in enumerate(places):
        (place / "a.png").write_bytes(picture(number))
    _until(lambda: _count(rows) == 50)


def test_a_copy_that_the_server_made_is_no_new_original(
    start: Start,
    watch: Callable[[Path], None],
    folder: Path,
    rows: Rows,
    database: Database,
    tenant: TenantScope,
    store: BlobStore,
) -> None:
    watch(folder)
    start()
    (folder / "a.png").write_bytes(picture())
    _until(lambda: _count(rows) == 1)
    (original,) = rows("select sha256, root_id from asset")
    copy = png({"Software": "disclosed"}, colour=1)
    stored = store.put_bytes(tenant.slug, copy)
    with database.tenant_work(tenant) as session:
        disclosed = AssetRecord(
            sha256=stored.sha256,
            size=stored.size,
            kind=AssetKind.IMAGE,
            media_type="image/png",
            made_at=rows("select made_at from asset")[0].made_at,
            made_source=MadeSource.FILE_TIME,
            succeeds=SuccessionRecord(of=original.sha256, succession=Succession.DISCLOSED),
        )
        record_assets(session, [disclosed])
    (folder / "a-disclosed.png").write_bytes(copy)
    shutil.copy(folder / "a-disclosed.png", folder / ".a.tmp")
    (folder / ".a.tmp").replace(folder / "a.png")
    _until(lambda: len({row.asset_id for row in rows("select asset_id from location")}) == 1 and _count(rows) == 2)
    assert rows("select count(*) from asset")[0][0] == 2
    assert {row.root_id for row in rows("select root_id from asset")} == {original.root_id}
    assert sorted(row.succession or "" for row in rows("select succession from asset")) == ["", "disclosed"]


def test_the_folder_of_the_memory_itself_is_not_watched(tmp_path: Path) -> None:
    home = tmp_path / "studio" / "memory"
    (home / "blobs").mkdir(parents=True)
    (home / "outputs").mkdir()
    for folder in (home, home / "blobs", tmp_path / "studio"):
        with pytest.raises(roots.RootsOverlap):
            roots.keep_apart(folder, home)
    roots.keep_apart(home / "outputs", home)
    roots.keep_apart(tmp_path / "other", home)
    roots.keep_apart(tmp_path, tmp_path / ".memoryd")


def test_a_new_file_is_read_before_the_backlog_that_came_earlier(
    database: Database, tenant: TenantScope, folder: Path, watch: Callable[[Path], None]
) -> None:
    watch(folder)
    with database.tenant_work(tenant) as session:
        (root,) = catalog_roots.list_roots(session)
    watched = watched_root.WatchedRoot(root=root, remote=False)
    for number in range(20):
        (folder / f"{number}.png").write_bytes(picture(number))
        watched.nominate(f"{number}.png".encode(), settling.Happening.WRITTEN, 0.0)
    watched.settled(0.0, 100)
    watched.nominate(b"3.png", settling.Happening.WRITTEN, 1.0)
    found, more = watched.settled(100.0, 5)
    assert found[0] == b"3.png"
    assert (len(found), more) == (5, True)
