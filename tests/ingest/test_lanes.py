from __future__ import annotations

import os
from pathlib import Path

import pytest

from memoryd.ingest import lanes
from memoryd.ingest.facts import FileState, Folder, Reason
from memoryd.ingest.lanes import Lanes
from tests.ingest.pictures import picture


@pytest.fixture
def pictures(folder: Path) -> list[Path]:
    paths = [folder / f"{seed:03}.png" for seed in range(30)]
    for seed, path in enumerate(paths):
        path.write_bytes(picture(seed))
    return paths


def test_a_batch_reads_the_same_in_processes_as_here(folder: Path, pictures: list[Path]) -> None:
    with Lanes() as held:
        there = held.prepare(Folder(path=folder), pictures)
    with Lanes(0) as none:
        here = none.prepare(Folder(path=folder), pictures)
    assert there.files == here.files
    assert {"read", "carriers", "graph", "words"} <= there.seconds.keys()


def test_a_process_that_dies_takes_only_its_file_with_it(
    folder: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A plugin's fault that ends the process, brought in by Python's own start-up hook.
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "import memoryd.ingest.preparing as p\n"
        "whole = p._prepare\n"
        "p._prepare = lambda f, path, *rest: os._exit(9) if path.name == '007.png' else whole(f, path, *rest)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Lanes() as held:
        prepared = held.prepare(Folder(path=folder), pictures)
    assert [file.path for file in prepared.files] == pictures
    (lost,) = prepared.in_state(FileState.REFUSED)
    assert (lost.path.name, lost.reason) == ("007.png", Reason.FAULT)
    assert len(prepared.in_state(FileState.READ)) == 29


def test_files_are_read_here_where_no_process_can_be_started(
    folder: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes.sys, "executable", os.devnull)
    with Lanes() as held:
        assert len(held.prepare(Folder(path=folder), pictures).in_state(FileState.READ)) == 30


def test_a_process_that_hangs_is_replaced(
    folder: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import time\n"
        "import memoryd.ingest.preparing as p\n"
        "whole = p._prepare\n"
        "p._prepare = lambda f, path, *rest: time.sleep(60) if path.name == '007.png' else whole(f, path, *rest)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(lanes, "CHUNK_SECONDS_LIMIT", 0.5)
    with Lanes() as held:
        prepared = held.prepare(Folder(path=folder), pictures)
    assert {file.path.name for file in prepared.in_state(FileState.REFUSED)} == {"007.png"}
