"""Workers' sockets on real servers: what is said at once, what is shown, and to whom nothing is believed."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from memoryd.access.guards import Offices
from memoryd.dispatch import live_runs, socket_wire, waking
from memoryd.dispatch.socket_wire import MESSAGE_LIMIT, PictureHead, Progress, pack_picture
from memoryd.dispatch.sockets.endpoints import REFUSED_LIMIT
from memoryd.foundation.database import Database
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.ids import JobId
from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running
from memoryd.worker.agent import Agent, Options
from memoryd.worker.stopping import Stopping
from tests.submission import conftest as farm
from tests.submission.conftest import GRAPH, PROTOCOL

offices, make_small_app = farm.offices, farm.app
PATIENCE_S = 20
JPEG = b"\xff\xd8picture"


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """A server that listens, as the product runs it."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_level="error", lifespan="off", ws="websockets-sansio", ws_max_size=MESSAGE_LIMIT + 1024
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class Hand:
    """A worker that speaks HTTP and has a socket."""

    def __init__(self, url: str, person: httpx.Client) -> None:
        token = person.post("/workers", json={}).json()["token"]
        asked = {"token": token, "label": "gpu", "host": "host", "protocol": 1}
        joined = httpx.post(f"{url}/v1/work/join", json=asked, headers=PROTOCOL, trust_env=False).json()
        self.url, self.worker_id = url, joined["worker_id"]
        self.headers = {**PROTOCOL, "Authorization": f"Bearer {joined['key']}"}
        self.incarnation = str(uuid.uuid4())
        self.say(
            "register",
            label="gpu",
            host="host",
            environment={"comfyui": "0.29.0"},
            models=[],
            nodes_sha256="0" * 64,
            classes=["EmptyImage", "SaveImage"],
        )

    def say(self, path: str, **body: Any) -> httpx.Response:
        answer = httpx.post(
            f"{self.url}/v1/work/{path}",
            json={"incarnation": self.incarnation, **body},
            headers=self.headers,
            trust_env=False,
            timeout=30,
        )
        assert answer.is_success, answer.text
        return answer

    def claim(self) -> dict[str, Any]:
        answer = self.say("claim", wait_s=5)
        assert answer.status_code == 200
        job: dict[str, Any] = answer.json()["job"]
        return job

    def socket(self, url: str | None = None, **changes: str) -> ClientConnection:
        address = (url or self.url).replace("http", "ws", 1)
        incarnation = changes.pop("incarnation", self.incarnation)
        return connect(
            f"{address}/v1/work/socket?incarnation={incarnation}",
            additional_headers={**self.headers, **changes},
            compression=None,
            close_timeout=1,
        )


def progress(job: dict[str, Any], **changes: Any) -> str:
    return Progress.model_validate(
        {"job_id": job["job_id"], "fence": job["fence"], "token": job["token"], "phase": "running", **changes}
    ).model_dump_json()


def picture(job: dict[str, Any], content: bytes = JPEG, **changes: Any) -> bytes:
    named = {"job_id": job["job_id"], "fence": job["fence"], "token": job["token"]}
    return pack_picture(
        PictureHead.model_validate({**named, "media_type": "image/jpeg", "node": "3", **changes}), content
    )


def heard(line: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next word of a kind."""
    while True:
        said: dict[str, Any] = json.loads(line.recv(timeout=PATIENCE_S))
        if said["type"] == kind:
            return said


def closed_with(line: ClientConnection, *said: str | bytes) -> int:
    """Say something, again and again, until the server closes; return the code that it closes with."""
    try:
        for message in said:
            line.send(message)
        while True:
            line.recv(timeout=PATIENCE_S)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 0


def until(true: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def app(offices: Offices) -> FastAPI:
    made: FastAPI = make_small_app.__wrapped__(offices)  # type: ignore[attr-defined]
    return made


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    with serving(app) as address:
        yield address


@pytest.fixture
def person(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def other_person(url: str) -> Iterator[httpx.Client]:
    headers = {"Memoryd-Tenant": "other"}
    with httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30, headers=headers) as client:
        yield client


@pytest.fixture
def hand(url: str, person: httpx.Client) -> Hand:
    return Hand(url, person)


@pytest.fixture
def job(hand: Hand, person: httpx.Client) -> dict[str, Any]:
    """A job that `hand` runs."""
    assert person.post("/jobs", json={"graph": GRAPH}).status_code == 201
    return hand.claim()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Authorization": "Bearer mw_0123456789ab_nobody"}, 401),
        ({"Authorization": "Basic x"}, 401),
        ({"Memoryd-Protocol": "2"}, 409),
        ({"incarnation": "00000000-0000-0000-0000-000000000001"}, 409),
    ],
)
def test_a_socket_is_for_the_present_start_of_a_known_worker(hand: Hand, changes: dict[str, str], status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        hand.socket(**changes)
    assert refused.value.response.status_code == status
    assert b"hint" in (refused.value.response.body or b"")


def test_a_cancel_reaches_the_worker_without_a_heartbeat(hand: Hand, job: dict[str, Any], person: httpx.Client) -> None:
    with hand.socket() as line:
        line.send(progress(job, progress=0.25))
        until(lambda: "0.25" in json.dumps(_live(person, job)))
        assert person.post(f"/jobs/{job['job_id']}/cancel").json() == {"answer": "requested"}
        said = heard(line, "cancel")
    assert (said["job_id"], said["fence"]) == (job["job_id"], job["fence"])


def test_a_cancel_that_came_before_the_lease_was_proved_is_told_when_it_is(
    hand: Hand, job: dict[str, Any], person: httpx.Client
) -> None:
    assert person.post(f"/jobs/{job['job_id']}/cancel").json() == {"answer": "requested"}
    with hand.socket() as line:
        line.send(progress(job))
        assert heard(line, "cancel")["fence"] == job["fence"]


def test_a_cancel_at_one_server_process_reaches_a_socket_at_another(
    hand: Hand, job: dict[str, Any], person: httpx.Client, offices: Offices, cluster: Cluster, database_name: str
) -> None:
    other = Database(cluster.server_url(database_name))
    office = Offices(settings=offices.settings, database=other, store=offices.store, keys=offices.keys)
    here, there = waking.waker_of(offices.database), waking.waker_of(other)
    here.start(offices.database)
    there.start(other)
    try:
        with serving(make_small_app.__wrapped__(office)) as address, hand.socket(address) as line:  # type: ignore[attr-defined]
            line.send(progress(job))
            # Heard when it was said, else with the next word that is proved: the listener may still be connecting.
            person.post(f"/jobs/{job['job_id']}/cancel")
            assert heard(line, "cancel")["job_id"] == job["job_id"]
    finally:
        here.stop()
        there.stop()
        other.close()


def _live(person: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    with person.stream("GET", f"/jobs/{job['job_id']}/events") as stream:
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event:"):
                kind = line[6:].strip()
            elif line.startswith("data:") and kind == "progress":
                told: dict[str, Any] = json.loads(line[5:])
                return told
    raise AssertionError("the stream told no progress")


def test_the_newest_picture_is_shown_while_the_run_lasts_and_to_nobody_else(
    hand: Hand, job: dict[str, Any], person: httpx.Client, other_person: httpx.Client, url: str
) -> None:
    address = f"/jobs/{job['job_id']}/preview"
    assert person.get(address).status_code == 204
    with hand.socket() as line:
        line.send(picture(job))
        line.send(picture(job, JPEG + b" two", node="9"))
        until(lambda: person.get(address).content == JPEG + b" two")
        shown = person.get(address)
        assert (shown.headers["content-type"], shown.headers["cache-control"]) == ("image/jpeg", "no-store")
        assert other_person.get(address).status_code == 404
        assert httpx.get(f"{url}/v1{address}", headers={"Host": "studio.example"}, trust_env=False).status_code == 401
        with person.stream("GET", f"/jobs/{job['job_id']}/events") as stream:
            hint = next(text for text in stream.iter_lines() if text.startswith('data: {"id"'))
        assert json.loads(hint[5:])["node"] == "9"
        named = {name: job[name] for name in ("job_id", "fence", "token")}
        line.send(socket_wire.Ended.model_validate(named).model_dump_json())
        until(lambda: person.get(address).status_code == 204)


def test_a_worker_that_goes_away_leaves_no_picture(hand: Hand, job: dict[str, Any], person: httpx.Client) -> None:
    address = f"/jobs/{job['job_id']}/preview"
    with hand.socket() as line:
        line.send(picture(job))
        until(lambda: person.get(address).status_code == 200)
    until(lambda: person.get(address).status_code == 204)


def test_nobody_shows_anything_of_a_job_that_they_do_not_hold(
    hand: Hand, job: dict[str, Any], person: httpx.Client, other_person: httpx.Client, url: str, offices: Offices
) -> None:
    colleague, foreigner = Hand(url, person), Hand(url, other_person)
    forged = {**job, "token": "guessed"}
    stale = {**job, "fence": job["fence"] - 1}
    for worker, claimed in ((foreigner, job), (colleague, job), (hand, forged), (hand, stale)):
        with worker.socket() as line:
            line.send(picture(claimed))
            assert heard(line, "lost")["job_id"] == job["job_id"]
            line.send(progress(claimed, progress=0.9))
            assert heard(line, "lost")["fence"] == claimed["fence"]
    assert live_runs.live_runs_of(offices.database).find(uuid.UUID(job["job_id"])) is None  # type: ignore[arg-type]
    assert person.get(f"/jobs/{job['job_id']}/preview").status_code == 204


def test_whoever_names_leases_of_others_again_and_again_is_cut_off(hand: Hand, job: dict[str, Any]) -> None:
    forged = progress({**job, "token": "guessed"})
    with hand.socket() as line:
        assert closed_with(line, *[forged] * REFUSED_LIMIT) == 1008


@pytest.mark.parametrize(
    "nonsense",
    [
        "no json",
        '{"type": "complete"}',
        "x" * 20_000,
        b"\x00",
        b"\xff\xff\xff\xffhead",
        b"\x00\x00\x00\x02{}rest",
        b"\x00\x00\x00\x01" + b"x" * MESSAGE_LIMIT,
    ],
    ids=["no-json", "unknown-word", "long", "short", "long-head", "empty-head", "too-large"],
)
def test_a_socket_ends_at_the_first_message_that_is_none(hand: Hand, nonsense: str | bytes) -> None:
    with hand.socket() as line:
        assert closed_with(line, nonsense) in (1008, 1009)


def test_a_script_is_no_picture(hand: Hand, job: dict[str, Any]) -> None:
    head = {"job_id": job["job_id"], "fence": job["fence"], "token": job["token"], "media_type": "text/html"}
    packed = json.dumps(head).encode()
    with hand.socket() as line:
        assert closed_with(line, len(packed).to_bytes(4, "big") + packed + b"<script>") == 1008


def test_a_newer_socket_of_a_worker_takes_the_place_of_the_older(
    hand: Hand, job: dict[str, Any], person: httpx.Client
) -> None:
    with hand.socket() as older, hand.socket() as newer:
        newer.send(progress(job))
        assert closed_with(older) == socket_wire.REPLACED_CODE
        person.post(f"/jobs/{job['job_id']}/cancel")
        assert heard(newer, "cancel")


def test_a_drained_worker_is_told_and_a_removed_one_is_cut_off_and_refused(
    hand: Hand, job: dict[str, Any], person: httpx.Client
) -> None:
    with hand.socket() as line:
        assert person.post(f"/workers/{hand.worker_id}/drain").status_code == 204
        assert heard(line, "drain")
        assert person.delete(f"/workers/{hand.worker_id}").json() == {"given_back": 1}
        assert closed_with(line) == 1008
    with pytest.raises(InvalidStatus):
        hand.socket()
    assert person.get(f"/jobs/{job['job_id']}").json()["state"] == "ready"


def test_a_socket_tells_of_work(hand: Hand, person: httpx.Client) -> None:
    with hand.socket() as line:
        person.post("/jobs", json={"graph": GRAPH})
        assert heard(line, "wake")


def test_a_server_that_ends_closes_its_sockets(app: FastAPI) -> None:
    with contextlib.ExitStack() as stack:
        with serving(app) as url, httpx.Client(base_url=f"{url}/v1", trust_env=False) as person:
            line = stack.enter_context(Hand(url, person).socket())
        assert closed_with(line) == 1012


def test_what_is_shown_takes_bounded_memory(offices: Offices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_runs, "PICTURES_LIMIT", 100)
    monkeypatch.setattr(live_runs, "RUNS_LIMIT", 3)
    runs = live_runs.LiveRuns()
    ids: list[Any] = [uuid.uuid4() for _ in range(5)]
    for job_id in ids:
        runs.show(job_id, 1, media_type="image/jpeg", content=b"x" * 40, node=None)
    assert [runs.find(job_id) is not None for job_id in ids] == [False, False, False, True, True]
    for job_id in ids:
        runs.tell(job_id, 1, progress=0.5, phase="running", node=None)
    assert [runs.find(job_id) is not None for job_id in ids] == [False, False, True, True, True]
    runs.tell(ids[4], 2, progress=0.1, phase="running", node=None)
    runs.show(ids[4], 1, media_type="image/jpeg", content=b"late", node=None)
    run = runs.find(ids[4])
    assert run is not None
    assert (run.fence, run.picture) == (2, None)
    runs.end(ids[4], 1)
    assert runs.find(ids[4]) is not None


def test_pictures_survive_packing() -> None:
    head = PictureHead(job_id=uuid.uuid4(), fence=2**62, token="t", media_type="image/png", node="3:1")
    assert socket_wire.unpack_picture(pack_picture(head, b"bytes")) == (head, b"bytes")


def test_the_real_worker_shows_its_run_and_hears_a_cancel(
    url: str, person: httpx.Client, offices: Offices, tmp_path: Path
) -> None:
    engine = EngineOptions(output=tmp_path / "output", input=tmp_path / "input", delay_s=30)
    token = person.post("/workers", json={"label": "rack"}).json()["token"]
    with running(engine) as engine_url:
        options = Options(server=url, comfyui=engine_url, state=tmp_path / "worker", token=token, claim_wait_s=1)
        stopping = Stopping(drain_limit_s=0)
        thread = threading.Thread(target=Agent(options, stopping).run, daemon=True)
        thread.start()
        try:
            until(lambda: any(one["online"] for one in person.get("/workers").json()["items"]))
            job_id = person.post("/jobs", json={"graph": GRAPH}).json()["id"]
            runs = live_runs.live_runs_of(offices.database)
            until(lambda: (run := runs.find(JobId(uuid.UUID(job_id)))) is not None and run.phase == "running")
            person.post(f"/jobs/{job_id}/cancel")
            until(lambda: person.get(f"/jobs/{job_id}").json()["state"] == "cancelled")
            until(lambda: runs.find(JobId(uuid.UUID(job_id))) is None)
        finally:
            stopping.ask()
            stopping.ask()
            thread.join()
