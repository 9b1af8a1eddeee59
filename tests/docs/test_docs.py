"""The docs under test: what they name must be there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memoryd.reproduction.facts import Verdict
from memoryd.search.fields import FIELDS, HAS
from memoryd_cli.reproduction import EXIT_CODES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_field_of_the_search_language_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "search_language.md").read_text()
    rows = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    assert {field for row in rows for field in re.findall(r"`(\w+):", row)} == set(FIELDS)
    assert all(f"`{word}`" in page for word in HAS)


def test_every_verdict_is_documented_with_its_exit_code() -> None:
    page = (ROOT / "docs" / "reproduction.md").read_text()
    for verdict in Verdict:
        assert re.search(rf"^\| {verdict.value} \|.*\| {EXIT_CODES[verdict.value]} \|$", page, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = set(
        re.findall(
            r"`((?:memoryd|cli|ingest_plugins|tests|docs|benchmarks|migrations|schemas)/[\w./]+)`", page.read_text()
        )
    )
    assert {path for path in named if not (ROOT / path).exists()} == set()
