"""What import-linter cannot spell: who may import what, who writes which table, and how files are named."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [ROOT / "memoryd", ROOT / "cli" / "memoryd_cli", ROOT / "ingest_plugins" / "memoryd_ingest_plugins"]
FILES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
LINES_LIMIT = 400
FORBIDDEN_NAMES = {"service", "services", "utils", "helpers", "common", "core", "manager", "misc", "data", "info"}


def is_queries(path: Path) -> bool:
    """A room's statements: `queries.py`, or a folder `queries` where they are many."""
    return path.name == "queries.py" or path.parent.name == "queries"


def is_tables(path: Path) -> bool:
    """What a room stores: `tables.py`, or a folder `tables` where it is much."""
    return path.name == "tables.py" or path.parent.name == "tables"


ALLOWED: dict[str, Callable[[Path], bool]] = {
    "sqlalchemy": lambda p: is_tables(p) or is_queries(p) or "memoryd/foundation/" in p.as_posix(),
    "psycopg": lambda p: is_queries(p) or "memoryd/foundation/" in p.as_posix(),
    "c2pa": lambda p: "memoryd/disclosure/" in p.as_posix() or p.as_posix().endswith("memoryd/ingest/manifests.py"),
    "fastapi": lambda p: (
        p.name in {"endpoints.py", "guards.py"}
        or "memoryd/stand_in/" in p.as_posix()
        or any(f"memoryd/{room}/" in p.as_posix() for room in ("web", "gateway", "app"))
    ),
    "httpx": lambda p: (
        any(f"memoryd/{room}/" in p.as_posix() for room in ("comfyui", "worker", "outpost", "events", "access"))
        or p.as_posix().endswith(("memoryd_cli/client.py", "memoryd/model_registry/looking_outside.py"))
    ),
}


@functools.cache
def source(path: Path) -> str:
    return path.read_text()


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Everything a file's tree holds: parsed once, and asked only of files whose text holds the word that is looked for."""
    return tuple(ast.walk(ast.parse(source(path))))


def imports(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("library", ALLOWED)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    strays = [
        str(path.relative_to(ROOT))
        for path in FILES
        if library in source(path)
        and not ALLOWED[library](path)
        and any(name == library or name.startswith(library + ".") for name in imports(path))
    ]
    assert strays == []


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := len(source(p).splitlines())) > LINES_LIMIT}
    assert long == {}


def test_no_file_has_a_name_that_means_the_rest() -> None:
    assert [str(p.relative_to(ROOT)) for p in FILES if p.stem in FORBIDDEN_NAMES] == []


def test_a_rooms_queries_are_its_own() -> None:
    strays = []
    for path in (path for path in (ROOT / "memoryd").rglob("*.py") if re.search(r"\bqueries\b", source(path))):
        room = path.relative_to(ROOT / "memoryd").parts[0]
        for name in imports(path):
            match = re.fullmatch(r"memoryd\.(\w+)\.queries(?:\..*)?", name)
            if match and match[1] != room:
                strays.append(f"{path.relative_to(ROOT)} imports {name}")
    assert strays == []


def _tables_by_room() -> dict[str, dict[str, str]]:
    """ORM class and table name -> room."""
    owners: dict[str, dict[str, str]] = defaultdict(dict)
    for path in (path for path in FILES if is_tables(path)):
        for node in nodes(path):
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
                continue
            if isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__tablename__":
                room = path.relative_to(ROOT / "memoryd").parts[0]
                owners[room][str(node.value.value)] = room
    return owners


def test_every_table_has_one_writer() -> None:
    """SQL text that writes a table stands only in the room that owns it."""
    owner = {table: room for room, tables in _tables_by_room().items() for table in tables}
    assert len(owner) > 40
    writes = re.compile(
        r"(?:insert\s+into|update|delete\s+from|copy|truncate)\s+(?:only\s+)?([a-z_]+)\b", re.IGNORECASE
    )
    strays = []
    for path in (path for path in (ROOT / "memoryd").rglob("*.py") if is_queries(path)):
        room = path.relative_to(ROOT / "memoryd").parts[0]
        for node in nodes(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                strays += [
                    f"{path.relative_to(ROOT)} writes {table} of {owner[table]}"
                    for table in writes.findall(node.value)
                    if table in owner and owner[table] != room
                ]
    assert strays == []


def test_nothing_speaks_of_anything_but_the_project() -> None:
    """Left-overs that a reader of the code should never meet."""
    pattern = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert [str(p.relative_to(ROOT)) for p in FILES if pattern.search(source(p))] == []
