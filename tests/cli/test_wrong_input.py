"""Every command that is given nonsense says in words what is wrong, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from memoryd.foundation.errors import MemorydError
from memoryd_cli import attribution, graphs, importing, ingest

RUN = CliRunner()


def refused(*words: str) -> MemorydError:
    app = typer.Typer()
    for part in (attribution, graphs, importing, ingest):
        part.register(app)
    error = RUN.invoke(app, list(words)).exception
    assert isinstance(error, MemorydError), error
    assert error.hint
    return error


@pytest.mark.parametrize(
    "words",
    [
        ("extract", "{at}/nosuch.png"),
        ("extract", "{at}"),
        ("extract", "{at}/empty.png"),
        ("extract", "{at}/zeros.png"),
        ("extract", "{at}/fine.json", "--object-info", "{at}/nosuch.json"),
        ("extract", "{at}/fine.json", "--object-info", "{at}/broken.json"),
        ("proposals", "accept", "abc"),
        ("proposals", "refuse", "1"),
        ("attribute", "--undo", "abc"),
        ("quarantine", "retry", "abc"),
        ("import", "xmp", "{at}/nosuch"),
        ("import", "iib", "{at}/nosuch.db"),
        ("import", "iib", "{at}/broken.json"),
        ("import", "smartgallery", "{at}/zeros.png"),
    ],
)
def test_nonsense_is_answered_with_the_next_step(words: tuple[str, ...], tmp_path: Path) -> None:
    for name, content in {"empty.png": b"", "zeros.png": bytes(99), "fine.json": b"{}", "broken.json": b"{"}.items():
        (tmp_path / name).write_bytes(content)
    refused(*(word.format(at=tmp_path) for word in words))


def test_a_folder_is_not_counted_as_one_file(tmp_path: Path) -> None:
    assert "is a folder" in refused("extract", str(tmp_path)).detail


def test_a_map_that_is_none_is_said_before_anything_is_read(tmp_path: Path) -> None:
    app = typer.Typer()
    importing.register(app)
    assert "OLD=NEW" in RUN.invoke(app, ["import", "xmp", str(tmp_path), "--map", "foo"]).output
