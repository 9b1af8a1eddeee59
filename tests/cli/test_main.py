"""The command line as a whole."""

from __future__ import annotations

import pytest
import typer

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
