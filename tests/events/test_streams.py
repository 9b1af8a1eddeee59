from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from memoryd.access.facts import Caller, Scope
from memoryd.events import endpoints, outbox, relay, streams
from memoryd.events.wire import KEEP_ALIVE
from memoryd.foundation.database import Database, TenantScope
from tests.events.conftest import TestClient, key_of


@pytest.fixture
def reader(tenant: TenantScope) -> Caller:
    return Caller(tenant=tenant, name="ada", scopes=frozenset({Scope.READ}), sees=None, via="key")


@pytest.fixture
def happen(database: Database, tenant: TenantScope) -> Callable[..., None]:
    def happens(*kinds: str, where: TenantScope = tenant) -> None:
        with database.tenant_work(where) as session:
            for kind in kinds:
                outbox.announce(session, kind, None, {"say": kind})
        relay.relay_once(database, where)

    return happens


def _listeners() -> int:
    return sum(thread.name == "memoryd-events" for thread in threading.enumerate())


def test_who_follows_is_woken_by_what_happens_and_the_listener_goes_with_the_last(
    database: Database, reader: Caller, happen: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a wake-up nothing would be told within this test.
    monkeypatch.setattr(streams, "LOOK_EVERY_S", 60.0)

    async def story() -> list[str]:
        heard: list[str] = []
        stream = streams.follow(database, reader, 0)
        await asyncio.to_thread(happen, "first")
        async for page in stream:
            heard += [event.kind for event in page.events]
            if len(heard) == 1:
                await asyncio.to_thread(happen, "second", "third")
            elif len(heard) == 3:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        return heard

    assert asyncio.run(asyncio.wait_for(story(), 20)) == ["first", "second", "third"]
    deadline = time.monotonic() + 10
    while _listeners() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _listeners() == 0


def test_without_wake_ups_a_reader_looks_by_itself(
    database: Database, reader: Caller, happen: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(streams.queries, "listen", _deaf)

    async def story() -> list[str]:
        stream = streams.follow(database, reader, None, kinds=frozenset({"wanted"}))
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.15)
        await asyncio.to_thread(happen, "unwanted", "wanted")
        page = await waiting
        await stream.aclose()  # type: ignore[attr-defined]
        return [event.kind for event in page.events]

    assert asyncio.run(asyncio.wait_for(story(), 20)) == ["wanted"]


def _deaf(url: str, pause_s: float) -> Iterator[None]:
    raise streams.queries.LostListener("no connection")
    yield


def test_a_stream_ends_so_that_rights_are_proven_again(database: Database, reader: Caller) -> None:
    async def story() -> list[streams.EventPage]:
        return [page async for page in streams.follow(database, reader, 0, life_s=0.0)]

    assert asyncio.run(story()) == []


def test_the_stream_over_http(
    client: TestClient,
    database: Database,
    tenant: TenantScope,
    other_tenant: TenantScope,
    happen: Callable[..., None],
) -> None:
    happen("job.queued", "job.finished")
    assert client.get("/events?wait=false").status_code == 401
    assert client.get("/events?wait=false", headers=key_of(database, other_tenant, "rival")).text == ""
    ada = key_of(database, tenant, "ada")
    answer = client.get("/events?wait=false", headers=ada)
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, second, rest = answer.text.split("\n\n")
    assert first.splitlines()[:2] == ["id: 1", "event: job.queued"]
    assert '"kind":"job.finished"' in second
    assert '"body":{"say":"job.finished"}' in second
    assert rest == ""
    assert "job.queued" not in client.get("/events?wait=false", headers={**ada, "Last-Event-ID": "1"}).text
    assert "job.queued" not in client.get("/events?wait=false&kind=job.finished", headers=ada).text
    assert client.get("/events?wait=false&after=77", headers=ada).text.startswith("id: 2\nevent: missed\n")
    assert client.get("/events?after=-1", headers=ada).status_code == 422
    assert "job.queued" in client.get("/events?wait=false&kind=job.*&kind=other", headers=ada).text
    assert client.get("/events?wait=false&kind=jo.*", headers=ada).text == ""
    assert client.get("/events?wait=false&named=false", headers=ada).text.startswith('id: 1\ndata: {"seq":"1"')


def test_a_stream_that_waits_says_at_once_that_it_lives(
    client: TestClient,
    database: Database,
    tenant: TenantScope,
    happen: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happen("job.queued")
    follow = streams.follow
    monkeypatch.setattr(streams, "follow", lambda *a, **k: follow(*a, **{**k, "life_s": 0.2}))
    monkeypatch.setattr(streams, "LOOK_EVERY_S", 0.05)
    text = client.get("/events?after=0", headers=key_of(database, tenant, "ada")).text
    assert text.startswith(KEEP_ALIVE)
    assert "job.queued" in text


def test_a_kind_cannot_break_out_of_its_line(database: Database, reader: Caller, happen: Callable[..., None]) -> None:
    happen("a\n\ndata: forged")
    (event,) = streams.read_events(database, reader, 0).events
    assert "event: a data: forged\n" in endpoints.spell(event)
    assert endpoints.spell(event).count("\n\n") == 1
