"""What of a run's time is loading, told by its events."""

from __future__ import annotations

import json

import pytest

from memoryd.comfyui.frames import Message
from memoryd.worker.run_clock import RunClock, loads_weights
from tests.worker.graphs import painting


def said(kind: str, **body: object) -> Message:
    return Message(type=kind, body=body)  # type: ignore[arg-type] # as it comes


@pytest.mark.parametrize(
    "name",
    ["CheckpointLoaderSimple", "LoraLoader", "UnetLoaderGGUF", "DualCLIPLoader", "VAELoader", "CLIPVisionLoader"],
)
def test_loaders_of_weights_are_known_by_name(name: str) -> None:
    assert loads_weights(name)


@pytest.mark.parametrize("name", ["LoadImage", "LoadImageMask", "LoadAudio", "VHS_LoadVideo", "LoadLatent", "KSampler"])
def test_other_nodes_load_none(name: str) -> None:
    assert not loads_weights(name)


def test_loading_is_the_loaders_time_and_the_first_steps_surplus() -> None:
    clock = RunClock(json.loads(painting()))
    clock.note(said("execution_start"), 0)
    clock.note(said("executing", node="4"), 1)
    clock.note(said("executing", node="6"), 4)
    clock.note(said("executing", node="3"), 5)
    for second, step in ((8.0, 1), (8.5, 2), (9.0, 3)):
        clock.note(said("progress", node="3", value=step), second)
    clock.note(said("executing", node=None), 10)
    assert clock.loading_s == pytest.approx(3 + 2.5)
    assert clock.model_loaded is True


def test_a_warm_run_loads_nothing() -> None:
    clock = RunClock(json.loads(painting()))
    clock.note(said("execution_start"), 0)
    clock.note(said("executing", node="3"), 1)
    clock.note(said("progress", node="3"), 1.5)
    clock.note(said("progress", node="3"), 2)
    clock.note(said("executing", node=None), 3)
    assert (clock.loading_s, clock.model_loaded) == (0, False)


def test_a_run_whose_beginning_was_missed_tells_nothing() -> None:
    clock = RunClock(json.loads(painting()))
    clock.note(said("executing", node="3"), 1)
    assert (clock.loading_s, clock.model_loaded) == (None, None)
