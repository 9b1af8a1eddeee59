"""The command line as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from memoryd_cli.file_trouble import FileTrouble
from memoryd_cli.main import PARTS, command_line, parts_for


def names(app: typer.Typer) -> set[str]:
    commands = {c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands if c.callback}
    return commands | {str(group.name) for group in app.registered_groups}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_adds_exactly_the_commands_it_is_loaded_for(part: str) -> None:
    assert names(command_line([part])) == set(PARTS[part])


def test_what_is_no_command_loads_everything_so_that_help_is_whole() -> None:
    assert parts_for([]) == parts_for(["--help"]) == parts_for(["serach"]) == tuple(PARTS)
    assert parts_for(["search", "fox"]) == ("search",)


def run_unread(*command: str, home: Path, lines: int = 0) -> tuple[int, str, str]:
    """Run a command whose output is read for some lines and then by nobody; return its exit code, these lines, its errors."""
    environment = {**os.environ, "MEMORYD_HOME": str(home)}
    with subprocess.Popen(
        [sys.executable, "-m", "memoryd_cli", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout
        assert running.stderr
        read = "".join(running.stdout.readline() for _ in range(lines))
        running.stdout.close()
        said = running.stderr.read()
    return running.returncode, read, said


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_a_command_that_nobody_reads_ends_quietly_and_well(tmp_path: Path, json: tuple[str, ...]) -> None:
    assert run_unread("db", "status", *json, home=tmp_path / "none") == (0, "", "")


def test_a_command_whose_reader_goes_away_in_the_middle_ends_quietly_and_well(tmp_path: Path) -> None:
    lone = tmp_path / "lone.json"
    lone.write_text("{}")
    # Beyond what a pipe holds while nobody reads.
    files = [str(lone)] * 2_000
    code, read, said = run_unread("extract", *files, "--jsonl", home=tmp_path, lines=1)
    assert (code, said) == (0, "")
    assert read.startswith("{")


def test_a_failure_keeps_its_exit_code_where_nobody_reads(tmp_path: Path) -> None:
    code, _, said = run_unread("extract", str(tmp_path / "gone.png"), home=tmp_path)
    assert code not in (0, 120)
    assert said
    assert "Traceback" not in said


def test_a_pipe_to_another_program_that_breaks_is_a_failure() -> None:
    app = command_line(["enrichment"])

    @app.command()
    def broken() -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(FileTrouble):
        app(["broken"])
