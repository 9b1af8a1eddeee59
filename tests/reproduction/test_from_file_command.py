"""`memoryd identify` and `memoryd reproduce FILE`: the original first, a choice where there is one, and nothing silent."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from memoryd.access.facts import Role
from memoryd_cli import identifying, plans, reproduction, search
from memoryd_cli.client import Client
from memoryd_cli.main import command_line
from tests.reproduction.painting import comfy_png, painted
from tests.reproduction.studio import Studio, studio
from tests.reproduction.test_from_file import encoded, one

__all__ = ["studio"]

Run = Callable[..., Result]


@pytest.fixture
def run(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command against the application."""
    with studio.speaking() as speaking:
        token = studio.key(Role.ADMIN)["Authorization"].removeprefix("Bearer ")
        client = Client("https://studio.example", token, transport=speaking._transport)
        for module in (identifying, plans, reproduction, search):
            monkeypatch.setattr(module, "server", lambda: client)
        app = command_line(("identifying", "reproduction"))
        yield lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


def test_a_recognised_copy_leads_to_the_original_s_own_file(studio: Studio, run: Run, tmp_path: Path) -> None:
    content = comfy_png(painted(1), seed=1)
    one(studio, "fox.png", content)
    studio.do_chores()
    copy, saved = tmp_path / "client.jpg", tmp_path / "original.png"
    copy.write_bytes(encoded(painted(1), quality=40))
    told = run("reproduce", copy)
    assert told.exit_code == 0, told.output
    assert "its bytes are not the original's" in told.output
    assert told.output.index("--save PATH") < told.output.index("--again")
    assert "verdict" not in told.output
    written = run("reproduce", copy, "--save", saved)
    assert written.exit_code == 0, written.output
    assert saved.read_bytes() == content
    kept = run("reproduce", copy, "--save", saved)
    assert isinstance(kept.exception, FileExistsError)
    assert saved.read_bytes() == content
    planned = run("reproduce", copy, "--plan", "--json")
    assert json.loads(planned.stdout)["batch_size"] == 1, "what its original needs"
    again = run("reproduce", copy, "--again", "--json")
    assert json.loads(again.stdout)["chosen"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_several_plausible_originals_stop_the_command_until_one_is_chosen(
    studio: Studio, run: Run, tmp_path: Path
) -> None:
    first, second = painted(1), painted(1, wobble=(5, 2.0))
    contents = [comfy_png(first, seed=1), comfy_png(second, seed=2)]
    one(studio, "fox.png", contents[0])
    one(studio, "variant.png", contents[1])
    studio.do_chores()
    copy = tmp_path / "client.jpg"
    copy.write_bytes(encoded(first, quality=30))
    for more in ((), ("--wait",), ("--save", tmp_path / "x.png"), ("--again",)):
        asked = run("reproduce", copy, *more)
        assert asked.exit_code == identifying.EXIT_CHOOSE, asked.output
        assert "--choose N" in asked.output
        assert "seed" in asked.output
    assert not (tmp_path / "x.png").exists()
    listed = json.loads(run("reproduce", copy, "--json").stdout)["file"]["candidates"]
    assert [each["number"] for each in listed] == [1, 2]
    for each in listed:
        place = tmp_path / f"{each['number']}.png"
        assert run("reproduce", copy, "--choose", each["number"], "--save", place).exit_code == 0
        assert hashlib.sha256(place.read_bytes()).hexdigest() == each["sha256"]
    assert isinstance(run("reproduce", copy, "--choose", 3).exception, identifying.NoSuchCandidate)
    assert run("identify", copy, copy).exit_code == identifying.EXIT_CHOOSE


def test_an_unknown_file_is_said_to_be_and_can_be_taken_in(studio: Studio, run: Run, tmp_path: Path) -> None:
    strange, told = tmp_path / "strange.jpg", tmp_path / "told.png"
    strange.write_bytes(encoded(painted(7)))
    told.write_bytes(comfy_png(painted(8), seed=8))
    assert run("identify", strange, "--json").exit_code == 5
    asked = run("reproduce", strange)
    assert (asked.exit_code, "memoryd ingest" in asked.output) == (5, True)
    with_graph = run("reproduce", told)
    assert (with_graph.exit_code, "--take-in" in with_graph.output) == (5, True)
    made = run("reproduce", told, "--take-in", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["asset_id"]
    known = json.loads(run("identify", told, "--json").stdout)
    assert known[0]["standing"] == "exact"


def test_a_known_file_is_made_again_as_ever(studio: Studio, run: Run, tmp_path: Path) -> None:
    content = comfy_png(painted(1), seed=1)
    sha256 = one(studio, "fox.png", content)
    for ref in (studio.folder / "fox.png", sha256, sha256[:12]):
        made = run("reproduce", ref, "--json")
        assert made.exit_code == 0, made.output
        assert json.loads(made.stdout)["asset_id"]
    saved = tmp_path / "out"
    saved.mkdir()
    assert run("reproduce", sha256, "--save", saved).exit_code == 0
    assert (saved / "fox.png").read_bytes() == content


def test_what_is_refused_at_once_ends_with_its_code_and_words_that_mean_nothing_here_are_refused(
    studio: Studio, run: Run, tmp_path: Path
) -> None:
    plain = one(studio, "plain.png", encoded(painted(3)))
    refused = run("reproduce", plain)
    assert refused.exit_code == 12, refused.output
    assert "verdict: not attempted" in refused.output
    for words in (("--approved",), ("--project", "film"), ("--plan", "--search", "fox")):
        said = run("reproduce", plain, *words)
        assert said.exit_code == 2, said.output
        assert "--plan --project" in said.output
    odd = tmp_path / "client's copy.png"
    odd.write_bytes(b"no picture")
    assert (
        f"memoryd ingest {shlex.quote(str(odd))}"
        in str(vars(run("reproduce", odd).exception or SystemExit())) + run("identify", odd).output
    )
