"""From a document to an export: exact where it is known, told where it is not, and never a stranger's command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.environments.exporting import export_files

DOCUMENT: dict[str, Json] = {
    "comfyui": "0.29.0",
    "comfyui_commit": "4f" * 20,
    "python": "3.11.7",
    "torch": "2.13.0+cu130",
    "cuda": "13.0",
    "driver": "590.1",
    "flags": ["--fast", "fp16 accumulation"],
    "devices": [{"name": "NVIDIA H200", "type": "cuda", "capability": "9.0"}],
    "packages": {"torch": "2.13.0+cu130", "pillow": "13.0.0", "odd": "1.0+ours"},
    "zlib": "1.3.1",
    "threads": {"intra_op": 16, "inter_op": 16},
    "variables": {"OMP_NUM_THREADS": "1"},
    "node_packs": [
        {"name": "clean", "remote": "https://x/a.git", "commit": "a" * 40, "changed": False, "tree": "1" * 64},
        {"name": "kept", "tree": "2" * 64},
        {"name": "lost", "tree": "3" * 64},
    ],
}
HOSTILE = "$(touch ran)`touch ran`';touch ran;\"\n\\"


def files_of(document: dict[str, Json], **kept: bytes) -> dict[str, str]:
    made = export_files(document, bytes(32), kept=kept)
    return {name: content.decode() for name, content in made.items()}


def test_the_lock_names_every_package_exactly_and_asks_torch_s_own_index_only_for_torch() -> None:
    made = files_of(DOCUMENT)
    lines = made["lock.txt"].splitlines()
    assert lines[1:] == ["odd==1.0+ours", "pillow==13.0.0", "torch==2.13.0+cu130"]
    assert "index" not in made["lock.txt"], "the lock itself is neutral: it works with any index"
    assert "special torch==2.13.0+cu130 https://download.pytorch.org/whl/cu130\n" in made["build.sh"]
    assert "special odd==1.0+ours\n" in made["build.sh"], "where it comes from is not made up"


def test_packs_come_from_their_commits_or_from_what_was_kept() -> None:
    made = files_of(DOCUMENT, **{"2" * 64: b"x"})
    script = made["build.sh"]
    assert f"pack clean https://x/a.git {'a' * 40} '' ''" in script
    assert "pack kept '' '' packs/kept.tar ''" in script
    assert "pack lost '' '' '' ''" in script
    assert "pack lost: where it came from" in made["README.md"]
    assert "pack kept" not in made["README.md"]


def test_what_is_unknown_and_what_is_the_machine_s_is_said() -> None:
    bare = files_of({"comfyui": "0.29.0"})
    for words in ("the commit of ComfyUI", "installed packages", "environment variables", "the device"):
        assert words in bare["README.md"], words
    assert "Unknown" in bare["variables.sh"]
    assert "COMFYUI_SOURCE" in bare["build.sh"]
    whole = files_of(DOCUMENT)["README.md"]
    assert "driver is the host's" in whole
    assert "cuDNN" in whole, "a CUDA machine has one, and it was not told"
    threads = {name: value for name, value in DOCUMENT.items() if name != "variables"}
    assert "set by no variable" in files_of(threads)["README.md"]


@pytest.mark.parametrize(
    "document",
    [
        {"comfyui": HOSTILE, "python": HOSTILE, "torch": HOSTILE, "flags": [HOSTILE], "comfyui_commit": HOSTILE},
        {"packages": {HOSTILE: "1", "ok": HOSTILE, "-r": "x", "fine": "1"}},
        {"variables": {"OMP_NUM_THREADS": HOSTILE, HOSTILE: "1", "PATH X": "1"}},
        {"node_packs": [{"name": HOSTILE, "remote": HOSTILE, "commit": HOSTILE, "tree": HOSTILE}]},
        {"node_packs": [{"name": "a", "remote": "ext::sh -c touch% ran", "commit": "a" * 40}]},
        {"node_packs": [{"name": "../../up", "tree": "1" * 64}, {"name": "-rf"}, {"name": ".git"}]},
        {"devices": [{"name": HOSTILE}], "cpu": {"model": HOSTILE}},
        {"node_packs": HOSTILE, "packages": [HOSTILE], "variables": HOSTILE, "flags": HOSTILE},
    ],
)
def test_what_a_worker_told_runs_nothing(tmp_path: Path, document: dict[str, Json]) -> None:
    made = files_of(document, **{"1" * 64: b"x"})
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    assert "ext::" not in made["build.sh"]
    assert "packs/../" not in made["build.sh"]
    (tmp_path / "ComfyUI/custom_nodes").mkdir(parents=True)
    (tmp_path / "python").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "python").chmod(0o755)
    own = {"PATH": "/usr/bin:/bin", "USE_PYTHON": str(tmp_path / "python"), "ALLOW_MISSING": "1", "NO_NETWORK": "1"}
    built = subprocess.run(
        ["bash", "build.sh", "."], cwd=tmp_path, env=own, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (tmp_path / "venv/bin/python").write_text("#!/bin/sh\nexit 0\n")
    subprocess.run(["bash", "start.sh"], cwd=tmp_path, env=own, check=True, capture_output=True)
    assert not list(tmp_path.rglob("ran"))
