from __future__ import annotations

import os
from pathlib import Path

import pytest

from memoryd.ingest.facts import FileState, Reason
from memoryd.ingest.opening import NotOpened, Opened, open_inside, relative_path, shown_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "a.png").write_bytes(b"bytes")
    (tmp_path / "secret.png").write_bytes(b"secret")
    return folder


def _refused(folder: Path, path: Path) -> Reason | None:
    outcome = open_inside(folder, path)
    assert isinstance(outcome, NotOpened)
    assert outcome.state is FileState.REFUSED
    return outcome.reason


def test_a_file_deep_in_the_folder_opens(folder: Path) -> None:
    opened = open_inside(folder, folder / "deep" / "er" / "a.png")
    assert isinstance(opened, Opened)
    assert os.read(opened.descriptor, 10) == b"bytes"
    assert opened.stat.st_size == 5
    os.close(opened.descriptor)


def test_a_path_outside_the_folder_is_refused(folder: Path) -> None:
    assert _refused(folder, folder.parent / "secret.png") is Reason.OUTSIDE_FOLDER
    assert _refused(folder, folder / ".." / "secret.png") is Reason.OUTSIDE_FOLDER


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    assert _refused(folder, folder / "link.png") is Reason.OUTSIDE_FOLDER
    (folder / "up").symlink_to(folder.parent)
    assert _refused(folder, folder / "up" / "secret.png") is Reason.OUTSIDE_FOLDER


def test_a_loop_of_links_is_refused(folder: Path) -> None:
    (folder / "loop.png").symlink_to(folder / "pool.png")
    (folder / "pool.png").symlink_to(folder / "loop.png")
    assert _refused(folder, folder / "loop.png") is Reason.SYMLINK_LOOP


def test_a_link_inside_the_folder_is_passed_by(folder: Path) -> None:
    (folder / "again.png").symlink_to(folder / "deep" / "er" / "a.png")
    outcome = open_inside(folder, folder / "again.png")
    assert isinstance(outcome, NotOpened)
    assert outcome.state is FileState.IGNORED


@pytest.mark.parametrize("kind", ["gone", "dangling"])
def test_a_file_that_is_gone_has_vanished(folder: Path, kind: str) -> None:
    if kind == "dangling":
        (folder / "gone.png").symlink_to(folder / "nowhere.png")
    outcome = open_inside(folder, folder / "gone.png")
    assert isinstance(outcome, NotOpened)
    assert outcome.state is FileState.VANISHED


def test_a_pipe_is_refused_without_waiting_for_a_writer(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    assert _refused(folder, folder / "pipe.png") is Reason.NOT_A_FILE


def test_a_name_that_is_no_text_is_kept_in_bytes_and_shown_readably(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (folder / name).write_bytes(b"x")
    assert relative_path(folder, folder / name) == b"caf\xe9.png"
    assert shown_path(folder / name).endswith("caf�.png")
    opened = open_inside(folder, folder / name)
    assert isinstance(opened, Opened)
    os.close(opened.descriptor)


def test_where_folders_cannot_be_held_open_links_are_refused_all_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "supports_dir_fd", set())
    (folder / "deep" / "a.png").write_bytes(b"x")
    (tmp_path / "secret.png").write_bytes(b"x")
    (folder / "out").symlink_to(tmp_path)
    (folder / "b.png").symlink_to(tmp_path / "secret.png")
    opened = open_inside(folder, folder / "deep" / "a.png")
    assert isinstance(opened, Opened)
    os.close(opened.descriptor)
    for path in (folder / "out" / "secret.png", folder / "b.png", folder / "none.png"):
        assert isinstance(open_inside(folder, path), NotOpened)
