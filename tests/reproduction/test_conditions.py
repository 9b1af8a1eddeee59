"""What stands beside a verdict short of identical: named, never guessed."""

from __future__ import annotations

from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.conditions import SHOWN_LIMIT, copy_cause, environment_cause, weights_causes

THEN: dict[str, Json] = {
    "comfyui": "0.28.0",
    "packages": {"pillow": "11.0", "numpy": "2.1"},
    "flags": [],
    "os": "linux",
}


def test_differences_of_environment_are_spelled_out() -> None:
    now: dict[str, Json] = {
        **THEN,
        "comfyui": "0.29.0",
        "packages": {"pillow": "12.0", "numpy": "2.1"},
        "flags": ["--cpu"],
    }
    cause = environment_cause(THEN, now)
    assert cause.code == "environment-differs"
    assert cause.detail == (
        "comfyui: 0.28.0 then, 0.29.0 now; flags: none then, --cpu now; packages pillow: 11.0 then, 12.0 now"
    )


def test_many_differences_are_counted() -> None:
    then: dict[str, Json] = {f"key{index}": 1 for index in range(SHOWN_LIMIT + 2)}
    assert environment_cause(then, {}).detail.endswith("; 2 more")


def test_the_same_and_the_unknown_environment_are_two_things() -> None:
    assert environment_cause(THEN, dict(THEN)).code == "environment-same"
    assert environment_cause(None, THEN).code == "environment-unknown"
    assert environment_cause(THEN, None).code == "environment-unknown"


def test_only_models_without_a_hash_are_unknown() -> None:
    known: dict[str, Json] = {"folder": "loras", "name": "a", "sha256": "00"}
    assert weights_causes([known]) == ()
    (cause,) = weights_causes([known, {"folder": "checkpoints", "name": "b", "sha256": None}])
    assert cause.code == "weights-unknown"
    assert cause.detail.endswith(": checkpoints/b")


def test_a_copy_is_never_said_to_be_identical_itself() -> None:
    assert copy_cause(b"\xab" * 32).detail.startswith("this is a copy")
