"""What a worker reads of its machine, its GPU and node packs: no git and no pack is run, and nothing is guessed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from memoryd.dispatch.wire import Gpu, NodePack
from memoryd.worker import gpu_memory, gpu_reading
from memoryd.worker.gpu_memory import read_used
from memoryd.worker.gpu_reading import Card, read_cards, read_gpu
from memoryd.worker.node_packs import packs_told, see_packs
from memoryd.worker.source_trees import SourceTrees

COMMIT, OTHER = "a" * 40, "b" * 40
H200 = Card(uuid="GPU-1", name="NVIDIA H200", vram_mb=143_771, driver="570.1")
SECOND = Card(uuid="GPU-2", name="NVIDIA H200", vram_mb=143_771, driver="570.1")
OLD = Card(uuid="GPU-3", name="NVIDIA RTX A4000", vram_mb=16_376, driver="570.1")


def device(
    name: str = "cuda:0 NVIDIA H200 : cudaMallocAsync", kind: str = "cuda", vram: int = 150_000_000_000
) -> dict[str, object]:
    return {"devices": [{"name": name, "type": kind, "index": 0, "vram_total": vram}]}


@pytest.mark.parametrize(
    ("stats", "cards", "uuid", "found"),
    [
        (device(), [H200], None, Gpu(name="NVIDIA H200", uuid="GPU-1", vram_mb=143_771, driver="570.1")),
        (device(), [H200, OLD], None, Gpu(name="NVIDIA H200", uuid="GPU-1", vram_mb=143_771, driver="570.1")),
        # Which of two alike it is, nobody tells: not a guess. The driver is the same whichever it is.
        (device(), [H200, SECOND], None, Gpu(name="NVIDIA H200", vram_mb=143_051, driver="570.1")),
        (device(), [H200, SECOND], "GPU-2", Gpu(name="NVIDIA H200", uuid="GPU-2", vram_mb=143_771, driver="570.1")),
        (device(), [OLD], None, Gpu(name="NVIDIA H200", vram_mb=143_051, driver="570.1")),
        (device(), [], None, Gpu(name="NVIDIA H200", vram_mb=143_051)),
        (device("cpu", "cpu"), [H200], None, Gpu()),
        (device("mps", "mps", 0), [], None, Gpu(name="mps")),
        ({}, [H200], None, Gpu()),
        ({"devices": []}, [H200], None, Gpu()),
        ({"devices": "x"}, [H200], None, Gpu()),
    ],
)
def test_the_gpu_is_what_both_tell_and_unknown_stays_unknown(
    stats: dict[str, object], cards: list[Card], uuid: str | None, found: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_reading, "list_cards", lambda: cards)
    assert read_gpu(stats, here=True, gpu_uuid=uuid) == found  # type: ignore[arg-type]


def test_a_comfyui_elsewhere_has_none_of_this_machines_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_reading, "list_cards", lambda: [H200])
    assert read_gpu(device(), here=False) == Gpu(name="NVIDIA H200", vram_mb=143_051)  # type: ignore[arg-type]


def test_the_answer_of_nvidia_smi_is_read_and_its_absence_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = "GPU-1, NVIDIA H200, 143771, 570.1\nGPU-9, Tegra, [N/A], 35.1\nNo devices were found\n"
    assert read_cards(answer) == [H200, Card(uuid="GPU-9", name="Tegra", vram_mb=None, driver="35.1")]
    monkeypatch.setenv("PATH", "/nonexistent")
    assert gpu_reading.list_cards() == []


def test_a_driver_that_hangs_or_fails_costs_only_the_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert gpu_reading.list_cards() == []
    tool.write_text("#!/bin/sh\nexec sleep 30\n")
    monkeypatch.setattr(gpu_reading, "ANSWER_LIMIT_S", 0.1)
    assert gpu_reading.list_cards() == []


def git(folder: Path, head: str, config: str = "", **files: str) -> None:
    """A git folder, made of its files."""
    folder.mkdir(parents=True)
    (folder / "HEAD").write_text(head)
    (folder / "config").write_text(config)
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("packed_refs", "packed-refs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def origin(url: str) -> str:
    return f'[core]\n\tbare = false\n[remote "upstream"]\n\turl = https://x/up\n[remote "origin"]\n\turl = {url}\n'


def test_packs_are_read_with_remotes_and_commits_wherever_git_keeps_them(tmp_path: Path) -> None:
    git(
        tmp_path / "loose/.git",
        "ref: refs/heads/main\n",
        origin("https://github.com/a/loose"),
        refs__heads__main=COMMIT,
    )
    packed = f"# pack-refs with: peeled\n{OTHER} refs/heads/other\n{COMMIT} refs/heads/dev/x\n^{OTHER}\n"
    git(tmp_path / "packed/.git", "ref: refs/heads/dev/x\n", origin("git@github.com:a/b.git"), packed_refs=packed)
    git(tmp_path / "detached/.git", f"{COMMIT}\n", origin("https://me:token@example.com/a"))
    git(tmp_path / ".store/modules/sub", "ref: refs/heads/main", origin("https://x/sub"), refs__heads__main=COMMIT)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.git").write_text("gitdir: ../.store/modules/sub\n")
    (tmp_path / "plain").mkdir()
    (tmp_path / "single.py").touch()
    for name in ("off.disabled", "__pycache__", ".hidden", "example_node.py.example", "notes.txt"):
        (tmp_path / name).mkdir() if "." not in name[1:] else (tmp_path / name).touch()
    assert [each.stated for each in see_packs([tmp_path, tmp_path / "missing"], SourceTrees())] == [
        NodePack(name="detached", remote="https://example.com/a", commit=COMMIT),
        NodePack(name="loose", remote="https://github.com/a/loose", commit=COMMIT),
        NodePack(name="packed", remote="git@github.com:a/b.git", commit=COMMIT),
        NodePack(name="plain"),
        NodePack(name="single.py"),
        NodePack(name="sub", remote="https://x/sub", commit=COMMIT),
    ]


@pytest.mark.parametrize(
    "head",
    [
        "",
        "ref: refs/heads/none",
        "ref: refs/../../secret",
        "ref: /etc/passwd",
        "ref: refs/heads/bad",
        "\xff\x00",
        "a" * 41,
    ],
)
def test_a_git_folder_that_is_broken_or_lies_says_nothing(tmp_path: Path, head: str) -> None:
    git(tmp_path / "pack/.git", head, '[remote "origin"\nurl', refs__heads__bad="no commit")
    (tmp_path / "secret").write_text(COMMIT)
    assert [each.stated for each in see_packs([tmp_path], SourceTrees())] == [NodePack(name="pack")]


def test_reading_a_pack_runs_no_hook_and_no_code(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    pack = tmp_path / "custom_nodes" / "pack"
    subprocess.run(["git", "init", "-q", str(pack)], check=True, capture_output=True)
    (pack / ".git/config").write_text(f"[core]\n\tfsmonitor = touch {mark}\n\thooksPath = {tmp_path}\n")
    (pack / "__init__.py").write_text(f"open({str(mark)!r}, 'w')")
    assert [one.stated.name for one in see_packs([tmp_path / "custom_nodes"], SourceTrees())] == ["pack"]
    assert not mark.exists()


def test_what_the_manager_tells_is_taken_where_it_can_be_true() -> None:
    told = {
        "impact": {"ver": "8.1", "cnr_id": "impact", "aux_id": "ltdrdata/impact", "enabled": True},
        "nightly": {"ver": COMMIT, "aux_id": "a/b", "enabled": True},
        "off": {"ver": COMMIT, "enabled": False},
        "odd": {"ver": 7, "aux_id": "../../x?y", "enabled": True},
        "nonsense": [],
    }
    assert [each.stated for each in packs_told(json.loads(json.dumps(told)))] == [
        NodePack(name="impact", remote="https://github.com/ltdrdata/impact"),
        NodePack(name="nightly", remote="https://github.com/a/b", commit=COMMIT),
        NodePack(name="odd"),
    ]
    assert packs_told(None) == []


def test_the_memory_in_use_is_that_of_the_workers_own_card() -> None:
    answer = "GPU-aaaa, 1200\nGPU-bbbb, 46123\nGPU-cccc, [N/A]\n"
    assert read_used(answer, "GPU-bbbb") == 46123
    assert read_used(answer, "GPU-cccc") is None
    assert read_used(answer, "GPU-dddd") is None
    assert read_used("NVIDIA-SMI has failed", "GPU-aaaa") is None


def test_a_program_that_says_nothing_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(gpu_memory, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(gpu_memory, "look", lambda uuid: asked.append(uuid))
    memory = gpu_memory.GpuMemory("GPU-aaaa")
    memory.start()
    memory._thread.join(timeout=10)
    assert asked == ["GPU-aaaa"] * gpu_memory.FAILURES_LIMIT
    assert memory.used_mb() is None
