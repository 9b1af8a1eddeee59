"""What is not known of a run counts as a model of which nothing is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from memoryd.clearance.facts import UNKNOWN_MAKING
from memoryd.clearance.gathering import NO_MODEL_NAMED, _Facts, _of_run

RUN = UUID(int=1)


@pytest.mark.parametrize(
    ("roles", "unknown"),
    [((), True), (("vae",), True), (("loras", "text_encoders"), True), (("checkpoints", "vae"), False)],
)
def test_helpers_alone_do_not_say_what_a_picture_was_sampled_with(roles: tuple[str, ...], unknown: bool) -> None:
    run: Any = SimpleNamespace(generation_id=RUN, node="9", generates=True)
    models: Any = [SimpleNamespace(sha256=b"m" * 32, role=role, name=f"{role}.safetensors") for role in roles]
    entries = list(_of_run(run, _Facts(models={(RUN, "9"): models}, inputs={}), elsewhere=False))
    assert (NO_MODEL_NAMED in {one.name for one in entries if one.role == UNKNOWN_MAKING}) is unknown
