"""The operator's figures: read by the operator alone, and every name that dashboards and alerts use is there."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from memoryd.access.facts import Role
from memoryd.access.guards import Offices
from memoryd.app import metrics
from memoryd.app.http import make_app
from memoryd.dispatch import doubts
from memoryd.dispatch.pools import ensure_defaults
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import DoubtId, ProjectId, TenantId, WorkerId
from memoryd.foundation.settings import Settings
from memoryd.storage.blob_store import BlobStore
from tests.dispatch.conftest import add_worker
from tests.events.conftest import key_of

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "memoryd_alerts.yml"


@pytest.fixture
def offices(database: Database, tmp_path: Path) -> Offices:
    (tmp_path / "keys").mkdir(mode=0o700)
    return Offices(
        settings=Settings(home=tmp_path), database=database, store=BlobStore(tmp_path / "blobs"), keys=tmp_path / "keys"
    )


@pytest.fixture
def far(offices: Offices) -> Iterator[TestClient]:
    """Somebody on another machine."""
    with TestClient(make_app(offices), base_url="https://studio.example", client=("203.0.113.7", 4711)) as client:
        yield client


@pytest.fixture
def here(offices: Offices) -> Iterator[TestClient]:
    """Somebody on the server's own machine."""
    with TestClient(make_app(offices), base_url="http://127.0.0.1:7860", client=("127.0.0.1", 4711)) as client:
        yield client


def _told(client: TestClient) -> dict[str, list[tuple[dict[str, str], float]]]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        sample.name: [(one.labels, one.value) for one in family.samples if one.name == sample.name]
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _a_busy_farm(session: Session, tenant: TenantScope) -> None:
    """One waiting job, one dead one, one worker with a full card, and runs of the last hour."""
    ensure_defaults(session)
    pool = session.execute(text("select id from pool where name = 'default'")).scalar_one()
    worker, ids = uuid.uuid4(), {"pool": pool, "tenant": tenant.id}
    session.execute(
        text("""insert into worker (id, label, host, state, serves, protocol, seen_at, gpu_name, vram_mb, vram_used_mb)
                values (:id, 'box-1', 'box', 'active', '{}', 1, clock_timestamp(), 'L40S', 48000, 46000)"""),
        {"id": worker},
    )
    session.execute(text("insert into worker_pool values (:id, :pool)"), {"id": worker, "pool": pool})
    _a_doubt(session, tenant, WorkerId(worker))
    for state in ("ready", "dead"):
        job = uuid.uuid4()
        session.execute(
            text("""insert into job (id, tenant_id, pool_id, class_id, model_set, cost_ms, vtag, state, max_attempts,
                                     expires_at)
                    values (:job, :tenant, :pool, 1, 'sdxl', 7000, 5, :state, 2, now() + interval '1 day')"""),
            {**ids, "job": job, "state": state},
        )
        if state == "ready":
            session.execute(
                text("""insert into ready (pool_id, class_id, vtag, job_id, model_set, tenant_id, cost_ms, expires_at)
                        values (:pool, 1, 5, :job, 'sdxl', :tenant, 7000, now() + interval '1 day')"""),
                {**ids, "job": job},
            )
        else:
            session.execute(
                text("insert into dead (job_id, tenant_id, reason) values (:job, :tenant, 'it failed')"),
                {**ids, "job": job},
            )
    for fence, outcome, loaded in ((1, "succeeded", True), (2, "succeeded", False), (3, "lost", None)):
        session.execute(
            text("""insert into run_figure (fence, job_id, tenant_id, pool_id, class_id, worker_id, model_set, outcome, kind,
                                            waited_ms, leased_at, ended_at, model_loaded)
                    values (:fence, :job, :tenant, :pool, 1, :worker, 'sdxl', :outcome, :kind, 1500,
                            clock_timestamp() - interval '14 s', clock_timestamp() - interval '4 s', :loaded)"""),
            {
                **ids,
                "fence": fence,
                "job": uuid.uuid4(),
                "worker": worker,
                "outcome": outcome,
                "kind": "lease-expired" if outcome == "lost" else None,
                "loaded": loaded,
            },
        )


def _a_doubt(session: Session, tenant: TenantScope, worker: WorkerId) -> DoubtId:
    now = datetime.datetime.now(datetime.UTC)
    found = doubts.Found(
        worker_id=worker,
        tenant_id=TenantId(tenant.id),
        project_id=ProjectId(uuid.uuid4()),
        reason=doubts.Drift.PIXELS,
        last_good_at=now,
        bad_at=now,
        change=[],
        changed=True,
        keeps_out=True,
    )
    return doubts.raise_doubt(session, found)[0]


def test_only_the_operator_reads_them(
    far: TestClient, here: TestClient, offices: Offices, database: Database, tenant: TenantScope
) -> None:
    boss = key_of(database, tenant, "boss", Role.ADMIN)
    assert far.get("/metrics").status_code == 401
    assert far.get("/metrics", headers=boss).status_code == 401, "no tenant's administrator sees all tenants"
    assert far.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert here.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert here.get("/metrics", headers={"X-Forwarded-For": "198.51.100.1"}).status_code == 401
    assert here.get("/metrics").status_code == 200
    token = metrics.operators_token(offices.keys)
    assert (offices.keys / metrics.TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    answer = far.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert answer.headers["content-type"].startswith("text/plain")
    assert token not in answer.text


def test_the_farm_is_told_as_it_is(here: TestClient, database: Database, tenant: TenantScope) -> None:
    with database.farm_work() as session:
        _a_busy_farm(session, tenant)
    told = _told(here)
    standard = {"pool": "default", "class": "standard"}
    assert (standard, 1.0) in told["memoryd_queue_waiting"]
    assert (standard, 7.0) in told["memoryd_queue_waiting_gpu_seconds"]
    assert told["memoryd_dead_letters"] == [({"pool": "default"}, 1.0)]
    assert told["memoryd_pool_workers"] == [({"pool": "default", "state": "active"}, 1.0)]
    ((labels, used),) = told["memoryd_worker_vram_used_bytes"]
    assert (labels["label"], labels["gpu"], used) == ("box-1", "L40S", 46000 * 2**20)
    assert ({"pool": "default", "outcome": "succeeded", "kind": ""}, 2.0) in told["memoryd_runs_last_hour"]
    assert ({"pool": "default", "outcome": "lost", "kind": "lease-expired"}, 1.0) in told["memoryd_runs_last_hour"]
    assert told["memoryd_gpu_seconds_last_hour"][0][1] == pytest.approx(10, abs=0.5)
    assert told["memoryd_model_loads_last_hour"] == [({"pool": "default"}, 1.0)]
    assert told["memoryd_warm_runs_last_hour"] == [({"pool": "default"}, 1.0)]


def test_a_worker_that_drifted_is_told_until_somebody_decides(
    here: TestClient, database: Database, tenant: TenantScope
) -> None:
    with database.farm_work() as session:
        ensure_defaults(session)
        doubt = _a_doubt(session, tenant, add_worker(session, TenantId(tenant.id)).worker_id)
    told = _told(here)
    assert {labels["decided"]: value for labels, value in told["memoryd_worker_doubts"]} == {"no": 1.0, "yes": 0.0}
    assert [value for _, value in told["memoryd_worker_kept_out"]] == [1.0]
    with database.farm_work() as session:
        doubts.decide(session, doubt, doubts.Decision.CLEAR, tenant_id=TenantId(tenant.id), by=None, note=None)
        assert doubts.read_gauges(session) == []


def test_requests_are_counted_by_pattern_and_not_by_what_callers_make_up(here: TestClient) -> None:
    here.get("/health")
    for made_up in range(3):
        here.get(f"/v1/assets/{uuid.uuid4()}")
        here.request(f"MADE{made_up}", "/health")
        here.get(f"/nothing/{made_up}")
    counted = {(labels["method"], labels["route"]) for labels, _ in _told(here)["memoryd_request_seconds_count"]}
    assert ("GET", "/health") in counted
    assert not any("made" in f"{method}{route}".lower() or "nothing" in route for method, route in counted)
    assert len({route for _, route in counted if route.startswith("/v1/assets/")}) == 1


def test_without_its_database_the_server_says_so(here: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise metrics.DatabaseDown("it is away")

    monkeypatch.setattr(metrics.gauges, "read", down)
    told = _told(here)
    assert told["memoryd_database_up"] == [({}, 0.0)]
    assert "memoryd_queue_waiting" not in told


def _used(expressions: str) -> set[str]:
    return set(re.findall(r"\bmemoryd_[a-z_]+", expressions))


def test_dashboard_and_alerts_name_only_what_is_told(here: TestClient, database: Database, tenant: TenantScope) -> None:
    with database.farm_work() as session:
        _a_busy_farm(session, tenant)
        session.execute(
            text("""insert into chore (id, tenant_id, kind, recipe, subjects, priority)
                    values (gen_random_uuid(), :tenant, 'thumbnail', 'thumbnail@2', array[gen_random_uuid()], 0)"""),
            {"tenant": tenant.id},
        )
    here.get("/health")
    # Seen only by a role that may see other roles' sessions.
    told = set(_told(here)) | {"memoryd_oldest_snapshot_seconds"}
    board = json.loads((DEPLOY / "grafana" / "memoryd_farm.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    alerts = re.findall(r"^ +expr: (.*(?:\n {10,}.*)*)", ALERTS.read_text(), re.MULTILINE)
    assert len(expressions) > 20
    assert len(alerts) > 10
    assert _used("\n".join([*expressions, *alerts])) <= told
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]}) == len(board["panels"])


def test_the_alerts_go_off_when_they_should() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool (Debian: prometheus) is not installed here")
    run = ["promtool", "test", "rules", "memoryd_alerts_test.yml"]
    tried = subprocess.run(run, cwd=ALERTS.parent, capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stdout + tried.stderr
