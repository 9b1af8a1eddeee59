from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from memoryd.comfyui.answers import environment_document, read_history_entry, read_outputs
from memoryd.comfyui.facts import RunRecord, RunState


def recorded(fixtures: Path, name: str) -> RunRecord:
    ((prompt_id, entry),) = json.loads((fixtures / "history" / f"{name}.json").read_text()).items()
    return read_history_entry(prompt_id, entry)


def test_every_recorded_run_names_the_files_of_its_index_entry(fixtures: Path) -> None:
    runs = json.loads((fixtures / "index.json").read_text())
    for run in runs:
        record = recorded(fixtures, run["name"])
        expected = [
            (node, item["filename"])
            for node, kinds in run["outputs"].items()
            for items in kinds.values()
            for item in items
            if isinstance(item, dict)
        ]
        assert record.prompt_id == run["prompt_id"]
        assert record.state is RunState.SUCCESS
        assert [(file.node, file.filename) for file in record.outputs] == expected, run["name"]
        assert record.started_ms is not None
        assert record.ended_ms is not None
        assert record.started_ms <= record.ended_ms


def test_savers_of_sound_and_latents_are_found_by_their_filename(fixtures: Path) -> None:
    keys = {name: recorded(fixtures, name).outputs[0].output for name in ("audio_flac", "latent", "video_mp4")}
    assert keys == {"audio_flac": "audio", "latent": "latents", "video_mp4": "images"}


def test_a_cached_run_names_every_node_as_cached(fixtures: Path) -> None:
    assert recorded(fixtures, "txt2img_cached_rerun").cached_nodes == ("4", "5", "6", "7", "3", "8", "9")
    assert recorded(fixtures, "txt2img_basic").cached_nodes == ()


def test_a_seed_of_64_bits_is_exact(fixtures: Path) -> None:
    prompt: Any = recorded(fixtures, "txt2img_seed_u64max").prompt
    assert prompt["3"]["inputs"]["seed"] == 2**64 - 1


def test_an_error_names_its_node_and_an_interruption_is_no_error(fixtures: Path) -> None:
    failed, interrupted = recorded(fixtures, "execution_error"), recorded(fixtures, "execution_interrupted")
    assert failed.state is RunState.ERROR
    assert failed.failure is not None
    assert (failed.failure.node_id, failed.failure.node_type) == ("2", "SaveImage")
    assert not failed.failure.out_of_memory
    assert (interrupted.state, interrupted.failure) == (RunState.INTERRUPTED, None)


def test_batch_indices_count_files_of_one_node() -> None:
    outputs: Any = {"9": {"images": [{"filename": "a"}, {"no": 1}, {"filename": "b", "type": "temp"}], "text": ["x"]}}
    assert [(file.filename, file.batch_index, file.type) for file in read_outputs(outputs)] == [
        ("a", 0, "output"),
        ("b", 1, "temp"),
    ]


def test_nonsense_reads_as_an_empty_run() -> None:
    for entry in (
        None,
        [],
        {"prompt": 3, "status": {"messages": [1, ["x"], ["execution_error", 5]]}, "outputs": {"1": 2}},
    ):
        assert read_history_entry("p", entry).outputs == ()  # type: ignore[arg-type] # nonsense is the point


def test_where_comfyui_lives_is_no_part_of_its_environment() -> None:
    def stats(*argv: str, free: int) -> Any:
        system = {
            "comfyui_version": "0.29.0",
            "pytorch_version": "2.13.0+cpu",
            "ram_free": free,
            "argv": ["main.py", *argv],
        }
        return {"system": system, "devices": [{"name": "cpu", "type": "cpu", "vram_total": 5, "vram_free": free}]}

    here = environment_document(
        stats("--cpu", "--port", "8188", "--output-directory", "/a b", "--fast", "fp16", free=1)
    )
    there = environment_document(stats("--cpu", "--listen", "--fast", "fp16", "--port=1", free=2))
    assert here == there
    assert here["flags"] == ["--cpu", "--fast", "fp16"]
    assert "stand_in" not in here
