"""What jobs cost: summed by what is asked for, found by their words, and seen by whoever may."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import text

from memoryd.access import keys, people, projects
from memoryd.access.facts import Role
from memoryd.access.guards import Offices
from memoryd.access.roles import PEOPLES_SCOPES
from memoryd.dispatch.pools import ensure_defaults
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import JobId
from memoryd.foundation.settings import Settings
from memoryd.storage.blob_store import BlobStore
from memoryd.submission.usage import endpoints
from memoryd.submission.usage.words import keep_words, texts_of
from memoryd.workflows.graph_reading import parse_graph
from tests.events.conftest import key_of

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


@dataclasses.dataclass
class Studio:
    """A tenant with two projects and two artists, and a way to let runs have happened."""

    database: Database
    tenant: TenantScope
    fences: Iterator[int]
    projects: dict[str, Any] = dataclasses.field(default_factory=dict)
    people: dict[str, Any] = dataclasses.field(default_factory=dict)

    def run(
        self,
        project: str,
        person: str,
        *,
        seconds: float,
        outcome: str = "succeeded",
        kind: str | None = None,
        model: str = "sdxl.safetensors",
        pool: str = "default",
        words: str | None = None,
        ago: str = "1 hour",
        loading_ms: int | None = None,
    ) -> uuid.UUID:
        job = uuid.uuid4()
        with self.database.tenant_work(self.tenant) as session:
            session.execute(
                text("""insert into job_detail (job_id, project_id, person_id, kind, name, pool, urgency, prompt,
                                                extra_data, recompute, inputs, pins, via)
                        values (:job, :project, :person, 'run', 'w', :pool, 'standard', '', '', false, '[]', '[]', 'key')"""),
                {"job": job, "project": self.projects[project], "person": self.people[person], "pool": pool},
            )
            if words is not None:
                graph, _ = parse_graph(
                    b'{"1": {"class_type": "CLIPTextEncode", "inputs": {"text": "%s"}}}' % words.encode()
                )
                assert graph is not None
                keep_words(session, {JobId(job): graph})
        with self.database.farm_work() as session:
            session.execute(
                text("""insert into run_figure (fence, job_id, tenant_id, project_id, person_id, pool_id, class_id,
                            worker_id, model_set, outcome, kind, waited_ms, leased_at, ended_at, loading_ms, model_loaded)
                        select :fence, :job, :tenant, :project, :person, p.id, 1, gen_random_uuid(), :model, :outcome,
                               :kind, 2500, e.at - make_interval(secs => :seconds), e.at, l.ms, l.ms is not null
                          from pool p, (select clock_timestamp() - cast(:ago as interval) as at) e,
                               (select cast(:loading as bigint) as ms) l where p.name = :pool"""),
                {
                    "fence": next(self.fences),
                    "job": job,
                    "tenant": self.tenant.id,
                    "project": self.projects[project],
                    "person": self.people[person],
                    "pool": pool,
                    "model": model,
                    "outcome": outcome,
                    "kind": kind,
                    "seconds": seconds,
                    "loading": loading_ms,
                    "ago": ago,
                },
            )
        return job


def _studio(database: Database, tenant: TenantScope, first_fence: int) -> Studio:
    studio = Studio(database, tenant, iter(range(first_fence, first_fence + 10_000)))
    with database.farm_work() as session:
        ensure_defaults(session)
    with database.tenant_work(tenant) as session:
        for slug in ("film", "game"):
            studio.projects[slug] = projects.ensure_project(session, slug)
        for login in ("ada", "ben"):
            studio.people[login] = people.ensure_person(session, login, login)
    return studio


@pytest.fixture
def studio(database: Database, tenant: TenantScope) -> Studio:
    return _studio(database, tenant, 1)


@pytest.fixture
def client(database: Database, tmp_path: Path) -> Iterator[TestClient]:
    app = FastAPI()
    app.state.offices = Offices(
        settings=Settings(home=tmp_path), database=database, store=BlobStore(tmp_path / "blobs"), keys=tmp_path
    )
    app.include_router(endpoints.router)
    app.add_exception_handler(
        MemorydError, lambda _, error: JSONResponse({"detail": str(error)}, getattr(error, "status", 500))
    )
    with TestClient(app, client=("203.0.113.7", 4711)) as client:
        yield client


@pytest.fixture
def officer(database: Database, tenant: TenantScope) -> dict[str, str]:
    return key_of(database, tenant, "olga", Role.OFFICER)


def _rows(answer: Any) -> dict[tuple[str | None, ...], dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return {tuple(row["key"]): row for row in answer.json()["items"]}


def test_usage_is_summed_by_what_is_asked_for(client: TestClient, studio: Studio, officer: dict[str, str]) -> None:
    studio.run("film", "ada", seconds=10, loading_ms=4000)
    studio.run("film", "ada", seconds=20)
    studio.run("film", "ben", seconds=5, outcome="failed", kind="execution-error")
    studio.run("game", "ben", seconds=7, outcome="lost", kind="lease-expired", model="flux.safetensors")
    by_project = _rows(client.get("/usage?by=project", headers=officer))
    assert list(by_project) == [("film",), ("game",)], "the dearest first"
    film = by_project["film",]
    assert film["gpu_s"] == pytest.approx(35)
    assert (film["runs"], film["succeeded"], film["failed"], film["lost"]) == (3, 2, 1, 0)
    assert (film["loads"], film["loading_s"]) == (1, 4.0)
    assert (film["waited_s"], film["waited_p50_s"]) == (7.5, 2.5)
    two = _rows(client.get("/usage?by=person&by=outcome", headers=officer))
    assert two["ben", "lost"]["gpu_s"] == pytest.approx(7)
    models = _rows(client.get("/usage?by=model", headers=officer))
    assert models["flux.safetensors",]["runs"] == 1
    total = client.get("/usage", headers=officer).json()
    assert total["total"]["gpu_s"] == pytest.approx(42)
    assert len(total["items"]) == 1
    assert _rows(client.get("/usage?by=project&person=ben", headers=officer))["film",]["runs"] == 1
    assert list(_rows(client.get("/usage?by=project&project=game", headers=officer))) == [("game",)]


def test_it_is_found_by_the_words_of_the_prompt_whether_or_not_anything_was_made(
    client: TestClient, studio: Studio, officer: dict[str, str]
) -> None:
    studio.run("film", "ada", seconds=10, words="a red fox in the snow")
    studio.run("film", "ada", seconds=3, words="a red fox, blurry", outcome="failed")
    studio.run("film", "ada", seconds=50, words="a blue whale")
    found = client.get("/usage", params={"words": "red fox"}, headers=officer).json()["total"]
    assert (found["runs"], found["failed"]) == (2, 1)
    assert found["gpu_s"] == pytest.approx(13)
    assert client.get("/usage", params={"words": "yellow"}, headers=officer).json()["total"]["runs"] == 0
    assert client.get("/usage", params={"words": "?!"}, headers=officer).status_code == 422
    assert client.get("/usage", params={"words": "fox' | 'whale"}, headers=officer).status_code == 200


def test_time_bounds_it(client: TestClient, studio: Studio, officer: dict[str, str]) -> None:
    studio.run("film", "ada", seconds=10, ago="3 days")
    studio.run("film", "ada", seconds=1, ago="40 days")
    assert client.get("/usage", headers=officer).json()["total"]["runs"] == 1, "30 days where nothing is said"
    assert client.get("/usage?since=90d", headers=officer).json()["total"]["runs"] == 2
    assert client.get("/usage?since=2d", headers=officer).json()["total"]["runs"] == 0
    day = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=3)).date().isoformat()
    on_that_day = client.get(f"/usage?since={day}&until={day}&by=day", headers=officer)
    assert list(_rows(on_that_day)) in ([(day,)], [])
    for wrong in ("since=soon", "since=2026-05&until=2026-04", "by=prompt", "by=day&by=day"):
        assert client.get(f"/usage?{wrong}", headers=officer).status_code == 422, wrong


def test_the_single_tries_are_there_page_by_page(client: TestClient, studio: Studio, officer: dict[str, str]) -> None:
    made = [studio.run("film", "ada", seconds=n + 1) for n in range(5)]
    first = client.get("/usage/runs?limit=3", headers=officer).json()
    rest = client.get("/usage/runs", params={"limit": 3, "cursor": first["next_cursor"]}, headers=officer).json()
    got = [*first["items"], *rest["items"]]
    assert [run["job_id"] for run in got] == [str(job) for job in reversed(made)]
    assert rest["next_cursor"] is None
    assert (got[0]["project"], got[0]["person"], got[0]["pool"]) == ("film", "ada", "default")
    assert got[0]["gpu_s"] == pytest.approx(5)
    assert client.get("/usage/runs?cursor=WyJhIl0", headers=officer).status_code == 422


def test_who_sees_whose(
    client: TestClient, studio: Studio, database: Database, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    studio.run("film", "ada", seconds=10)
    studio.run("game", "ben", seconds=20)
    assert client.get("/usage").status_code == 401
    ada = key_of(database, tenant, "ada", Role.ARTIST)
    assert client.get("/usage", headers=ada).json()["total"]["gpu_s"] == pytest.approx(10), "an artist sees their own"
    assert client.get("/usage?person=ben", headers=ada).status_code == 403
    assert [run["person"] for run in client.get("/usage/runs", headers=ada).json()["items"]] == ["ada"]
    with database.tenant_work(tenant) as session:
        person = people.ensure_person(session, "pia", "pia")
        people.grant_role(session, person, Role.PRODUCER, studio.projects["game"])
    pia = key_of_person(database, tenant, "pia")
    assert list(_rows(client.get("/usage?by=project", headers=pia))) == [("game",)], "a producer sees their projects"
    assert client.get("/usage?project=film", headers=pia).status_code == 404
    rival = _studio(database, other_tenant, 50_000)
    theirs = rival.run("film", "ada", seconds=99)
    boss = key_of(database, tenant, "boss", Role.ADMIN)
    everything = client.get("/usage/runs", headers=boss).json()["items"]
    assert str(theirs) not in {run["job_id"] for run in everything}
    assert len(everything) == 2
    rivals_boss = key_of(database, other_tenant, "rival", Role.ADMIN)
    assert client.get("/usage", headers=rivals_boss).json()["total"]["gpu_s"] == pytest.approx(99)


def key_of_person(database: Database, tenant: TenantScope, login: str) -> dict[str, str]:
    """The headers of somebody with the roles that they have."""
    with database.tenant_work(tenant) as session:
        person = people.find_person(session, login)
        made = keys.make_key(session, tenant, name="k", scopes=PEOPLES_SCOPES, person=person)
    return {"Authorization": f"Bearer {made.token}"}


def test_the_words_of_a_graph_are_what_people_wrote() -> None:
    graph, _ = parse_graph(
        b'{"1": {"class_type": "CLIPTextEncode", "inputs": {"text": "fox"}},'
        b' "2": {"class_type": "KSampler", "inputs": {"sampler_name": "euler", "seed": 7}},'
        b' "3": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "my big model.safetensors"}},'
        b' "4": {"class_type": "Note", "inputs": {"note": "warm evening light"}}}'
    )
    assert graph is not None
    assert texts_of(graph).splitlines() == ["fox", "warm evening light"]
