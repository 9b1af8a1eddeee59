"""Which files are a pack's sources, what their hash says, and whether git's own view of changes is met without git."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from memoryd.comfyui.source_archive import check_archive, write_archive
from memoryd.worker.git_index import read_index
from memoryd.worker.source_trees import SourceTree, SourceTrees, members_of

FILES = {
    "__init__.py": "NODES = {}\n",
    "nodes/paint.py": "x = 1\n",
    "data/styles.json": "{}\n",
    "web/icon.png": "not really",
    "weights/tiny.safetensors": "weights",
    "api_key.json": '"secret"',
    ".env": "TOKEN=1",
    "tokenizer.json": "{}",
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def git(root: Path, *words: str) -> str:
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": str(root)}
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **own},
    )
    return done.stdout


def checkout(root: Path, files: dict[str, str] = FILES, *, version: int = 2) -> Path:
    write(root, files)
    git(root, "init", "-q")
    git(root, "config", "index.version", str(version))
    git(root, "add", "--force", "--all")
    git(root, "commit", "-q", "-m", "first")
    return root


def look(root: Path) -> SourceTree:
    git_folder = root / ".git"
    return SourceTrees().look(root, git_folder if git_folder.is_dir() else None)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_the_index_tells_the_tracked_files(tmp_path: Path, version: int) -> None:
    checkout(tmp_path, version=version)
    index = read_index(tmp_path / ".git")
    assert index is not None
    assert [entry.path for entry in index] == sorted(FILES)


def test_weights_and_what_is_called_like_a_secret_are_no_sources(tmp_path: Path) -> None:
    found = [file.path for file in look(checkout(tmp_path)).files]
    assert found == ["__init__.py", "data/styles.json", "nodes/paint.py", "tokenizer.json", "web/icon.png"]


def test_changed_means_what_git_means_by_it(tmp_path: Path) -> None:
    checkout(tmp_path)
    before = look(tmp_path)
    assert before.changed is False
    os.utime(tmp_path / "__init__.py", (1, 1))
    assert look(tmp_path).changed is False, "another time is no change"
    (tmp_path / "__init__.py").write_text("NODES = {1}\n")
    after = look(tmp_path)
    assert after.changed is True
    assert after.digest != before.digest
    git(tmp_path, "checkout", "-q", "--", ".")
    assert (look(tmp_path).digest, look(tmp_path).changed) == (before.digest, False)
    (tmp_path / "__init__.py").unlink()
    assert look(tmp_path).changed is True


def test_code_beside_the_tracked_files_counts_and_rubbish_does_not(tmp_path: Path) -> None:
    checkout(tmp_path)
    before = look(tmp_path).digest
    write(tmp_path, {"__pycache__/a.pyc": "x", "run.log": "x", "settings.json": "{}", "output/a.py": "x"})
    assert look(tmp_path).digest == before
    write(tmp_path, {"more.py": "x"})
    assert look(tmp_path).digest != before


def test_a_folder_without_git_has_a_tree_and_no_word_on_changes(tmp_path: Path) -> None:
    found = look(write(tmp_path, FILES))
    assert found.digest is not None
    assert found.changed is None
    assert "web/icon.png" not in [file.path for file in found.files]


def test_a_broken_index_is_no_index(tmp_path: Path) -> None:
    write(tmp_path, {".git/index": "DIRC\0\0\0\2\0\0\0\5short"})
    assert read_index(tmp_path / ".git") is None
    assert look(tmp_path).changed is None


def test_comfyui_has_one_tree_whether_cloned_or_unpacked(tmp_path: Path) -> None:
    files = {
        "main.py": "",
        "comfy/a.py": "1",
        "comfy/tokens.json": "{}",
        ".github/x.yml": "a",
        "models/put_here": "",
        "custom_nodes/websocket_image_save.py": "y",
    }
    cloned, unpacked = checkout(tmp_path / "cloned", files), write(tmp_path / "unpacked", files)
    write(unpacked, {"output/picture.json": "{}", "comfyui_detail.log": "x", "extra_model_paths.yaml": "/secret/place"})
    write(unpacked, {"custom_nodes/pack/a.py": "z"})
    trees = SourceTrees()
    one = trees.look(cloned, cloned / ".git", is_comfyui=True)
    other = trees.look(unpacked, None, is_comfyui=True)
    assert one.digest == other.digest
    assert [file.path for file in one.files] == ["comfy/a.py", "comfy/tokens.json", "main.py"]


def test_equal_files_are_equal_archives_with_the_hash_of_their_tree(tmp_path: Path) -> None:
    files = {**FILES, "a" * 120 + "/" + "ü" * 60 + ".py": "long"}
    packed: list[bytes] = []
    for name in ("one", "other"):
        root = checkout(tmp_path / name, files)
        (root / "link.py").symlink_to("nodes/paint.py")
        os.utime(root / "__init__.py", (1, len(packed)))
        tree, target = look(root), io.BytesIO()
        assert write_archive(members_of(tree), target) == tree.digest
        packed.append(target.getvalue())
        target.seek(0)
        checked = check_archive(target)
        assert (checked.tree, checked.files) == (tree.digest, len(tree.files))
    assert packed[0] == packed[1]


def test_a_tree_is_read_again_only_where_something_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees = SourceTrees()
    first = trees.look(write(tmp_path, FILES), None)
    monkeypatch.setattr("memoryd.worker.source_trees.hash_sources", lambda files: "again")
    assert trees.look(tmp_path, None) is first
    write(tmp_path, {"__init__.py": "other\n"})
    assert trees.look(tmp_path, None).digest == "again"
