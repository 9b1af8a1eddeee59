"""Evidence in words."""

from __future__ import annotations

import pytest

from memoryd.catalog.likeness_words import seen_by


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (
            {"by": "pixels", "recipe": "v1", "distance": 0, "child_size": [64, 64], "parent_size": [64, 64]},
            "the same pixels; both 64 x 64",
        ),
        (
            {"by": "fingerprint", "recipe": "x", "distance": 3, "child_size": [9, 8], "parent_size": [18, 16]},
            "it shows nearly the same (3 of 256 bits differ); 9 x 8, from 18 x 16",
        ),
        (
            {"by": "mirrored", "distance": 12, "child_size": [None, 8], "parent_size": [18, 16]},
            "it shows nearly the same, mirrored (12 of 256 bits differ)",
        ),
        ({"by": "name", "common_part": "take4"}, "by name; common part take4"),
        ({}, ""),
    ],
)
def test_evidence_is_said_in_words(evidence: dict[str, object], words: str) -> None:
    assert seen_by(evidence) == words
