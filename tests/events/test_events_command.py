"""`memoryd events`, against a server that listens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from memoryd.access.guards import Offices
from memoryd.events import endpoints, outbox, relay, streams
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import new_id
from memoryd.foundation.settings import Settings
from memoryd_cli import events
from memoryd_cli.client import Client
from tests.dispatch.test_worker_sockets import serving

Command = Callable[..., Result]


@pytest.fixture
def command(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    app = FastAPI()
    app.state.offices = Offices(
        settings=Settings(home=tmp_path),
        database=database,
        store=None,  # type: ignore[arg-type]
        keys=tmp_path,
    )
    app.include_router(endpoints.router, prefix="/v1")
    with serving(app) as url:
        client = Client(url, None)
        monkeypatch.setattr(events, "server", lambda: client)
        commands = typer.Typer()
        events.register(commands)
        yield lambda *words: CliRunner().invoke(commands, list(words))
        client._http.close()


def happen(database: Database, tenant: TenantScope, *kinds: str) -> None:
    with database.tenant_work(tenant) as session:
        for kind in kinds:
            outbox.announce(session, kind, new_id(), {"worker": "gpu\x1b[2J", "nothing": None})
    relay.relay_once(database, tenant)


def test_what_happened_is_told_by_kind_and_since(command: Command, database: Database, tenant: TenantScope) -> None:
    happen(database, tenant, "job.queued", "worker.silent", "job.dead")
    told = command("--no-follow").output.splitlines()
    assert [line.split()[0] for line in told] == ["1", "2", "3"]
    assert "worker.silent" in told[1]
    assert "worker=gpu\\x1b[2J" in told[1], "no escape sequence reaches the terminal"
    assert "nothing" not in told[1]
    lines = command("--no-follow", "--kind", "job.*", "--since", "1", "--json").output.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["job.dead"]
    assert "no longer kept" in command("--no-follow", "--since", "99").output


def test_a_stream_that_ended_is_taken_up_where_it_stopped(
    command: Command, database: Database, tenant: TenantScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = streams.follow
    monkeypatch.setattr(streams, "follow", lambda *a, **k: follow(*a, **{**k, "life_s": 0.1}))
    monkeypatch.setattr(streams, "LOOK_EVERY_S", 0.05)
    happen(database, tenant, "a.one", "a.two")
    told: list[str] = []

    def tell(event: dict[str, str], *, json: bool) -> None:
        told.append(event["kind"])
        if event["kind"] == "a.three":
            raise KeyboardInterrupt
        if len(told) == 2:
            happen(database, tenant, "a.three")

    monkeypatch.setattr(events, "_tell", tell)
    command("--since", "0")
    assert told == ["a.one", "a.two", "a.three"]
