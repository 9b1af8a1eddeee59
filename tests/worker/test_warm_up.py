"""A pool's warm-up graph comes before the first claim; where it fails, nothing is claimed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memoryd.comfyui.client import ComfyClient
from memoryd.worker import warm_up
from tests.worker.graphs import painting, picture


def test_it_runs_before_the_first_claim_and_only_once(server: Any, start: Any, engine_url: str) -> None:
    server.warm_up = painting(steps=50)
    with start(), ComfyClient(engine_url) as comfyui:
        server.wait_for(lambda: comfyui.queue().running)
        assert server.claims_asked == 0
        server.add(picture())
        server.wait_for(lambda: server.completed)
        history = comfyui.object_info("KSampler")
    assert history
    assert len(server.completed) == 1


def test_while_it_fails_nothing_is_claimed_and_the_log_says_why(
    server: Any, start: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(warm_up, "PAUSE_FIRST_S", 0.05)
    graph = json.loads(picture())
    graph["2"]["inputs"]["filename_prefix"] = "../../escape"
    server.warm_up = json.dumps(graph)
    with start():
        server.add(picture())
        server.wait_for(lambda: caplog.text.count("warm-up graph fails") >= 2)
    assert server.claims_asked == 0
    assert "Saving image outside the output folder" in caplog.text


def test_a_warm_up_that_comfyui_refuses_names_the_node(
    server: Any, start: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(warm_up, "PAUSE_FIRST_S", 0.05)
    server.warm_up = picture().replace("EmptyImage", "SomeNodePack")
    with start():
        server.wait_for(lambda: "SomeNodePack" in caplog.text)
    assert server.claims_asked == 0
