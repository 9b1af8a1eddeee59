from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from memoryd_cli import graphs


def rows(*paths: Path) -> list[dict[str, Any]]:
    app = typer.Typer()
    graphs.register(app)
    result = CliRunner().invoke(app, ["extract", "--jsonl", *(str(path) for path in paths)])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


@pytest.fixture
def images(files: Path) -> Path:
    return files / "comfyui" / "images"


def test_a_line_says_what_a_file_says_and_where(images: Path) -> None:
    (row,) = rows(images / "txt2img_seed_u64max.png")
    assert row["seeds"] == ["18446744073709551615"]
    assert row["models"] == ["tiny-sd15-random.safetensors"]
    assert row["tool"] == "comfyui"
    assert row["ai_generated"] is True
    seed = next(fact for fact in row["facts"] if fact["field"] == "seed")
    assert (seed["source"], seed["confidence"], seed["value"]) == ("executed", "high", "18446744073709551615")
    assert seed["where"].startswith("KSampler")


def test_folders_are_walked_also_hidden_ones(images: Path, tmp_path: Path) -> None:
    (tmp_path / ".kept").mkdir()
    shutil.copy(images / "no_metadata.png", tmp_path / ".kept" / "one.png")
    shutil.copy(images / "no_metadata.png", tmp_path / "without_suffix")
    (tmp_path / "notes.md").write_text("no picture")
    (tmp_path / "package.json").write_text('{"prompt": "no graph"}')
    (tmp_path / "graph.json").write_text('{"1": {"class_type": "SaveImage", "inputs": {}}}')
    assert {Path(row["path"]).name for row in rows(tmp_path)} == {"one.png", "without_suffix", "graph.json"}


def test_what_cannot_be_read_is_a_line_with_a_finding(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing like a picture")
    unread, gone = rows(broken, tmp_path / "gone.png")
    assert unread["findings"][0]["code"] == "no-plugin"
    assert gone["findings"][0]["code"] == "file-not-readable"
    assert gone["prompt"] == []


def test_the_nodes_of_a_comfyui_are_read_by_what_it_says_of_them(tmp_path: Path) -> None:
    graph = {
        "1": {"class_type": "OddLoader", "inputs": {"thing": "shore.safetensors"}},
        "2": {"class_type": "OddSaver", "inputs": {"source": ["1", 0]}},
    }
    told = {
        "OddLoader": {"input": {"required": {"thing": [["shore.safetensors"], {}]}}, "output": ["MODEL"]},
        "OddSaver": {"input": {"required": {"source": ["MODEL"]}}, "output": [], "output_node": True},
    }
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    (tmp_path / "object_info.json").write_text(json.dumps(told))
    app = typer.Typer()
    graphs.register(app)
    arguments = [
        "extract",
        "--jsonl",
        "--object-info",
        str(tmp_path / "object_info.json"),
        str(tmp_path / "graph.json"),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["path"].endswith("graph.json")
