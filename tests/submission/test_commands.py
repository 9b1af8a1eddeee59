"""`submit`, `jobs` and `groups`, against this room's own endpoints."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from memoryd.foundation.errors import MemorydError
from memoryd_cli import groups, jobs, submit
from memoryd_cli.client import Client, ServerSilent
from tests.submission.conftest import GRAPH, FarmHand
from tests.submission.test_endpoints import picture
from tests.submission.test_what_people_do import state

app = typer.Typer()
for part in (submit, jobs, groups):
    part.register(app)
RUN = CliRunner()
NOW = datetime.datetime(2026, 11, 21, 19, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))


@pytest.fixture(autouse=True)
def _spoken_to(person: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("http://127.0.0.1:7860", None, transport=person._transport)
    for part in (submit, jobs, groups):
        monkeypatch.setattr(part, "server", lambda: client)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "colours.json"
    path.write_text(json.dumps(GRAPH))
    return path


def run(*words: str | Path, code: int = 0) -> str:
    answer = RUN.invoke(app, [str(word) for word in words])
    if isinstance(answer.exception, MemorydError):
        raise answer.exception
    assert answer.exit_code == code, answer.output
    return answer.output


def test_a_graph_is_submitted_and_its_start_is_told(
    graph: Path, join: Callable[..., FarmHand], person: TestClient
) -> None:
    said = run("submit", graph)
    assert "0 ahead at most" in said
    assert "nothing is known of pool 'default'" in said
    assert "no worker of pool 'default' is online" in said
    join()
    from memoryd.dispatch.estimating import estimates_of

    offices = person.app.state.offices  # type: ignore[attr-defined]
    estimates_of(offices.database).refresh(offices.database, whole=True)
    said = run("submit", graph, "--urgency", "realtime", "--name", "Hero")
    assert "starts in about 0 s" in said
    assert "Next: memoryd jobs watch" in said
    job = json.loads(run("submit", graph, "--at", "+2h", "--json"))
    assert state(person, job["id"]) == "delayed"
    after = json.loads(run("submit", graph, "--after", job["id"], "--json"))
    assert state(person, after["id"]) == "held"


def test_a_job_is_waited_for_to_its_end(graph: Path, join: Callable[..., FarmHand]) -> None:
    job = json.loads(run("submit", graph, "--json"))["id"]
    run("jobs", "cancel", job)
    assert "cancelled" in run("jobs", "watch", job, code=11)
    hand = join()
    again = run("jobs", "retry", job)
    claimed = hand.claim()
    assert claimed is not None
    assert claimed["job_id"] in again
    hand.upload(claimed, 0, picture())
    hand.report(claimed, picture())
    assert "succeeded" in run("jobs", "watch", claimed["job_id"])
    assert "made_00000_.png" in run("jobs", "show", claimed["job_id"])
    document = json.loads(run("jobs", "document", claimed["job_id"]))
    assert (document["schema_version"], document["name"]) == ("job.v1", "colours")


def test_a_grid_and_a_table_are_submitted(graph: Path, tmp_path: Path) -> None:
    prompts, table = tmp_path / "prefixes.txt", tmp_path / "rows.csv"
    prompts.write_text("a fox\n\na wolf\n")
    table.write_text("1.width,1.height\n64,32\n32,64\n")
    made = json.loads(
        run(
            "submit",
            graph,
            "--grid",
            "1.color=1..3",
            "--grid",
            f"2.filename_prefix=@{prompts}",
            "--csv",
            table,
            "--json",
        )
    )
    assert made["total"] == 12
    listed = json.loads(run("groups", "items", made["id"], "--json"))["items"]
    assert listed[0]["values"] == {
        "1.width": 64,
        "1.height": 32,
        "1.color": 1,
        "2.filename_prefix": "a fox",
    }
    assert "12 ready" in run("groups", "show", made["id"])
    assert "colours" in run("groups", "list")
    assert "is paused" in run("groups", "pause", made["id"])
    assert "was paused before" in run("groups", "pause", made["id"])
    assert "goes on" in run("groups", "resume", made["id"])
    assert "12 items" in run("groups", "cancel", made["id"])
    assert "items, ended" in run("groups", "watch", made["id"], code=13)
    assert "12 items run again" in run("groups", "retry", made["id"])
    assert "group" in run("submit", graph, "--grid", "1.color=random:2")


def test_given_up_jobs_are_listed_and_named_by_what_fits() -> None:
    assert json.loads(run("jobs", "dead", "--json"))["items"] == []
    assert "0 jobs are tried again" in run("jobs", "replay", "--pool", "default")
    assert "0 jobs are discarded" in run("jobs", "discard", "--all")
    for words in (("replay",), ("discard",), ("replay", "--since", "soon")):
        with pytest.raises(MemorydError) as refused:
            run("jobs", *words)
        assert refused.value.hint


def test_jobs_change_places(graph: Path) -> None:
    first, second = (json.loads(run("submit", graph, "--json"))["id"] for _ in range(2))
    assert "2 of your jobs changed places" in run("jobs", "move", second, "--before", first)
    run("jobs", "move", first, "--first")
    with pytest.raises(MemorydError):
        run("jobs", "move", first)


@pytest.mark.parametrize(
    ("spelled", "values"),
    [
        ("3.seed=1..3", ["1", "2", "3"]),
        ("3.seed=3..1..-1", ["3", "2", "1"]),
        ("3.seed=18446744073709551614..18446744073709551615", ["18446744073709551614", "18446744073709551615"]),
        ("3.cfg=5..6..0.5", [5.0, 5.5, 6.0]),
        ("3.sampler_name=euler,heun", ["euler", "heun"]),
        ("3.seed=7", ["7"]),
    ],
)
def test_an_axis_is_read(spelled: str, values: list[Any]) -> None:
    assert submit._axis(spelled)["values"] == values


@pytest.mark.parametrize(
    "spelled", ["3.seed", "seed=1..3", "3.seed=1..3..-1", "3.seed=1..99999", "3.seed=1..2..0", "3.seed=random:0"]
)
def test_an_axis_that_is_none_is_refused(spelled: str) -> None:
    with pytest.raises(submit.BadAxis) as refused:
        submit._axis(spelled)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("spelled", "moment"),
    [
        ("+90m", "2026-11-21T21:00:00+01:00"),
        ("22:15", "2026-11-21T22:15:00+01:00"),
        ("03:00", "2026-11-22T03:00:00+01:00"),
        ("2026-11-22T03:00", "2026-11-22T03:00:00+01:00"),
        ("2026-11-22T03:00Z", "2026-11-22T03:00:00+00:00"),
    ],
)
def test_a_moment_is_read(spelled: str, moment: str) -> None:
    assert submit._moment(spelled, NOW) == moment


def test_a_moment_that_is_none_is_refused() -> None:
    with pytest.raises(submit.BadTime):
        submit._moment("tonight", NOW)


def test_a_job_says_where_it_stands_and_what_to_do_next(graph: Path, join: Callable[..., FarmHand]) -> None:
    later = json.loads(run("submit", graph, "--at", "+2h", "--json"))["id"]
    assert ": delayed, not before 2" in run("jobs", "show", later)
    waits = json.loads(run("submit", graph, "--after", later, "--json"))["id"]
    assert f"held, until job {later} has succeeded" in run("jobs", "show", waits)
    run("jobs", "cancel", later)
    assert later in run("jobs", "show", waits)  # why it was cancelled with it
    ready = json.loads(run("submit", graph, "--json"))["id"]
    assert ": ready, 0 ahead at most, " in run("jobs", "show", ready)
    hand = join()
    assert hand.claim() is not None
    assert ": leased by " in run("jobs", "show", ready)


def test_waiting_tells_the_jobs_id_first(graph: Path, person: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "stream", interrupted)
    answer = RUN.invoke(app, ["submit", str(graph), "--wait"])
    job = person.get("/v1/jobs").json()["items"][0]["id"]
    assert answer.output.startswith(f"job {job}: 0 ahead at most")
    assert f"job {job} goes on without this" in answer.output


def test_what_is_followed_is_found_again_after_the_server_was_away(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memoryd_cli.client.AGAIN_S", 0.0)
    job = json.loads(run("submit", graph, "--json"))["id"]
    group = json.loads(run("submit", graph, "--grid", "1.color=1..2", "--json"))["id"]
    streamed = Client.stream
    broken: list[str] = []

    def breaking(client: Client, path: str, **params: Any) -> Any:
        if path in broken:
            yield from streamed(client, path, **params)
            return
        broken.append(path)
        yield {"seq": 0, "state": "ready", "worker": None, "reason": None, "done": 0.0, "counts": {}, "ends_in_s": None}
        run("groups", "cancel", group)
        run("jobs", "cancel", job)
        raise ServerSilent("gone")

    monkeypatch.setattr(Client, "stream", breaking)
    assert "looked for again" in run("jobs", "watch", job, code=11)
    assert "looked for again" in run("groups", "watch", group, code=13)


def test_a_server_that_was_never_there_is_not_waited_for(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = json.loads(run("submit", graph, "--json"))["id"]

    def gone(*_: object, **__: object) -> Any:
        raise ServerSilent("gone")

    monkeypatch.setattr(Client, "stream", gone)
    with pytest.raises(ServerSilent):
        run("jobs", "watch", job)


def test_jobs_of_a_state_are_found_behind_many_newer_ones(
    graph: Path, person: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = json.loads(run("submit", graph, "--at", "+2h", "--json"))["id"]
    run("submit", graph, "--grid", "1.color=1..30")
    assert old in run("jobs", "list", "--state", "delayed", "--limit", "1")
    monkeypatch.setattr("memoryd.submission.viewing.CHUNKS_LIMIT", 1)
    monkeypatch.setattr("memoryd.submission.viewing.CHUNK_OF_STATE", 4)
    assert person.get("/v1/jobs", params={"state": "delayed"}).json()["items"] == []
    assert old in run("jobs", "list", "--state", "delayed")
    said = run("groups", "items", json.loads(run("groups", "list", "--json"))["items"][0]["id"], "--limit", "7")
    assert "these are the first 7" in said


def test_a_run_with_previews_is_followed_to_its_end(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = json.loads(run("submit", graph, "--json"))["id"]

    def with_a_preview(client: Client, path: str, **_: Any) -> Any:
        yield {"state": "leased", "phase": "running", "progress": 0.5}
        yield {"number": 1}
        run("jobs", "cancel", job)

    monkeypatch.setattr(Client, "stream", with_a_preview)
    assert "  running\n" in run("jobs", "watch", job, code=11)
