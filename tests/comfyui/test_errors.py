"""What a refusal of ComfyUI means for the job: another machine's turn, or the job's own fault."""

from __future__ import annotations

import pytest

from memoryd.comfyui.errors import PromptRefused


def refused(kind: str, *words: str) -> PromptRefused:
    errors = {"10": {"errors": [{"type": word} for word in words], "class_type": "LoadImage"}}
    return PromptRefused("no", kind=kind, node_errors=errors, extra={})


@pytest.mark.parametrize(
    ("kind", "words", "lacks"),
    [
        ("missing_node_type", (), True),
        ("prompt_outputs_failed_validation", ("value_not_in_list",), True),
        ("prompt_outputs_failed_validation", ("custom_validation_failed",), False),
        ("prompt_outputs_failed_validation", ("value_not_in_list", "custom_validation_failed"), False),
        ("prompt_outputs_failed_validation", ("required_input_missing",), False),
    ],
)
def test_only_nodes_and_models_may_be_had_elsewhere(kind: str, words: tuple[str, ...], lacks: bool) -> None:
    error = refused(kind, *words)
    assert error.lacks is lacks
    assert error.hint
