"""Workers over HTTP: what they state, who sees it, how they are taken out of service, and whom a key still opens to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import text

from memoryd.access.directory import find_tenant
from memoryd.access.guards import Offices
from memoryd.dispatch import recognising, tending, waking, workers
from memoryd.dispatch.facts import WorkerIdentity, WorkerState
from memoryd.dispatch.queries import fleet
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.ids import WorkerId
from tests.dispatch.conftest import LONG_AGO
from tests.submission import conftest as farm
from tests.submission.conftest import GRAPH, PROTOCOL, FarmHand

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

offices, app, person, other_person = farm.offices, farm.app, farm.person, farm.other_person
stranger, join = farm.stranger, farm.join
Join = Callable[..., FarmHand]
PACKS = [
    {"name": "ComfyUI-Impact-Pack", "remote": "https://me:sec@ret@github.com/ltdrdata/x", "commit": "a" * 40},
    {"name": "own.py"},
]
STATED = {
    "gpu": {"name": "NVIDIA H200", "uuid": "GPU-1", "vram_mb": 143_771, "driver": "570.1"},
    "node_packs": PACKS,
    "launch_flags": ["--listen", "127.0.0.1", "--fp16-unet"],
}
SHARED = {"path": "a.safetensors", "size": 7, "mtime_ns": "1700000000123456789", "sample": "5" * 64}
PLACE = "9" * 64


def state(hand: FarmHand, **stated: Any) -> Any:
    """Register anew, with more than `FarmHand.start` states."""
    answer = hand.say(
        "register",
        incarnation=hand.incarnation,
        label="gpu",
        host="host",
        protocol=1,
        environment=hand.environment,
        models=stated.pop("models", []),
        nodes_sha256="0" * 64,
        classes=["EmptyImage", "SaveImage"],
        **stated,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def only(person: TestClient) -> str:
    (worker,) = person.get("/v1/workers").json()["items"]
    return str(worker["id"])


def model(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "folder": "loras",
        "path": f"{number:03}.safetensors",
        "size": number,
        "mtime_ns": str(10**18 + number),
        **changes,
    }


def test_a_worker_is_shown_with_all_that_it_stated(person: TestClient, join: Join) -> None:
    hand = join()
    state(hand, models=[model(1), model(2, sha256="b" * 64)], **STATED)
    person.post("/v1/jobs", json={"graph": GRAPH})
    job = hand.claim()
    assert job is not None
    shown = person.get(f"/v1/workers/{only(person)}").json()
    assert shown["gpu"] == {"name": "NVIDIA H200", "uuid": "GPU-1", "vram_mb": 143_771, "driver": "570.1"}
    assert shown["node_packs"] == [
        {"name": "ComfyUI-Impact-Pack", "remote": "https://github.com/ltdrdata/x", "commit": "a" * 40},
        {"name": "own.py", "remote": None, "commit": None},
    ]
    assert shown["launch_flags"] == STATED["launch_flags"]
    assert (shown["comfyui"], shown["node_classes"]) == ("0.29.0", 2)
    assert (shown["models"], shown["models_hashed"], shown["running"]) == (2, 1, 1)
    assert shown["jobs"] == [job["job_id"]]
    assert (shown["pools"], shown["shared"], shown["online"]) == (["default"], False, True)


def test_a_worker_that_left_is_not_online(person: TestClient, join: Join, database: Database) -> None:
    join()
    with database.farm_work() as session:
        assert fleet.update_worker_state(session, worker_id=UUID(only(person)), state=WorkerState.LEFT)
    shown = person.get(f"/v1/workers/{only(person)}").json()
    assert (shown["state"], shown["online"]) == ("left", False)


def test_what_nobody_told_is_shown_as_unknown(person: TestClient, join: Join) -> None:
    join()
    shown = person.get(f"/v1/workers/{only(person)}").json()
    assert shown["gpu"] == {"name": None, "uuid": None, "vram_mb": None, "driver": None}
    assert (shown["node_packs"], shown["launch_flags"]) == ([], [])


def test_the_models_of_a_worker_come_page_by_page(person: TestClient, join: Join) -> None:
    state(join(), models=[model(number) for number in range(7)])
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = person.get(f"/v1/workers/{only(person)}/models", params=query).json()
        seen += [item["path"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [f"{number:03}.safetensors" for number in range(7)]
    assert cursor is None
    refused = person.get(f"/v1/workers/{only(person)}/models", params={"cursor": "x"})
    assert refused.status_code == 422


def test_hashes_that_come_later_count_only_for_the_file_that_was_stated(person: TestClient, join: Join) -> None:
    hand = join()
    state(hand, models=[model(1), model(2)])
    told = [model(1, sha256="1" * 64), model(2, sha256="2" * 64, size=99), model(3, sha256="3" * 64)]
    assert hand.say("models", incarnation=hand.incarnation, models=told).status_code == 204
    items = person.get(f"/v1/workers/{only(person)}/models").json()["items"]
    assert [item["sha256"] for item in items] == ["1" * 64, None]
    late = hand.say("models", incarnation="00000000-0000-0000-0000-000000000001", models=told)
    assert (late.status_code, late.json()["kind"]) == (409, "earlier-start")


@pytest.mark.parametrize(
    "stated",
    [
        {"node_packs": [{"name": "x", "commit": "main; rm -rf /"}]},
        {"gpu": {"vram_mb": -1}},
        {"node_packs": [{"name": "x" * 5_000}]},
    ],
)
def test_a_statement_that_cannot_be_true_is_refused(join: Join, stated: dict[str, Any]) -> None:
    hand = join()
    answer = hand.say(
        "register",
        incarnation=hand.incarnation,
        label="gpu",
        host="host",
        environment={},
        models=[],
        nodes_sha256="0" * 64,
        classes=[],
        **stated,
    )
    assert answer.status_code == 422


def test_a_shared_file_is_measured_by_one_worker_and_known_to_all(join: Join) -> None:
    first, second = join(), join()
    asked = {"place": PLACE, "files": [SHARED], "take": 1}
    assert first.say("models/shared", **asked).json() == {"known": {}, "yours": [0]}
    assert second.say("models/shared", **asked).json() == {"known": {}, "yours": []}
    assert first.say("models/shared", **asked).json()["yours"] == [0]
    measured = {**SHARED, "sha256": "7" * 64}
    assert first.say("models/shared", place=PLACE, measured=[measured]).status_code == 200
    assert second.say("models/shared", **asked).json() == {"known": {"0": "7" * 64}, "yours": []}
    later = {**measured, "sha256": "8" * 64}
    second.say("models/shared", place=PLACE, measured=[later])
    assert second.say("models/shared", **asked).json()["known"] == {"0": "7" * 64}
    for changes in ({"size": 8}, {"mtime_ns": "1700000000123456788"}, {"sample": "6" * 64}, {"path": "b"}):
        other = {"place": PLACE, "files": [{**SHARED, **changes}]}
        assert second.say("models/shared", **other).json()["known"] == {}
    assert second.say("models/shared", place="8" * 64, files=[SHARED]).json()["known"] == {}


def test_a_file_that_its_measurer_left_is_measured_by_another(join: Join, offices: Offices) -> None:
    first, second = join(), join()
    asked = {"place": PLACE, "files": [SHARED], "take": 1}
    first.say("models/shared", **asked)
    with offices.database.farm_work() as session:
        session.execute(text("update model_hash set leased_until = clock_timestamp() - interval '1 s'"))
    assert second.say("models/shared", **asked).json()["yours"] == [0]
    assert first.say("models/shared", **asked).json()["yours"] == []


def test_no_worker_believes_what_another_tenants_worker_measured(
    person: TestClient,
    other_person: TestClient,
    join: Join,
    offices: Offices,
    tenant: TenantScope,
    other_tenant: TenantScope,
) -> None:
    mine, foreign = join(person), join(other_person)
    measured = {**SHARED, "sha256": "7" * 64}
    foreign.say("models/shared", place=PLACE, measured=[measured])
    asked = {"place": PLACE, "files": [SHARED], "take": 1}
    assert mine.say("models/shared", **asked).json() == {"known": {}, "yours": [0]}
    # One that serves both tenants does not take the word of one that serves a single one, nor the other way round.
    with offices.database.farm_work() as session:
        token = workers.make_join_token(session, tenants=[tenant.id, other_tenant.id], pools=["default"])
        both = FarmHand(mine.http, workers.join(session, token, label="b", host="h", gpu_uuid=None, protocol=1).key)
    assert both.say("models/shared", **asked).json() == {"known": {}, "yours": [0]}
    both.say("models/shared", place=PLACE, measured=[{**SHARED, "sha256": "6" * 64}])
    assert mine.say("models/shared", **asked).json()["known"] == {}
    assert foreign.say("models/shared", **asked).json()["known"] == {"0": "7" * 64}


def test_what_a_removed_worker_measured_is_forgotten(person: TestClient, join: Join) -> None:
    bad = join()
    bad.say("models/shared", place=PLACE, measured=[{**SHARED, "sha256": "7" * 64}])
    assert person.delete(f"/v1/workers/{only(person)}").status_code == 200
    good = join()
    assert good.say("models/shared", place=PLACE, files=[SHARED]).json()["known"] == {}


def test_strangers_and_other_tenants_reach_no_worker(
    person: TestClient, other_person: TestClient, stranger: TestClient, join: Join
) -> None:
    join()
    worker = only(person)
    for method, path in (
        ("GET", ""),
        ("GET", "/models"),
        ("POST", "/drain"),
        ("POST", "/undrain"),
        ("DELETE", ""),
    ):
        assert stranger.request(method, f"/v1/workers/{worker}{path}").status_code == 401
        assert other_person.request(method, f"/v1/workers/{worker}{path}").status_code == 404
    body = {"place": PLACE, "files": [SHARED]}
    assert stranger.post("/v1/work/models/shared", json=body, headers=PROTOCOL).status_code == 401
    assert person.get(f"/v1/workers/{worker}").json()["state"] == "active"


def test_a_drained_worker_may_be_let_work_again(person: TestClient, join: Join) -> None:
    hand = join()
    worker = only(person)
    assert person.post(f"/v1/workers/{worker}/undrain").json()["kind"] == "not-draining"
    assert person.post(f"/v1/workers/{worker}/drain").status_code == 204
    person.post("/v1/jobs", json={"graph": GRAPH})
    assert hand.claim() is None
    assert hand.say("heartbeat", incarnation=hand.incarnation).json()["drain"] is True
    assert person.post(f"/v1/workers/{worker}/undrain").status_code == 204
    assert hand.say("heartbeat", incarnation=hand.incarnation).json()["drain"] is False
    assert hand.claim() is not None
    events = _audited(person)
    assert [name for name in events if name.startswith("worker.")][-2:] == ["worker.drain", "worker.undrain"]


def _audited(person: TestClient) -> list[str]:
    office: Offices = person.app.state.offices  # type: ignore[attr-defined]
    with office.database.farm_work() as session:
        scope = find_tenant(session, "default")
    with office.database.tenant_work(scope) as session:
        return list(session.execute(text("select action from audit_pending order by id")).scalars())


def test_a_drained_worker_holds_no_lease_beyond_its_deadline(person: TestClient, join: Join, offices: Offices) -> None:
    person.post("/v1/jobs", json={"graph": GRAPH})
    hand = join()
    job = hand.claim()
    assert job is not None
    assert person.post(f"/v1/workers/{only(person)}/drain").status_code == 204
    beat = {"job_id": job["job_id"], "fence": job["fence"], "token": job["token"], "progress": 0.5, "phase": "running"}
    with offices.database.farm_work() as session:
        session.execute(text("update lease set deadline_at = clock_timestamp() + interval '1 s'"))
    answer = hand.say("heartbeat", incarnation=hand.incarnation, leases=[beat]).json()
    assert answer == {"leases": [{"job_id": job["job_id"], "answer": "ok"}], "drain": True}
    with offices.database.farm_work() as session:
        late = session.execute(text("select count(*) from lease where expires_at > deadline_at")).scalar_one()
        assert late == 0
        session.execute(
            text("update lease set expires_at = clock_timestamp() - interval '1 s', deadline_at = expires_at")
        )
        assert tending.reap(session, calm_since=LONG_AGO) == 1
        assert session.execute(text("select count(*) from lease")).scalar_one() == 0
    assert hand.say("heartbeat", incarnation=hand.incarnation, leases=[beat]).json()["leases"][0]["answer"] == "lost"


def test_a_removed_worker_is_refused_and_its_job_waits_again_uncounted(
    person: TestClient, join: Join, offices: Offices
) -> None:
    person.post("/v1/jobs", json={"graph": GRAPH})
    hand = join()
    job = hand.claim()
    assert job is not None
    worker = only(person)
    assert person.delete(f"/v1/workers/{worker}").json() == {"given_back": 1}
    for path, body in (
        ("claim", {"incarnation": hand.incarnation, "wait_s": 0}),
        ("heartbeat", {"incarnation": hand.incarnation}),
        ("leave", {"incarnation": hand.incarnation}),
    ):
        assert hand.say(path, **body).status_code == 401
    assert hand.report(job).status_code == 401
    shown = person.get(f"/v1/jobs/{job['job_id']}").json()
    assert (shown["state"], shown["attempt"]) == ("ready", 0)
    assert person.get("/v1/workers").json()["items"] == []
    assert person.delete(f"/v1/workers/{worker}").status_code == 404
    assert person.get(f"/v1/workers/{worker}").status_code == 404
    assert "worker.remove" in _audited(person)


def test_a_worker_that_serves_others_too_is_not_one_tenants_to_remove(
    person: TestClient, offices: Offices, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    with offices.database.farm_work() as session:
        token = workers.make_join_token(session, tenants=[tenant.id, other_tenant.id], pools=["default"])
        workers.join(session, token, label="both", host="h", gpu_uuid=None, protocol=1)
    refused = person.delete(f"/v1/workers/{only(person)}")
    assert (refused.status_code, refused.json()["kind"]) == (403, "worker-shared")


def test_a_key_is_looked_up_once_in_a_while_and_never_after_it_was_revoked_here(
    person: TestClient, join: Join, offices: Offices, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = join()
    looked: list[str] = []
    real = workers.recognise

    def counted(session: Session, key: str) -> WorkerIdentity:
        looked.append(key)
        return real(session, key)

    monkeypatch.setattr(workers, "recognise", counted)
    for _ in range(5):
        assert hand.say("heartbeat", incarnation=hand.incarnation).status_code == 200
    assert len(looked) <= 1
    assert (
        hand.http.post("/v1/work/heartbeat", json={"incarnation": hand.incarnation}, headers=PROTOCOL).status_code
        == 401
    )
    person.delete(f"/v1/workers/{only(person)}")
    assert recognising.find_remembered(offices.database, hand.key) is None


def test_another_process_refuses_a_revoked_key_when_it_hears_of_it_and_soon_where_it_does_not(
    person: TestClient,
    join: Join,
    offices: Offices,
    cluster: Cluster,
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hand = join()
    worker = only(person)
    other = Database(cluster.server_url(database_name))
    try:
        recognising.recognise(other, hand.key)
        person.delete(f"/v1/workers/{worker}")
        # Not heard of: it is believed, for seconds, and finds nothing that it may do.
        assert recognising.find_remembered(other, hand.key) is not None
        with other.farm_work() as session, pytest.raises(workers.WorkerNotRecognised):
            workers.begin_claim(session, WorkerId(UUID(worker)), UUID(hand.incarnation))
        waking.waker_of(other).hear(f"{waking.CHANGED} {worker}")
        assert recognising.find_remembered(other, hand.key) is None
        with pytest.raises(workers.WorkerNotRecognised):
            recognising.recognise(other, hand.key)
        monkeypatch.setattr(recognising, "RECOGNISED_FOR_S", 0.0)
        second = join()
        recognising.recognise(other, second.key)
        assert recognising.find_remembered(other, second.key) is None
    finally:
        other.close()


def test_a_start_at_one_process_is_the_present_one_at_every_other(join: Join, offices: Offices) -> None:
    hand = join()
    recognising.recognise(offices.database, hand.key)
    old = hand.incarnation
    hand.start()
    assert hand.say("heartbeat", incarnation=hand.incarnation).json()["drain"] is False
    assert hand.say("heartbeat", incarnation=old).json()["drain"] is True


def test_a_job_whose_texts_cannot_be_read_goes_back_uncounted_and_blocks_nobody(
    person: TestClient, join: Join, offices: Offices, tenant: TenantScope
) -> None:
    damaged, sound = (person.post("/v1/jobs", json={"graph": GRAPH}).json()["id"] for _ in range(2))
    with offices.database.tenant_work(tenant) as session:
        session.execute(text("update job_detail set prompt = 'x' where job_id = :job_id"), {"job_id": damaged})
    hand = join()
    refused = hand.say("claim", incarnation=hand.incarnation, wait_s=0)
    assert (refused.status_code, refused.json()["kind"]) == (404, "job-unreadable")
    assert person.get(f"/v1/jobs/{damaged}").json()["attempt"] == 0
    taken: set[str] = set()
    for _ in range(10):
        answer = hand.say("claim", incarnation=hand.incarnation, wait_s=0)
        if answer.status_code == 200:
            taken.add(answer.json()["job"]["job_id"])
    assert taken == {sound}
    states = person.get(f"/v1/jobs/{damaged}").json()["state"]
    assert states in ("ready", "delayed", "dead")


def test_work_that_comes_while_a_worker_looks_is_not_waited_for() -> None:
    waker = waking.Waker()
    told = waker.told
    waker.hear(waking.WORK)

    async def wait() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await waker.wait(0.9, told=told)
        return loop.time() - began

    assert asyncio.run(wait()) < 0.5


def test_memory_in_use_is_kept_as_it_was_last_told(database: Database, tenant: TenantScope) -> None:
    with database.farm_work() as session:
        token = workers.make_join_token(session, pools=["default"], tenants=[tenant.id])
        worker = workers.join(session, token, label="box", host="box", gpu_uuid="GPU-1", protocol=1).worker_id
        workers.touch(session, worker, vram_used_mb=46_000)
    with database.farm_work() as session:
        session.execute(text("update worker set seen_at = seen_at - interval '1 min'"))
        workers.touch(session, worker)
        assert (
            session.execute(text("select vram_used_mb from worker where id = :id"), {"id": worker}).scalar() == 46_000
        )
