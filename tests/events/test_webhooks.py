"""Webhooks: signed, told at least once and of what they asked for, patient, and never led astray."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from memoryd.access.facts import Role
from memoryd.events import delivering, outbox, queries, receivers, relay, webhooks
from memoryd.events.receivers import Answer, Reach, ReceiverRefused, reach_of, resolve, send
from memoryd.events.signatures import is_signed
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.settings import Settings
from tests.events.conftest import Receiver, TestClient, key_of

HERE = Reach(loopback=True)
Happen = Callable[..., None]


@pytest.fixture
def happen(database: Database, tenant: TenantScope) -> Happen:
    def happens(*kinds: str, where: TenantScope = tenant, subject: UUID | None = None) -> None:
        with database.tenant_work(where) as session:
            for kind in kinds:
                outbox.announce(session, kind, subject, {"say": kind})
        relay.relay_once(database, where)

    return happens


class Told:
    """One webhook, and how it is attended to."""

    def __init__(self, database: Database, tenant: TenantScope, keys: Path, url: str, *kinds: str) -> None:
        self.database, self.tenant, self.keys = database, tenant, keys
        with database.tenant_work(tenant) as session:
            self.id, self.secret = webhooks.add_webhook(session, url, kinds, keys)

    def attend(self, sender: delivering.Sender = send) -> int:
        return delivering.deliver_once(self.database, self.tenant, self.keys, HERE, sender=sender)

    def log(self) -> list[webhooks.DeliveryView]:
        with self.database.tenant_work(self.tenant) as session:
            return list(webhooks.list_deliveries(session, self.id, cursor=None, limit=None).rows)

    def view(self) -> webhooks.WebhookView:
        with self.database.tenant_work(self.tenant) as session:
            return webhooks.find_webhook(session, self.id)

    def let_time_pass(self, owner_url: str) -> None:
        with psycopg.connect(owner_url) as connection:
            connection.execute(f"update {self.tenant.schema}.webhook_delivery set next_try_at = now() - interval '1 s'")


@pytest.fixture
def told(database: Database, tenant: TenantScope, tmp_path: Path, receiver: Receiver) -> Told:
    return Told(database, tenant, tmp_path, receiver.url)


def _proven(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """What a receiver computes by the specification, with nothing of ours."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{wanted}"


def test_a_receiver_gets_a_signed_envelope_of_what_happened(
    told: Told, happen: Happen, receiver: Receiver, tenant: TenantScope
) -> None:
    job = uuid4()
    happen("job.succeeded", subject=job)
    assert told.attend() == 1
    ((path, headers, body),) = receiver.heard
    assert path == "/hook?to=studio"
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert _proven(told.secret, headers, body)
    assert is_signed(told.secret, headers, body)
    assert not is_signed(told.secret, headers, body + b" ")
    event = json.loads(body)
    assert event.pop("time").endswith("+00:00")
    assert event == {
        "specversion": "1.0",
        "id": "1",
        "source": f"urn:uuid:{tenant.id}",
        "type": "memoryd.job.succeeded",
        "subject": str(job),
        "datacontenttype": "application/json",
        "data": {"say": "job.succeeded"},
    }
    (delivery,) = told.log()
    assert (delivery.seq, delivery.kind, delivery.tries, delivery.next_try_at) == (1, "job.succeeded", 1, None)
    assert delivery.last_answer is not None
    assert delivery.last_answer.startswith("HTTP 200")
    assert told.attend() == 0


def test_only_what_was_asked_for_is_told_and_only_from_now_on(
    database: Database, tenant: TenantScope, tmp_path: Path, receiver: Receiver, happen: Happen
) -> None:
    happen("job.succeeded")
    chosen = Told(database, tenant, tmp_path, receiver.url, "asset.recorded", "job.*")
    happen("jobs", "job.failed", "asset.tag", "asset.recorded", "job.queued")
    assert chosen.attend() == 3
    assert sorted(json.loads(body)["type"] for _, _, body in receiver.heard) == [
        "memoryd.asset.recorded",
        "memoryd.job.failed",
        "memoryd.job.queued",
    ]


def test_a_failing_receiver_is_tried_again_under_the_same_id(
    told: Told, happen: Happen, receiver: Receiver, owner_url: str
) -> None:
    receiver.answers += [500, 302]
    happen("job.succeeded")
    assert told.attend() == 1
    assert told.attend() == 0, "not before its time"
    told.let_time_pass(owner_url)
    assert told.attend() == 1
    assert [path for path, _, _ in receiver.heard] == ["/hook?to=studio"] * 2, "a redirect is not followed"
    told.let_time_pass(owner_url)
    assert told.attend() == 1
    assert len({headers["webhook-id"] for _, headers, _ in receiver.heard}) == 1
    (delivery,) = told.log()
    assert (delivery.tries, delivery.failed_at) == (3, None)
    assert delivery.delivered_at is not None


def test_after_its_tries_a_delivery_is_given_up_and_can_be_sent_again(
    told: Told, happen: Happen, receiver: Receiver, owner_url: str
) -> None:
    happen("job.succeeded")
    for _ in range(len(delivering.RETRY_AFTER_S) + 1):
        receiver.answers.append(503)
        assert told.attend() == 1
        told.let_time_pass(owner_url)
    assert told.attend() == 0
    (delivery,) = told.log()
    assert delivery.failed_at is not None
    assert (told.view().failed, told.view().waiting) == (1, 0)
    with told.database.tenant_work(told.tenant) as session:
        webhooks.retry(session, told.id, delivery.seq)
    assert told.attend() == 1
    assert (told.view().failed, told.view().delivered) == (0, 1)


def test_a_receiver_that_is_gone_is_told_nothing_more(told: Told, happen: Happen, receiver: Receiver) -> None:
    receiver.answers.append(410)
    happen("job.succeeded")
    assert told.attend() == 1
    assert told.view().disabled_at is not None
    happen("job.failed")
    assert told.attend() == 0
    with told.database.tenant_work(told.tenant) as session:
        webhooks.switch(session, told.id, on=True)
    assert told.attend() == 1, "what happened meanwhile is told, what it refused is not"


def test_what_a_vanished_sender_had_taken_is_sent_by_another(
    told: Told, happen: Happen, receiver: Receiver, owner_url: str
) -> None:
    class KilledError(BaseException):
        """As kill -9 would, between the sending and the note of it."""

    def killed(url: str, headers: dict[str, str], body: bytes, reach: Reach) -> Answer:
        send(url, headers, body, reach)
        raise KilledError

    happen("job.succeeded")
    with pytest.raises(KilledError):
        told.attend(killed)
    assert told.attend() == 0, "it is still taken"
    told.let_time_pass(owner_url)
    assert told.attend() == 1
    first, second = (headers["webhook-id"] for _, headers, _ in receiver.heard)
    assert first == second


def test_two_processes_send_each_event_once(told: Told, happen: Happen, receiver: Receiver) -> None:
    happen(*["job.succeeded"] * 30)

    def work() -> None:
        while told.attend():
            pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(json.loads(body)["id"]) for _, _, body in receiver.heard) == list(range(1, 31))


def test_a_receiver_may_ask_for_patience(told: Told) -> None:
    asked = Answer(status=503, detail="HTTP 503", took_s=0.0, retry_after_s=900.0)
    waited = delivering._wait_after(1, asked)
    assert waited is not None
    assert waited >= 900.0
    plain = delivering._wait_after(1, Answer(status=None, detail="no answer", took_s=0.0))
    assert plain is not None
    assert delivering.RETRY_AFTER_S[0] <= plain <= delivering.RETRY_AFTER_S[0] * (1 + delivering.JITTER)


def test_a_webhook_ahead_of_the_events_goes_on_from_their_end(told: Told, happen: Happen, owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute(f"update {told.tenant.schema}.webhook set after = 1000")
    happen("before.it.was.noticed")
    assert told.attend() == 0
    happen("job.succeeded")
    assert told.attend() == 1


def test_the_secret_is_stored_sealed(told: Told, owner_url: str, tmp_path: Path) -> None:
    with psycopg.connect(owner_url) as connection:
        row = connection.execute(f"select secret_sealed from {told.tenant.schema}.webhook").fetchone()
    assert row is not None
    sealed = bytes(row[0])
    assert base64.b64decode(told.secret.removeprefix("whsec_")) not in sealed
    assert webhooks.opened(sealed, told.id, tmp_path) == told.secret
    assert (tmp_path / webhooks.KEY_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "0.0.0.0", "224.0.0.1", "[fe80::1]", "[::ffff:169.254.169.254]", "240.0.0.1"],  # noqa: S104
)
def test_some_addresses_are_nobodys_receiver(address: str) -> None:
    with pytest.raises(ReceiverRefused):
        resolve(f"http://{address}/latest/meta-data", HERE)


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "localhost", "[::ffff:127.0.0.1]"])
def test_this_machine_is_a_receiver_only_where_nobody_else_can_ask_for_it(address: str) -> None:
    with pytest.raises(ReceiverRefused):
        resolve(f"http://{address}:1/", Reach(loopback=False))
    assert resolve(f"http://{address}:1/", HERE)
    assert reach_of(Settings()).loopback
    assert not reach_of(Settings(host="192.0.2.1")).loopback
    assert not reach_of(Settings(proxy="127.0.0.1")).loopback
    assert reach_of(Settings(host="192.0.2.1", webhook_loopback=True)).loopback


def test_a_name_that_has_a_forbidden_address_among_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("203.0.113.9", "169.254.169.254")]
    monkeypatch.setattr(receivers.socket, "getaddrinfo", lambda *_, **__: found)
    answer = send("http://rebinding.example/", {}, b"", Reach(loopback=False))
    assert (answer.status, answer.taken) == (None, False)
    assert answer.detail.startswith("refused:")


def test_the_connection_goes_to_the_address_that_was_checked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[Any] = []
    port = int(receiver.url.split(":")[2].split("/")[0])

    def once(host: str, *_: object, **__: object) -> list[Any]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(receivers.socket, "getaddrinfo", once)
    assert resolve(f"http://studio.example:{port}/hook", HERE) == "127.0.0.1"
    monkeypatch.undo()
    monkeypatch.setattr(receivers, "resolve", lambda url, reach: "127.0.0.1")
    assert send(f"http://studio.invalid:{port}/hook", {}, b"x", HERE).taken
    assert looked_up == ["studio.example"]
    ((_, headers, _),) = receiver.heard
    assert headers["host"] == f"studio.invalid:{port}"


@pytest.mark.parametrize("url", ["ftp://a/b", "http://", "javascript:x", "http://user:pw@host/", "http://h:99999/", ""])
def test_what_is_no_address_is_refused_at_once(told: Told, url: str) -> None:
    with told.database.tenant_work(told.tenant) as session, pytest.raises(ReceiverRefused):
        webhooks.add_webhook(session, url, (), told.keys)


def test_old_deliveries_go_with_their_events(told: Told, happen: Happen, owner_url: str) -> None:
    happen("job.succeeded", "job.failed")
    told.attend()
    with psycopg.connect(owner_url) as connection:
        connection.execute(f"update {told.tenant.schema}.event set at = now() - interval '30 days' where seq = 1")
    relay.prune_events(told.database, told.tenant)
    assert [delivery.seq for delivery in told.log()] == [2]


ROUTES = [
    ("GET", "/webhooks"),
    ("POST", "/webhooks"),
    *[(verb, "/webhooks/{id}") for verb in ("GET", "DELETE")],
    *[("POST", "/webhooks/{id}/" + word) for word in ("secret", "disable", "enable", "test", "deliveries/1/retry")],
    ("GET", "/webhooks/{id}/deliveries"),
]


def test_strangers_viewers_and_other_tenants_reach_no_webhook(
    client: TestClient, database: Database, tenant: TenantScope, other_tenant: TenantScope, told: Told, happen: Happen
) -> None:
    happen("job.succeeded")
    told.attend()
    viewer, rival = key_of(database, tenant, "ada"), key_of(database, other_tenant, "rival", Role.ADMIN)
    body = {"url": "https://example.org/hook"}
    for method, path in ROUTES:
        address = path.format(id=told.id)
        assert client.request(method, address, json=body).status_code == 401, (method, path)
        assert client.request(method, address, json=body, headers=viewer).status_code == 403, (method, path)
        if "{id}" in path:
            assert client.request(method, address, json=body, headers=rival).status_code == 404, (method, path)
    assert [one["url"] for one in client.get("/webhooks", headers=rival).json()["items"]] == []
    with database.tenant_work(other_tenant) as session:
        assert queries.count_webhooks(session) == 0
    assert told.view().delivered == 1


def test_an_administrator_makes_tries_and_removes_a_webhook(
    client: TestClient, database: Database, tenant: TenantScope, receiver: Receiver
) -> None:
    boss = key_of(database, tenant, "boss", Role.ADMIN)
    made = client.post("/webhooks", json={"url": receiver.url, "kinds": ["job.*"]}, headers=boss)
    assert made.status_code == 201
    at = f"/webhooks/{made.json()['id']}"
    assert "secret" not in client.get(at, headers=boss).json()
    tried = client.post(f"{at}/test", headers=boss).json()
    assert (tried["taken"], tried["status"]) == (True, 200)
    assert _proven(made.json()["secret"], *receiver.heard[0][1:])
    receiver.answers.append(500)
    assert client.post(f"{at}/test", headers=boss).json()["taken"] is False
    fresh = client.post(f"{at}/secret", headers=boss).json()["secret"]
    client.post(f"{at}/test", headers=boss)
    assert _proven(fresh, *receiver.heard[-1][1:])
    assert client.post(f"{at}/disable", headers=boss).status_code == 204
    assert client.get(at, headers=boss).json()["disabled_at"]
    assert client.post(f"{at}/enable", headers=boss).status_code == 204
    assert client.get(f"{at}/deliveries", headers=boss).json() == {"items": [], "next_cursor": None}
    assert client.post(f"{at}/deliveries/9/retry", headers=boss).status_code == 404
    assert client.post("/webhooks", json={"url": receiver.url, "kinds": ["a b"]}, headers=boss).status_code == 422
    assert client.delete(at, headers=boss).status_code == 204
    assert client.get("/webhooks", headers=boss).json()["items"] == []
