"""Model files hashed in the background: each shared one by one of several workers, and a run that waits goes first."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memoryd.dispatch.models_wire import (
    DescriptionsAnswer,
    DescriptionsRequest,
    ModelsRequest,
    SharedAnswer,
    SharedFile,
    SharedRequest,
)
from memoryd.dispatch.wire import ModelFile
from memoryd.weights.hashing import hash_file
from memoryd.worker import model_hashing, shared_places
from memoryd.worker.hash_memory import HashMemory, Remembered, Stamp, stamp_of
from memoryd.worker.model_hashing import LocalModel, ModelHashing
from memoryd.worker.server_link import CallRefused, ServerDown

PATIENCE_S = 20
LONG_AGO_S = 1_700_000_000


def put(path: Path, content: bytes) -> str:
    """Write an old file; return its hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return hashlib.sha256(content).hexdigest()


def local(path: Path, directory: Path) -> LocalModel:
    stated = ModelFile(folder="loras", path=str(path.relative_to(directory)))
    return LocalModel(stated=stated, directory=directory, path=path)


class Colleagues:
    """The server's side of shared hashes, for all workers of a test."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[str, str] = {}
        self.taken: dict[str, object] = {}
        self.stated: dict[str, str] = {}
        self.faults: list[type[Exception]] = []
        self.described: list[str] = []

    def link(self, who: str) -> Any:
        """The server, as one worker sees it."""
        return _Link(self, who)


def _name(place: str, file: SharedFile) -> str:
    return json.dumps([place, file.path, file.size, file.mtime_ns, file.sample])


class _Link:
    def __init__(self, colleagues: Colleagues, who: str) -> None:
        self._all, self._who = colleagues, who

    def share_hashes(self, request: SharedRequest) -> SharedAnswer:
        with self._all.lock:
            if self._all.faults:
                raise self._all.faults[0]("away")
            for measured in request.measured:
                self._all.known.setdefault(_name(request.place, measured), measured.sha256)
            names = [_name(request.place, file) for file in request.files]
            known = {n: self._all.known[name] for n, name in enumerate(names) if name in self._all.known}
            yours: list[int] = []
            for number, name in enumerate(names):
                free = self._all.taken.get(name, self._who) == self._who
                if len(yours) < request.take and number not in known and free:
                    self._all.taken[name] = self._who
                    yours.append(number)
        return SharedAnswer(known=known, yours=yours)

    def state_hashes(self, request: ModelsRequest) -> None:
        with self._all.lock:
            self._all.stated |= {f"{self._who}/{model.path}": str(model.sha256) for model in request.models}

    def describe_models(self, request: DescriptionsRequest) -> DescriptionsAnswer:
        with self._all.lock:
            self._all.described += [one.sha256 for one in request.told]
            return DescriptionsAnswer(wanted=sorted(set(request.stamps) - set(self._all.described)))


@pytest.fixture
def colleagues() -> Colleagues:
    return Colleagues()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read in full."""
    read: list[str] = []
    real = hash_file

    def counted(path: Path, **more: Any) -> Any:
        read.append(path.name)
        return real(path, **more)

    monkeypatch.setattr(model_hashing, "hash_file", counted)
    monkeypatch.setattr(model_hashing, "OTHERS_PAUSE_S", 0.02)
    monkeypatch.setattr(model_hashing, "AGAIN_PAUSE_S", 0.02)
    return read


@pytest.fixture
def working() -> Iterator[list[ModelHashing]]:
    started: list[ModelHashing] = []
    yield started
    for one in started:
        one.stop()
        assert not one._thread.is_alive()


def begin(one: ModelHashing, models: list[LocalModel], working: list[ModelHashing]) -> None:
    working.append(one)
    one.start()
    one.hash_these(models)


def until(true: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.01)


def test_a_folder_that_two_workers_see_is_read_once(
    tmp_path: Path, colleagues: Colleagues, reads: list[str], working: list[ModelHashing]
) -> None:
    folder = tmp_path / "models"
    hashes = {f"{n}.safetensors": put(folder / f"{n}.safetensors", bytes([n]) * 100_000) for n in range(12)}
    models = [local(folder / name, folder) for name in hashes]
    for who in ("first", "second"):
        memory = HashMemory(tmp_path / f"{who}.jsonl")
        begin(ModelHashing(colleagues.link(who), memory, uuid.uuid4()), models, working)
    until(lambda: len(colleagues.stated) == 24)
    assert sorted(reads) == sorted(hashes)
    assert {name.partition("/")[2]: sha for name, sha in colleagues.stated.items()} == hashes
    known = [HashMemory(tmp_path / f"{who}.jsonl").find(folder / "3.safetensors") for who in ("first", "second")]
    assert {found.sha256 for found in known if found is not None} == {hashes["3.safetensors"]}
    assert sum(found.own for found in known if found is not None) == 1


def test_a_file_that_only_looks_alike_is_measured_by_each(
    tmp_path: Path,
    colleagues: Colleagues,
    reads: list[str],
    working: list[ModelHashing],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_hashing, "place_of", lambda directory: "9" * 64)
    sums = [put(tmp_path / who / "a.safetensors", who.encode() * 50_000) for who in ("one", "two")]
    for who in ("one", "two"):
        models = [local(tmp_path / who / "a.safetensors", tmp_path / who)]
        begin(ModelHashing(colleagues.link(who), HashMemory(tmp_path / f"{who}.jsonl"), uuid.uuid4()), models, working)
    until(lambda: len(colleagues.stated) == 2)
    assert colleagues.stated == {"one/a.safetensors": sums[0], "two/a.safetensors": sums[1]}


@pytest.mark.parametrize("fault", [CallRefused, None])
def test_without_a_server_that_knows_how_to_share_all_is_hashed_here(
    fault: type[Exception] | None, tmp_path: Path, colleagues: Colleagues, reads: list[str], working: list[ModelHashing]
) -> None:
    colleagues.faults = [fault or ServerDown]
    folder = tmp_path / "models"
    sha256 = put(folder / "sub" / "a.safetensors", b"weights")
    one = ModelHashing(colleagues.link("a"), HashMemory(tmp_path / "a.jsonl"), uuid.uuid4())
    begin(one, [local(folder / "sub" / "a.safetensors", folder)], working)
    if fault is None:
        time.sleep(0.1)
        assert reads == []
        colleagues.faults = []
    until(lambda: colleagues.stated == {"a/sub/a.safetensors": sha256})


def test_what_was_hashed_is_not_read_again_until_it_changes(tmp_path: Path, reads: list[str]) -> None:
    path = tmp_path / "a.safetensors"
    first = put(path, b"weights")
    memory = HashMemory(tmp_path / "memory.jsonl")
    assert memory.measure(path) == first
    again = HashMemory(tmp_path / "memory.jsonl")
    assert again.find(path) == Remembered(sha256=first, own=True)
    path.write_bytes(b"WEIGHTS")
    os.utime(path, (LONG_AGO_S + 1, LONG_AGO_S + 1))
    assert again.find(path) is None
    assert again.measure(path) == hashlib.sha256(b"WEIGHTS").hexdigest()


def test_a_file_that_changed_a_moment_ago_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"being written")
    memory = HashMemory(tmp_path / "memory.jsonl")
    memory.measure(path)
    assert memory.find(path) is None


def test_a_colleagues_word_gives_way_to_what_was_measured_here(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    own = put(path, b"weights")
    memory = HashMemory(tmp_path / "memory.jsonl")
    memory.keep(stamp_of(path), Remembered(sha256="f" * 64, own=False))
    assert memory.measure(path) == own
    memory.keep(stamp_of(path), Remembered(sha256="f" * 64, own=False))
    assert HashMemory(tmp_path / "memory.jsonl").find(path) == Remembered(sha256=own, own=True)


def test_lines_that_were_cut_off_or_are_nonsense_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    sha256 = put(path, b"weights")
    file = tmp_path / "memory.jsonl"
    file.write_bytes(b'["6", 1\n[]\n{}\nnull\n["zz", 1, "1", "' + b"a" * 64 + b'", true]\n["61", 1, "x", "cut off')
    memory = HashMemory(file)
    assert memory.find(path) is None
    memory.measure(path)
    assert HashMemory(file).find(path) == Remembered(sha256=sha256, own=True)


def _remember(file: str, start: int) -> None:
    memory = HashMemory(Path(file))
    for number in range(start, start + 100):
        memory.keep(Stamp(f"/models/{number}", number, 1), Remembered(sha256=f"{number:064x}", own=True))


def test_several_workers_use_one_memory_at_once(tmp_path: Path) -> None:
    file = tmp_path / "memory.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_remember, args=(str(file), 100 * n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = [json.loads(line) for line in file.read_bytes().splitlines() if line]
    assert sorted(line[1] for line in lines) == list(range(300))


def test_the_background_rests_while_a_run_waits_for_a_hash(
    tmp_path: Path,
    colleagues: Colleagues,
    reads: list[str],
    working: list[ModelHashing],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_hashing, "place_of", lambda directory: None)
    folder = tmp_path / "models"
    for number in range(5):
        put(folder / f"{number}.safetensors", bytes([number]) * 1000)
    memory = HashMemory(tmp_path / "memory.jsonl")
    pinned = tmp_path / "pinned.safetensors"
    put(pinned, b"pinned")
    entered, leave = threading.Event(), threading.Event()

    def slow(path: Path, **more: Any) -> str:
        entered.set()
        leave.wait(PATIENCE_S)
        return "0" * 64

    monkeypatch.setattr(memory, "measure", slow)
    run = threading.Thread(target=memory.measure_now, args=(pinned,))
    run.start()
    entered.wait(PATIENCE_S)
    models = [local(folder / f"{number}.safetensors", folder) for number in range(5)]
    begin(ModelHashing(colleagues.link("a"), memory, uuid.uuid4()), models, working)
    time.sleep(0.1)
    assert reads == []
    leave.set()
    run.join()
    until(lambda: len(colleagues.stated) == 5)


def test_a_worker_ends_in_the_middle_of_a_file(
    tmp_path: Path, colleagues: Colleagues, working: list[ModelHashing], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = threading.Event()

    def endless(path: Path, *, on_bytes: Callable[[int], None]) -> Any:
        reading.set()
        while True:
            on_bytes(1)

    monkeypatch.setattr(model_hashing, "hash_file", endless)
    put(tmp_path / "a.safetensors", b"weights")
    one = ModelHashing(colleagues.link("a"), HashMemory(tmp_path / "m.jsonl"), uuid.uuid4())
    begin(one, [local(tmp_path / "a.safetensors", tmp_path)], working)
    assert reading.wait(PATIENCE_S)


@pytest.mark.skipif(not Path("/proc/sys/kernel/random/boot_id").exists(), reason="Linux tells what is mounted")
def test_a_folder_has_one_name_however_it_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "other").mkdir()
    assert shared_places.place_of(folder) == shared_places.place_of(tmp_path / "link")
    assert shared_places.place_of(folder) != shared_places.place_of(tmp_path / "other")
    assert shared_places.place_of(tmp_path / "none") is None
    for place in (folder, tmp_path / "other"):
        (place / shared_places.MARKER).write_text("the studio's weights\n")
    assert shared_places.place_of(folder) == shared_places.place_of(tmp_path / "other")


def test_a_share_has_the_same_name_wherever_it_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for mount, source, below in (("a", "nas:/export", "models/sd"), ("b c", "nas:/export/models", "sd")):
        folder = tmp_path / mount / below
        folder.mkdir(parents=True)
        point = str(tmp_path / mount).replace(" ", "\\040")
        text = (
            f"1 0 8:1 / / rw - ext4 /dev/sda rw\n36 1 0:50 / {point} rw,noatime shared:1 - nfs4 {source} rw,vers=4.2\n"
        )
        monkeypatch.setattr(shared_places, "_mounts", lambda text=text: shared_places.read_mounts(text))
        names.add(shared_places.place_of(folder))
    assert len(names) == 1
    assert None not in names
    assert shared_places.place_of(tmp_path) not in names


def test_a_sample_sees_a_change_at_either_end_and_in_the_middle(tmp_path: Path) -> None:
    content = bytearray(1_000_000)
    samples = set()
    for place in (None, 0, 500_000, 999_999):
        changed = bytearray(content)
        if place is not None:
            changed[place] = 1
        put(tmp_path / "file", bytes(changed))
        samples.add(shared_places.sample_of(tmp_path / "file"))
    assert len(samples) == 4
    put(tmp_path / "empty", b"")
    assert len(shared_places.sample_of(tmp_path / "empty")) == 64
