from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from memoryd.access import keys, people
from memoryd.access.facts import Role, Scope
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import NotRecognised
from memoryd.foundation.ids import new_id
from memoryd.ingest import settling
from memoryd.outpost import delivery, lookout, spool
from memoryd.outpost.local_file import ReadFile, place_name, read_file, spelled
from memoryd.outpost.outpost import NoToken, Options, Outpost, TokenExposed, read_token
from memoryd.outpost.server_link import KeyRefused, Refused, ServerAway
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture, png

PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "STABLE_FOR_S", 0.15)
    monkeypatch.setattr(settling, "LINGER_S", 0.02)
    monkeypatch.setattr(lookout, "RESCAN_EVERY_S", 0.3)
    monkeypatch.setattr(lookout, "FOLDER_SETTLES_S", 0.1)
    monkeypatch.setattr(delivery, "WAIT_FIRST_S", 0.05)
    monkeypatch.setattr(delivery, "WAIT_MOST_S", 0.1)


class Server:
    """The API of one room on a real socket, that can go away and come back."""

    def __init__(self, app: FastAPI) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._app = app
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = uvicorn.Config(self._app, port=self.port, log_level="warning", lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        _until(lambda: self._server.started)

    def stop(self) -> None:
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._thread = None


@pytest.fixture
def server(app: FastAPI) -> Iterator[Server]:
    """A server that runs."""
    made = Server(app)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def token(database: Database, tenant: TenantScope) -> str:
    """The key of an artist."""
    with database.tenant_work(tenant) as session:
        person = people.ensure_person(session, "bea", "Bea")
        people.grant_role(session, person, Role.ARTIST, None)
        made = keys.make_key(session, tenant, name="k", scopes=frozenset({Scope.READ, Scope.SUBMIT}), person=person)
    return made.token


Start = Callable[..., Outpost]


@pytest.fixture
def options(server: Server, token: str, folder: Path, tmp_path: Path) -> Options:
    """How the folder is watched."""
    return Options(folder=folder, server=server.url, token=token, host="desk", state=tmp_path / "state")


@pytest.fixture
def start() -> Iterator[Start]:
    """Run an outpost in the background."""
    running: list[tuple[Outpost, threading.Thread]] = []

    def begin(options: Options) -> Outpost:
        made = Outpost(options)
        thread = threading.Thread(target=made.run)
        running.append((made, thread))
        thread.start()
        return made

    yield begin
    for made, thread in running:
        made.stop_soon()
        thread.join()


def _until(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ask():
        assert time.monotonic() < deadline, "not noticed"
        time.sleep(0.05)


def _places(rows: Rows) -> dict[str, str]:
    return {row.shown_path: row.state for row in rows("select shown_path, state from location")}


def test_files_are_sent_for_the_keys_person_and_seen_as_lying_elsewhere(
    options: Options,
    start: Start,
    folder: Path,
    rows: Rows,
) -> None:
    (folder / "before.png").write_bytes(picture(1))
    start(options)
    _until(lambda: _places(rows) == {"before.png": "recorded"})
    (folder / "deep").mkdir()
    (folder / "deep" / "é b.png").write_bytes(picture(2))
    unfinished = folder / "late.png.part"
    unfinished.write_bytes(picture(3)[:40])
    with unfinished.open("ab") as file:
        file.write(picture(3)[40:])
    unfinished.rename(folder / "late.png")
    _until(lambda: _places(rows) == dict.fromkeys(("before.png", "deep/é b.png", "late.png"), "recorded"))
    assert {row.login for row in rows("select e.login from generation g join person e on e.id = g.person_id")} == {
        "bea"
    }
    (root,) = rows("select host, shown_path, watched_by from watch_root")
    assert (root.host, root.shown_path, root.watched_by) == ("desk", str(folder), "outpost")
    _until(lambda: rows("select count(*) from thumbnail")[0][0] == 3)


def test_a_removed_file_is_missing_and_a_renamed_one_is_the_same_asset(
    options: Options,
    start: Start,
    folder: Path,
    rows: Rows,
) -> None:
    for seed in (1, 2):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    start(options)
    _until(lambda: len(_places(rows)) == 2)
    (folder / "1.png").unlink()
    (folder / "2.png").rename(folder / "3.png")
    _until(lambda: _places(rows) == {"1.png": "missing", "2.png": "missing", "3.png": "recorded"})
    assert rows("select count(*) from asset")[0][0] == 2


def test_while_the_server_is_away_everything_waits_and_comes_once(
    options: Options,
    start: Start,
    server: Server,
    folder: Path,
    rows: Rows,
) -> None:
    server.stop()
    running = start(options)
    for seed in range(5):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    _until(lambda: running._spool.counts().waiting == 5)
    assert rows("select count(*) from asset")[0][0] == 0
    server.start()
    _until(lambda: len(_places(rows)) == 5)
    _until(lambda: running._spool.counts().waiting == 0)
    assert rows("select count(*) from asset")[0][0] == 5


def test_a_folder_that_is_kept_has_its_bytes_sent(
    options: Options,
    folder: Path,
    rows: Rows,
    store: BlobStore,
    tenant: TenantScope,
) -> None:
    content = picture(4)
    (folder / "a.png").write_bytes(content)
    counts = Outpost(dataclasses.replace(options, keep=True)).run_once()
    assert (counts.sent, counts.waiting) == (1, 0)
    assert store.read_verified(tenant.slug, hashlib.sha256(content).digest()) == content
    assert rows("select custody from watch_root")[0].custody == "keep"


def test_a_file_that_changed_after_it_was_read_is_read_again(
    options: Options,
    folder: Path,
    rows: Rows,
) -> None:
    keep = dataclasses.replace(options, keep=True)
    (folder / "a.png").write_bytes(picture(4))
    first = Outpost(keep)
    first._lookout.read_all()
    (folder / "a.png").write_bytes(picture(5))
    first._delivery.deliver_all()
    first._close()
    Outpost(keep).run_once()
    assert rows("select count(*) from blob b join asset a on a.sha256 = b.sha256")[0][0] == 1
    assert [row.seed for row in rows("select 1 as seed from location where state = 'recorded'")] == [1]


def test_a_second_run_sends_nothing_again_and_broken_files_are_left(
    options: Options,
    folder: Path,
    rows: Rows,
) -> None:
    (folder / "a.png").write_bytes(picture())
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 60)
    (folder / "plain.png").write_bytes(png({}, colour=9))
    first = Outpost(options).run_once()
    assert (first.sent, first.refused, first.waiting) == (2, 1, 0)
    seen = rows("select last_seen from location order by id")
    second = Outpost(options).run_once()
    assert (second.sent, second.refused, second.waiting) == (2, 1, 0)
    assert rows("select last_seen from location order by id") == seen


def test_a_server_that_does_not_know_the_folder_any_more_gets_everything_again(
    options: Options, folder: Path, rows: Rows
) -> None:
    (folder / "a.png").write_bytes(picture(4))
    Outpost(options).run_once()
    first = Outpost(options)
    first._spool.keep_setting("root", str(new_id()))
    first._close()
    rows("delete from location returning id")
    again = Outpost(options).run_once()
    assert (again.sent, again.waiting) == (1, 0)
    assert len(_places(rows)) == 1


def test_a_full_spool_leaves_files_in_their_folder_until_there_is_room(
    options: Options,
    start: Start,
    server: Server,
    folder: Path,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(spool, "SPOOL_LIMIT", 1)
    monkeypatch.setattr(lookout, "BATCH", 1)
    monkeypatch.setattr(lookout, "POLL_EVERY_S", 0.2)
    server.stop()
    for seed in range(3):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    running = start(options)
    _until(lambda: "the spool is full" in caplog.text)
    assert running._spool.counts().waiting == 1
    server.start()
    _until(lambda: len(_places(rows)) == 3)


def test_a_wrong_key_ends_the_start_with_its_reason_and_is_in_no_message(
    options: Options, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = dataclasses.replace(options, token="mk_wrong_secret")
    with pytest.raises(KeyRefused) as refused:
        Outpost(wrong).run()
    assert "mk_wrong_secret" not in f"{refused.value} {refused.value.hint} {caplog.text} {wrong!r}"


def test_a_project_that_is_not_there_is_said_as_such(options: Options) -> None:
    with pytest.raises(Refused, match="no such project"):
        Outpost(dataclasses.replace(options, project="nowhere")).run_once()


def test_a_server_that_is_away_is_said_at_once_where_one_run_was_asked_for(options: Options, server: Server) -> None:
    server.stop()
    (options.folder / "a.png").write_bytes(picture())
    with pytest.raises(ServerAway):
        Outpost(options).run_once()


def test_an_unmounted_folder_calls_nothing_gone(
    options: Options,
    start: Start,
    folder: Path,
    rows: Rows,
) -> None:
    (folder / "a.png").write_bytes(picture())
    running = start(options)
    _until(lambda: _places(rows) == {"a.png": "recorded"})
    hidden = folder.rename(folder.parent / "unmounted")
    _until(lambda: running._lookout._told_away)
    hidden.rename(folder)
    (folder / "b.png").write_bytes(picture(2))
    _until(lambda: _places(rows) == {"a.png": "recorded", "b.png": "recorded"})


def test_a_key_file_is_only_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("mk_something\n")
    file.chmod(0o644)
    with pytest.raises(TokenExposed):
        read_token(file)
    file.chmod(0o600)
    assert read_token(file) == "mk_something"
    file.write_text("")
    with pytest.raises(NoToken):
        read_token(file)
    with pytest.raises(NotRecognised):
        read_token(tmp_path / "none")


def test_what_lies_beside_a_file_is_sent_with_it(folder: Path) -> None:
    (folder / "a.png").write_bytes(png({}))
    (folder / "a.json").write_text('{"prompt": "a fox"}')
    read = read_file(folder, "a.png")
    assert isinstance(read, ReadFile)
    assert [(carrier.place, carrier.key) for carrier in read.sent.carriers] == [("sidecar:json", "a.json")]
    assert read.sent.thumbnail is not None


def test_a_disk_that_is_full_ends_nothing(
    options: Options, start: Start, folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "TROUBLE_WAIT_S", 0.1)
    real, refused = spool.Spool.put, threading.Event()

    def full(self: spool.Spool, *facts: object) -> None:
        if not refused.is_set():
            refused.set()
            raise spool.SpoolUnusable("database or disk is full")
        real(self, *facts)  # type: ignore[arg-type]

    monkeypatch.setattr(spool.Spool, "put", full)
    (folder / "a.png").write_bytes(picture())
    start(options)
    _until(lambda: _places(rows) == {"a.png": "recorded"})
    assert refused.is_set()


def test_names_that_are_no_utf_8_survive() -> None:
    name = b"caf\xe9/\xff \\ a.png"
    assert os.fsencode(spelled(place_name(name))) == name
    assert place_name("ünï.png".encode()) == "ünï.png"


def test_killed_again_and_again_in_the_middle_it_sends_exactly_what_is_there(
    options: Options, folder: Path, rows: Rows, tmp_path: Path
) -> None:
    chance = random.Random(11)
    command = [sys.executable, "-m", "memoryd_cli", "watch", str(folder), "--server", options.server]
    environment = {**os.environ, "MEMORYD_KEY": options.token, "MEMORYD_HOME": str(tmp_path / "home")}
    for seed in range(30):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    home = tmp_path / "home" / "outpost"
    for _ in range(4):
        running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _until(lambda: any(home.glob("*/spool.sqlite")))
        time.sleep(chance.uniform(0.0, 0.2))
        running.kill()
        running.wait()
    (folder / "last.png").write_bytes(picture(99))
    ended = subprocess.run([*command, "--once", "--json"], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert '"sent": 31' in ended.stdout
    assert '"waiting": 0' in ended.stdout
    assert options.token not in ended.stdout + ended.stderr
    assert _places(rows) == {f"{seed}.png": "recorded" for seed in [*range(30), "last"]}
    assert rows("select count(*) from asset")[0][0] == 31
    assert rows("select count(*) from generation")[0][0] == 31
