"""The folders, the log and the launch of a ComfyUI of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memoryd.comfyui.errors import EngineFileMissing
from memoryd.comfyui.facts import OutputFile
from memoryd.dispatch.wire import InputFile
from memoryd.worker import engine_log
from memoryd.worker.engine_folders import EngineFolders, NameLeavesFolder
from memoryd.worker.engine_log import EngineLog
from memoryd.worker.engine_process import FlagIsOurs, NoComfyUI, plan_launch


@pytest.fixture
def folders(tmp_path: Path) -> EngineFolders:
    made = EngineFolders(tmp_path / "engine")
    made.make()
    return made


def saved(filename: str, subfolder: str = "", kind: str = "output") -> OutputFile:
    return OutputFile(node="9", output="images", batch_index=0, filename=filename, subfolder=subfolder, type=kind)


def read(name: str, subfolder: str = "", kind: str = "input") -> InputFile:
    return InputFile(name=name, subfolder=subfolder, type=kind, sha256="0" * 64, size=1)


def test_a_job_leaves_nothing_behind(folders: EngineFolders) -> None:
    for folder in (folders.input, folders.output / "deep" / "er", folders.temp):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "left.png").write_bytes(b"x")
    (folders.user / "comfyui.db").write_bytes(b"x")
    folders.empty()
    assert [list(each.iterdir()) for each in (folders.input, folders.output, folders.temp)] == [[], [], []]
    assert (folders.user / "comfyui.db").exists()
    folders.reset()
    assert list(folders.user.iterdir()) == []


@pytest.mark.parametrize(
    "file",
    [
        read("../fox.png"),
        read("fox.png", subfolder="../../etc"),
        read("/etc/passwd"),
        read("fox.png", kind="user"),
        read("fox\0.png"),
        read(""),
    ],
)
def test_an_input_cannot_be_placed_outside(folders: EngineFolders, file: InputFile) -> None:
    with pytest.raises(NameLeavesFolder):
        folders.place_of(file)


def test_names_below_the_folder_are_kept_as_they_are(folders: EngineFolders) -> None:
    assert folders.place_of(read("赤 fox.png", subfolder="a/b")) == folders.input / "a" / "b" / "赤 fox.png"
    assert folders.place_of(read("x.png", kind="output")) == folders.output / "x.png"


def test_an_output_that_leads_elsewhere_is_not_delivered(folders: EngineFolders, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (folders.output / "x.png").symlink_to(tmp_path / "secret")
    with pytest.raises(NameLeavesFolder):
        folders.find(saved("x.png"))
    with pytest.raises(NameLeavesFolder):
        folders.find(saved("../../secret"))
    with pytest.raises(EngineFileMissing):
        folders.find(saved("gone.png"))


def test_the_log_is_cut_and_the_one_before_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_log, "FILE_LIMIT", 100)
    log = EngineLog(tmp_path / "comfyui.log")
    descriptor = log.open()
    os.write(descriptor, b"old line\n" * 20)
    log.rotate()
    os.write(descriptor, b"\x1b[32m[INFO]\x1b[0m new line\n\n")
    os.close(descriptor)
    assert log.last_lines() == ["[INFO] new line"]
    assert (tmp_path / "comfyui.log.1").read_bytes().startswith(b"old line")


def test_what_is_launched_is_a_comfyui_with_its_own_python(tmp_path: Path) -> None:
    with pytest.raises(NoComfyUI, match=r"main\.py"):
        plan_launch(tmp_path, None, [])
    (tmp_path / "main.py").touch()
    with pytest.raises(NoComfyUI, match="venv"):
        plan_launch(tmp_path, None, [])
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert plan_launch(tmp_path, None, ["--lowvram"]).python == python
    with pytest.raises(NoComfyUI):
        plan_launch(tmp_path, tmp_path / "absent", [])
    with pytest.raises(FlagIsOurs, match="--port"):
        plan_launch(tmp_path, None, ["--lowvram", "--port=1"])
