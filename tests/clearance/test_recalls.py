"""Recalling a model: who may, what is counted and listed for whom, what is refused, what is marked and unmarked."""

from __future__ import annotations

import csv
import io
import itertools
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import text
from starlette.requests import Request

from memoryd.access import keys, people, projects
from memoryd.access.facts import Caller, Role, Scope
from memoryd.access.guards import Offices
from memoryd.clearance.recalls import deciding, endpoints, keeping, marking
from memoryd.clearance.recalls.facts import RecallKind
from memoryd.clearance.recalls.standing import recalled
from memoryd.disclosure.facts import SealState
from memoryd.disclosure.pki import load_anchors
from memoryd.disclosure.sealing import verify_seal
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import new_id
from memoryd.foundation.settings import Settings
from memoryd.model_registry import origins
from memoryd.model_registry.facts import Via
from memoryd.reports.recalls import endpoints as report_endpoints
from memoryd.storage.blob_store import BlobStore

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

MODEL, OTHER, MERGED = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
DOCUMENTS = "select asset_id, ctid::text, xmin::text from asset_text order by 1"
_numbers = itertools.count(1)


@pytest.fixture
def offices(database: Database, tmp_path: Path) -> Offices:
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True, mode=0o700)
    return Offices(settings=Settings(home=home), database=database, store=BlobStore(home), keys=home / "keys")


@pytest.fixture
def client(offices: Offices) -> Iterator[TestClient]:
    """Somebody from another machine; with a key's header they are who the key says."""
    app = FastAPI()
    app.state.offices = offices
    app.include_router(endpoints.router, prefix="/v1")
    app.include_router(report_endpoints.router, prefix="/v1")

    @app.exception_handler(MemorydError)
    def problem(_: Request, error: MemorydError) -> JSONResponse:
        return JSONResponse({"kind": error.slug, "hint": error.hint}, error.status)

    with TestClient(app, base_url="https://studio.example", client=("203.0.113.7", 4711)) as known:
        yield known


@pytest.fixture
def knock(database: Database) -> Callable[..., dict[str, str]]:
    def known(tenant: TenantScope, role: Role, project: str | None = None) -> dict[str, str]:
        login = f"{role}-{project}"
        with database.tenant_work(tenant) as session:
            person = people.ensure_person(session, login, login)
            owner = projects.ensure_project(session, project) if project else None
            people.grant_role(session, person, role, owner)
            scopes = frozenset(Scope) - {Scope.WORK}
            key = keys.make_key(session, tenant, name=login, scopes=scopes, person=person)
        return {"Authorization": f"Bearer {key.token}"}

    return known


def made(
    database: Database,
    tenant: TenantScope,
    project: str,
    *models: bytes,
    copy: bool = False,
    parent: UUID | None = None,
) -> UUID:
    """Record a picture of a project that weights took part in making, and return its line."""
    asset, run, number = new_id(), new_id(), next(_numbers)
    with database.tenant_work(tenant) as session:
        owner = projects.ensure_project(session, project)

        def write(statement: str, **values: object) -> None:
            session.execute(text(statement), {"asset": asset, "run": run, "owner": owner, **values})

        assets = [(asset, None)] + ([(new_id(), "disclosed")] if copy else [])
        for one, succession in assets:
            write(
                "insert into asset (id, sha256, size, kind, media_type, made_at, made_source, root_id, succession)"
                " values (:one, :sha, 1, 'image', 'image/png', now(), 'file_time', :asset, :succession)",
                one=one, sha=(number * 10 + len(str(succession))).to_bytes(32), succession=succession,
            )  # fmt: skip
            write(
                "insert into asset_project (project_id, asset_id, root_id, made_at)"
                " values (:owner, :one, :asset, now())",
                one=one,
            )
            write(
                "insert into asset_text (asset_id, root_id, made_at, recipe, head, words)"
                " values (:one, :asset, now(), 'v1', true, 'a fox')",
                one=one,
            )
        write(
            "insert into generation (id, run_key, origin, project_id) values (:run, :key, 'job', :owner)", key=str(run)
        )
        write(
            "insert into generation_output (generation_id, node, output, asset_id, certain)"
            " values (:run, '9', 'images', :asset, true)"
        )
        for ordinal, model in enumerate(models):
            write(
                "insert into generation_model (generation_id, output_node, ordinal, node, source, confidence, input,"
                " class_type, role, name, sha256, evidence) values (:run, '9', :o, '4', 'executed', 'high', 'i', 'c',"
                " 'r', 'm.safetensors', :model, 'graph')",
                o=ordinal, model=model,
            )  # fmt: skip
        if parent is not None:
            write("insert into lineage (child_root, parent_root, via) values (:asset, :parent, 'input')", parent=parent)
    return asset


def deliver(database: Database, tenant: TenantScope, project: str, name: str, root: UUID, *, frozen: bool) -> None:
    with database.tenant_work(tenant) as session:
        client, delivery, owner = new_id(), new_id(), projects.find_project(session, project)
        session.execute(text("insert into client (id, name) values (:i, :n)"), {"i": client, "n": f"client of {name}"})
        session.execute(
            text(
                "insert into delivery (id, client_id, project_id, name, state, frozen_at) values"
                " (:d, :c, :p, :n, 'open', case when :f then now() end)"
            ),
            {"d": delivery, "c": client, "p": owner, "n": name, "f": frozen},
        )
        session.execute(text("insert into delivery_item values (:d, :r, :r)"), {"d": delivery, "r": root})


def officer(tenant: TenantScope) -> Caller:
    scopes = frozenset({Scope.READ, Scope.DISCLOSE})
    return Caller(tenant=tenant, name="officer", scopes=scopes, everywhere=scopes, sees=None, via="key")


def marked(database: Database, tenant: TenantScope, flag: str = "recalled") -> set[UUID]:
    with database.tenant_work(tenant) as session:
        found = session.scalars(
            text("select root_id from asset_mark where :f = any(flags) and marks @@ cast(:w as tsquery)"),
            {"f": flag, "w": f"'is:{flag}'"},
        )
        return set(found)


def recall(database: Database, tenant: TenantScope, sha256: bytes = MODEL) -> UUID:
    with database.tenant_work(tenant) as session:
        return deciding.recall(session, officer(tenant), sha256, RecallKind.MALICIOUS, "it runs code")


def mark_all(database: Database, tenant: TenantScope, recall_id: UUID) -> None:
    keeping.tend(database, tenant)
    while marking.mark_some(database, tenant, recall_id):
        pass


ROUTES = [
    ("GET", "/v1/recalls"),
    ("GET", f"/v1/recalls/{UUID(int=1)}"),
    ("POST", f"/v1/recalls/{UUID(int=1)}/lift"),
    ("POST", f"/v1/models/{MODEL.hex()}/recall"),
    ("GET", f"/v1/models/{MODEL.hex()}/blast-radius"),
    ("GET", f"/v1/models/{MODEL.hex()}/blast-radius/assets"),
    ("GET", f"/v1/models/{MODEL.hex()}/blast-radius/page"),
    ("POST", f"/v1/models/{MODEL.hex()}/blast-radius/report"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_stranger_is_not_let_in(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path, json={"reason": "x"}).status_code == 401


def test_a_recall_is_decided_by_who_answers_for_the_whole_studio(
    client: TestClient, knock: Callable[..., dict[str, str]], tenant: TenantScope, other_tenant: TenantScope
) -> None:
    path, asked = f"/v1/models/{MODEL.hex()}/recall", {"kind": "malicious", "reason": "it runs code"}
    assert client.post(path, json=asked, headers=knock(tenant, Role.PRODUCER)).status_code == 403
    assert (
        client.post(path, json=asked, headers=knock(tenant, Role.OFFICER, "fox")).json()["kind"] == "recall-not-yours"
    )
    chief = knock(tenant, Role.OFFICER)
    assert client.post(path, json={"reason": " "}, headers=chief).json()["kind"] == "reason-missing"
    made = client.post(path, json=asked, headers=chief)
    assert made.status_code == 201, made.text
    assert client.post(path, json=asked, headers=chief).json()["kind"] == "already-recalled"
    assert [one["kind"] for one in client.get("/v1/recalls", headers=chief).json()["items"]] == ["malicious"]
    stranger = knock(other_tenant, Role.ADMIN)
    assert client.get("/v1/recalls", headers=stranger).json()["items"] == []
    one = f"/v1/recalls/{made.json()['recall']['id']}"
    assert client.get(one, headers=stranger).status_code == 404
    assert client.post(f"{one}/lift", json={"reason": "x"}, headers=stranger).status_code == 404
    assert client.post(f"{one}/lift", json={"reason": "clean after all"}, headers=chief).json()["lifted_at"]
    assert client.post(f"{one}/lift", json={"reason": "again"}, headers=chief).json()["kind"] == "not-recalled"


def test_what_is_touched_is_counted_and_named(
    database: Database, tenant: TenantScope, client: TestClient, knock: Callable[..., dict[str, str]]
) -> None:
    first = made(database, tenant, "fox", MODEL, copy=True)
    made(database, tenant, "owl", MODEL, OTHER)
    derived = made(database, tenant, "owl", OTHER, parent=first)
    made(database, tenant, "owl", MODEL, parent=first)
    deliver(database, tenant, "fox", "open one", first, frozen=False)
    deliver(database, tenant, "fox", "frozen one", first, frozen=True)
    chief = knock(tenant, Role.OFFICER)
    radius = client.get(f"/v1/models/{MODEL.hex()}/blast-radius", headers=chief).json()
    assert {name: radius[name] for name in ("generations", "assets", "lines", "derived_lines", "disclosed_copies")} == {
        "generations": 3,
        "assets": 3,
        "lines": 3,
        "derived_lines": 1,
        "disclosed_copies": 1,
    }
    assert [one["name"] for one in radius["named_deliveries"]] == ["frozen one", "open one"]
    assert radius["clients"] == ["client of frozen one", "client of open one"]
    assert {one["name"]: one["assets"] for one in radius["projects"]} == {"fox": 1, "owl": 2}
    assert (radius["partial"], radius["behind"]) == (False, 0)
    listed = client.get(f"/v1/models/{MODEL.hex()}/blast-radius/assets", headers=chief)
    rows = [json.loads(line) for line in listed.text.splitlines()]
    assert sorted(row["relation"] for row in rows) == ["copy", "derived", "made", "made", "made"]
    assert rows[-1]["root_id"] == str(derived)
    assert next(row for row in rows if row["relation"] == "copy")["deliveries_frozen"] == ["frozen one"]
    spelled = client.get(f"/v1/models/{MODEL.hex()}/blast-radius/assets?format=csv", headers=chief)
    assert len(list(csv.DictReader(io.StringIO(spelled.text)))) == 5


def test_who_sees_one_project_sees_its_part_and_is_told_so(
    database: Database, tenant: TenantScope, client: TestClient, knock: Callable[..., dict[str, str]]
) -> None:
    mine = made(database, tenant, "fox", MODEL)
    theirs = made(database, tenant, "owl", MODEL, copy=True)
    deliver(database, tenant, "owl", "secret", theirs, frozen=True)
    viewer = knock(tenant, Role.VIEWER, "fox")
    radius = client.get(f"/v1/models/{MODEL.hex()}/blast-radius", headers=viewer).json()
    assert (radius["partial"], radius["assets"], radius["lines"], radius["generations"]) == (True, 1, 1, 1)
    assert (radius["deliveries"], radius["disclosed_copies"], radius["clients"]) == (0, 0, [])
    assert [one["name"] for one in radius["projects"]] == ["fox"]
    page = client.get(f"/v1/models/{MODEL.hex()}/blast-radius/page", headers=viewer).json()
    assert [row["root_id"] for row in page["items"]] == [str(mine)]


def test_equal_bytes_do_not_tell_of_another_projects_run(
    database: Database, tenant: TenantScope, client: TestClient, knock: Callable[..., dict[str, str]]
) -> None:
    root = made(database, tenant, "owl", MODEL)
    with database.tenant_work(tenant) as session:
        fox = projects.ensure_project(session, "fox")
        session.execute(
            text("insert into asset_project (project_id, asset_id, root_id, made_at) values (:p, :r, :r, now())"),
            {"p": fox, "r": root},
        )
    viewer = knock(tenant, Role.VIEWER, "fox")
    radius = client.get(f"/v1/models/{MODEL.hex()}/blast-radius", headers=viewer).json()
    assert (radius["assets"], radius["generations"]) == (0, 0)
    assert client.get(f"/v1/models/{MODEL.hex()}/blast-radius/assets", headers=viewer).text == ""


def test_a_recalled_model_and_what_was_made_of_it_are_refused(database: Database, tenant: TenantScope) -> None:
    with database.tenant_work(tenant) as session:
        for model in (MODEL, MERGED):
            session.execute(text("insert into model (sha256, size, kind) values (:m, 1, 'lora')"), {"m": model})
        assert recalled(session, [MODEL, OTHER]) == {}
    recall_id = recall(database, tenant)
    with database.tenant_work(tenant) as session:
        # It came to be known after the recall, and comes under it all the same.
        origins.derive(session, officer(tenant), MERGED, MODEL, Via.MERGE)
        found = recalled(session, [MODEL, OTHER, MERGED])
    assert {sha256: one.via for sha256, one in found.items()} == {MODEL: None, MERGED: "merge"}
    with database.tenant_work(tenant) as session:
        deciding.unrecall(session, officer(tenant), recall_id, "clean after all")
        assert recalled(session, [MODEL, MERGED]) == {}


def test_marks_come_and_go_and_search_documents_stay_as_they_lie(
    database: Database, tenant: TenantScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marking, "LINES_AT_ONCE", 2)
    lines = [made(database, tenant, "fox", MODEL) for _ in range(5)]
    both = made(database, tenant, "fox", MODEL, OTHER)
    derived = made(database, tenant, "fox", parent=lines[0])
    made(database, tenant, "fox", OTHER)
    with database.tenant_work(tenant) as session:
        documents = session.execute(text(DOCUMENTS)).all()
    keeping.tend(database, tenant)
    recall_id = recall(database, tenant)
    assert marking.mark_some(database, tenant, recall_id)
    # The newest first; whoever is killed here is followed by one that goes on.
    assert marked(database, tenant) == {both, lines[4]}
    mark_all(database, tenant, recall_id)
    assert marked(database, tenant) == {*lines, both}
    assert marked(database, tenant, "recalled-derived") == {derived}
    late = made(database, tenant, "fox", MODEL)
    keeping.tend(database, tenant)
    assert late in marked(database, tenant)
    mark_all(database, tenant, recall(database, tenant, OTHER))
    with database.tenant_work(tenant) as session:
        deciding.unrecall(session, officer(tenant), recall_id, "clean after all")
    mark_all(database, tenant, recall_id)
    assert both in marked(database, tenant)
    assert not marked(database, tenant) & {*lines, late}
    assert marked(database, tenant, "recalled-derived") == set()
    with database.tenant_work(tenant) as session:
        known = {row.asset_id for row in documents}
        assert [row for row in session.execute(text(DOCUMENTS)) if row.asset_id in known] == documents
        assert deciding.find_recall(session, officer(tenant), recall_id).marking == "lifted"


def test_the_report_is_signed_and_tells_what_is_not_in_it(
    database: Database, tenant: TenantScope, client: TestClient, knock: Callable[..., dict[str, str]], offices: Offices
) -> None:
    made(database, tenant, "fox", MODEL)
    path = f"/v1/models/{MODEL.hex()}/blast-radius/report"
    answer: dict[str, Any] = client.post(path, headers=knock(tenant, Role.OFFICER)).json()
    document = json.loads(answer["report"])
    assert (document["blast_radius"]["assets"], len(document["assets"]), document["complete"]) == (1, 1, True)
    verdict = verify_seal(answer["report"].encode(), answer["signature"].encode(), load_anchors(offices.keys / "pki"))
    assert verdict.state is SealState.INTACT
    part = client.post(path, headers=knock(tenant, Role.OFFICER, "owl")).json()
    assert json.loads(part["report"])["complete"] is False
    assert client.post(path, headers=knock(tenant, Role.ARTIST, "fox")).status_code == 403
