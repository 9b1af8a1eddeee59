"""The examples of docs/writing_an_ingest_plugin.md, run as they stand there."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from memoryd.plugin_api.dialects import Dialect
from memoryd.plugin_api.door import IngestPlugin, read_stream
from memoryd.plugin_api.facts import Completeness

PAGE = Path(__file__).resolve().parents[2] / "docs" / "writing_an_ingest_plugin.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the page's examples define, by example."""
    found: dict[str, Any] = {}
    for block in BLOCKS:
        named = re.match(r"# (\w+)\.py", block)
        module = types.ModuleType(named.group(1) if named else "example")
        if named:
            monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(block, str(PAGE), "exec"), module.__dict__)  # noqa: S102 - it is our own page
        found |= {name: value for name, value in vars(module).items() if not name.startswith("__")}
    return found


def test_the_container_of_the_page_reads_its_files(examples: dict[str, Any], tmp_path: Path) -> None:
    plugin = examples["plugin"]
    assert isinstance(plugin, IngestPlugin)
    path = tmp_path / "a"
    path.write_bytes(b'MYFMT\x01\x00\x0b{"1": {}}  ')
    with path.open("rb") as stream:
        reading = read_stream(plugin, stream)
    assert (reading.prompt, reading.findings, reading.completeness) == (0, (), Completeness.COMPLETE)
    assert reading.carriers[0].place == "my:text"


@pytest.mark.parametrize(("trials", "installed"), [("TestMyFormat", "installed"), ("TestMyTool", "installed")])
def test_the_examples_pass_the_trials(examples: dict[str, Any], trials: str, installed: str) -> None:
    suite = examples[trials]()
    for name in dir(suite):
        if name.startswith("test_") and installed not in name:
            getattr(suite, name)()


def test_the_dialect_of_the_page_understands_its_line(examples: dict[str, Any]) -> None:
    dialect = examples["dialect"]
    assert isinstance(dialect, Dialect)
    recipe = dialect.understand(examples["TestMyTool"].spoken[0])
    assert recipe is not None
    assert (recipe.passes[0].seed, recipe.passes[0].steps, recipe.texts[0].text) == (7, 20, "fox")
