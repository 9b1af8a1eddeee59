"""What is sent to ComfyUI with a run."""

from __future__ import annotations

import json

import pytest

from memoryd.comfyui.submitted_graph import submittable
from memoryd.worker.run_follower import with_previews


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("{}", '{"preview_method": "auto"}'),
        (' { "extra_pnginfo": {"zz": 1.50} }', '{"preview_method": "auto",  "extra_pnginfo": {"zz": 1.50} }'),
        ('{"preview_method": "none"}', '{"preview_method": "none"}'),
        ("[]", "[]"),
    ],
)
def test_pictures_of_the_run_are_asked_for_and_nothing_else_is_touched(given: str, sent: str) -> None:
    assert with_previews(given) == sent
    json.loads(with_previews(given))


def test_a_graph_without_is_changed_is_sent_as_it_is_spelled() -> None:
    spelled = '{"1":{"class_type":"X", "inputs":{"seed":18446744073709551615,"cfg":7.50}}}'
    assert submittable(spelled) is spelled


def test_is_changed_is_taken_out_and_integers_stay_exact() -> None:
    graph = {"1": {"class_type": "X", "inputs": {"seed": 2**64 - 1}, "is_changed": ["a"]}}
    assert json.loads(submittable(json.dumps(graph))) == {"1": {"class_type": "X", "inputs": {"seed": 2**64 - 1}}}
