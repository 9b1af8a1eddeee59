from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from memoryd.foundation.errors import MemorydError
from memoryd_cli import graphs


def run(*arguments: str) -> Result:
    app = typer.Typer()
    graphs.register(app)
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def images(files: Path) -> Path:
    return files / "comfyui" / "images"


def test_extract_prints_what_a_picture_says(images: Path) -> None:
    result = run("extract", str(images / "txt2img_seed_u64max.png"))
    assert result.exit_code == 0
    assert "18446744073709551615" in result.output
    assert "checkpoints: tiny-sd15-random.safetensors" in result.output


def test_extract_as_json_keeps_large_seeds_as_text(images: Path) -> None:
    told = json.loads(run("extract", str(images / "txt2img_seed_u64max.png"), "--json").output)
    assert told["parameters"]["samplers"][0]["seed"] == "18446744073709551615"
    assert [document["key"] for document in told["documents"]] == ["prompt", "workflow"]
    assert told["completeness"] == "complete"


def test_extract_gives_one_text_verbatim(images: Path) -> None:
    assert run("extract", str(images / "modelfree_extra_chunks.png"), "--document", "n").stdout_bytes == b"5"


def test_a_picture_without_a_graph_is_told(images: Path) -> None:
    assert "no executed graph" in run("extract", str(images / "no_metadata.png")).output


def test_a_prompt_in_a_json_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "prompt.json"
    file.write_text('{"1": {"class_type": "SaveImage", "inputs": {"x": NaN}}}')
    assert "not-a-number" in run("extract", str(file)).output


@pytest.mark.parametrize("content", [b"", b"plain", None])
def test_what_cannot_be_read_is_an_error_with_its_reason(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    assert isinstance(run("extract", str(file)).exception, MemorydError)


def test_diff_names_the_inputs_that_differ(images: Path) -> None:
    result = run("diff", str(images / "txt2img_prompt_only.png"), str(images / "txt2img_seed_u64max.png"))
    assert "the same workflow, other values" in result.output
    assert "KSampler.seed\t42\t18446744073709551615" in result.output


def test_diff_of_a_file_without_a_graph_says_so(images: Path) -> None:
    result = run("diff", str(images / "no_metadata.png"), str(images / "txt2img_basic.png"))
    assert isinstance(result.exception, graphs.FileHasNoGraph)
