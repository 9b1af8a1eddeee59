"""Files that were once read wrongly, and a handful of damaged ones: the fuzzer's property, in every run of the tests."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz import model_headers
from tests.fuzz.mutating import mutated
from tests.fuzz.reading import kept_seeds, outcome_of, seeds

FEW = 150


@pytest.mark.parametrize("path", kept_seeds(), ids=lambda path: path.stem)
def test_a_file_that_once_failed_is_read(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    assert outcome_of(content, content, tmp_path).fault is None


def test_damaged_files_of_every_kind_are_facts_or_findings(tmp_path: Path) -> None:
    contents = seeds()
    for number in range(FEW):
        seed, content = mutated(contents, random.Random(number))
        assert outcome_of(content, contents[seed], tmp_path).fault is None, number


def test_models_that_once_failed_are_described(tmp_path: Path) -> None:
    for path in model_headers.kept_seeds():
        outcome = model_headers.outcome_of(model_headers.ending_of(path), path.read_bytes(), tmp_path)
        assert outcome.fault is None, path


def test_damaged_models_of_every_format_are_facts_or_findings(tmp_path: Path) -> None:
    endings, contents = zip(*model_headers.seeds(), strict=True)
    for number in range(FEW):
        seed, content = mutated(contents, random.Random(number))
        assert model_headers.outcome_of(endings[seed], content, tmp_path).fault is None, number
