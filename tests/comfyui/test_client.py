from __future__ import annotations

import pytest

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineDown, PromptRefused, error_words

NOBODY = "http://127.0.0.1:9"


def test_an_engine_that_is_away_is_said_to_be_down() -> None:
    with ComfyClient(NOBODY) as client:
        with pytest.raises(EngineDown) as down:
            client.system_stats()
        with pytest.raises(EngineDown):
            client.events("x")
    assert NOBODY in down.value.detail
    assert "start ComfyUI" in str(down.value.hint)


def test_only_what_another_engine_might_have_counts_as_lacking() -> None:
    def refused(kind: str, *words: str) -> PromptRefused:
        errors: dict[str, object] = {"1": {"errors": [{"type": word} for word in words]}}
        return PromptRefused("no", kind=kind, node_errors=errors, extra={})  # type: ignore[arg-type]

    assert refused("missing_node_type").lacks
    assert refused("invalid_prompt").lacks  # what 0.3.64 calls it
    assert refused("prompt_outputs_failed_validation", "value_not_in_list").lacks
    assert not refused("prompt_outputs_failed_validation", "value_smaller_than_min").lacks
    assert error_words({"1": None, "2": {"errors": [3, {"type": "x"}]}}) == ["x"]  # type: ignore[list-item]
