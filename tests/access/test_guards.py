from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.requests import HTTPConnection

from memoryd.access import guards, sessions
from memoryd.access.facts import Role, Scope
from memoryd.access.guards import (
    AdministratorCaller,
    Annotator,
    Discloser,
    Reader,
    WorkerCaller,
    is_local,
    refuse_foreign_origin,
)
from memoryd.access.keys import make_key
from memoryd.access.projects import ensure_project, list_projects
from memoryd.access.roles import PEOPLES_SCOPES
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.settings import Settings
from tests.access.conftest import Knows, TestClient


def asking(
    *, client: str | None = "127.0.0.1", host: str = "127.0.0.1:7860", method: str = "GET", **headers: str
) -> HTTPConnection:
    named = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return HTTPConnection(
        {
            "type": "http",
            "method": method,
            "client": (client, 4711) if client else None,
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
    )


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "127.9.9.9"]
)
@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
def test_from_this_machine_to_this_machine_is_local(client: str, host: str) -> None:
    assert is_local(asking(client=client, host=host), Settings())


@pytest.mark.parametrize(
    "request_",
    [
        asking(client="203.0.113.7"),
        asking(client=None),
        asking(client="testclient"),
        asking(host="evil.example:7860"),  # DNS rebinding: a foreign name that resolves to us
        asking(host="127.0.0.1.evil.example"),
        asking(host="localhost.evil.example"),
        asking(host=""),
        asking(host="[::1"),
        asking(x_forwarded_for="203.0.113.7"),
        asking(forwarded="for=203.0.113.7"),
        asking(x_real_ip="203.0.113.7"),
        asking(via="1.1 proxy"),
    ],
)
def test_anybody_else_is_not(request_: HTTPConnection) -> None:
    assert not is_local(request_, Settings())


def test_an_operator_may_have_no_local_person_and_a_proxy_ends_it() -> None:
    assert not is_local(asking(), Settings(local_person=False))
    assert not is_local(asking(), Settings(proxy="127.0.0.1"))


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (asking(method="POST"), False),
        (asking(method="POST", origin="http://127.0.0.1:7860"), False),
        (asking(method="POST", host="studio.example", origin="https://Studio.example"), False),
        (asking(method="POST", origin="http://127.0.0.1:7861"), True),
        (asking(method="POST", origin="http://evil.example"), True),
        (asking(method="DELETE", origin="null"), True),
        (asking(method="PUT", origin=""), True),
        (asking(method="GET", origin="http://evil.example"), False),
        (asking(method="GET", sec_fetch_site="cross-site", sec_fetch_mode="navigate"), False),
        (asking(method="GET", sec_fetch_site="cross-site", sec_fetch_mode="no-cors"), True),
        (asking(method="POST", sec_fetch_site="cross-site", sec_fetch_mode="navigate"), True),
        (asking(method="POST", sec_fetch_site="same-origin", origin="http://127.0.0.1:7860"), False),
    ],
)
def test_a_page_of_another_origin_may_not_act(request_: HTTPConnection, refused: bool) -> None:
    if refused:
        with pytest.raises(guards.ForeignOrigin):
            refuse_foreign_origin(request_)
    else:
        refuse_foreign_origin(request_)


def test_a_websocket_from_another_origin_is_refused() -> None:
    handshake = asking(origin="http://evil.example")
    handshake.scope["type"] = "websocket"
    with pytest.raises(guards.ForeignOrigin):
        refuse_foreign_origin(handshake)


@pytest.fixture
def doors(app: FastAPI) -> FastAPI:
    """Endpoints that a room might have."""

    @app.get("/read")
    def read(work: Reader) -> list[str]:
        return [project.slug for project in list_projects(work.session, work.caller.sees)]

    @app.post("/annotate")
    def annotate(work: Annotator) -> list[str]:
        return [project.slug for project in list_projects(work.session, work.caller.sees)]

    @app.post("/disclose")
    def disclose(work: Discloser) -> None:
        ensure_project(work.session, "half-done")
        raise guards.ScopeMissing("raised after the work was done")

    @app.post("/administer")
    def administer(caller: AdministratorCaller) -> str:
        return caller.via

    @app.get("/work")
    def work(worker: WorkerCaller) -> str:
        return worker.name

    return app


@pytest.mark.usefixtures("doors")
class TestDoors:
    def test_a_stranger_is_not_recognised_and_is_told_the_next_step(self, stranger: TestClient) -> None:
        for method, path in (("GET", "/read"), ("POST", "/annotate"), ("POST", "/administer"), ("GET", "/work")):
            answer = stranger.request(method, path)
            assert answer.status_code == 401
            assert "Bearer" in answer.json()["hint"]

    def test_what_a_role_does_not_grant_is_refused_by_name(
        self, stranger: TestClient, tenant: TenantScope, know: Knows
    ) -> None:
        ada = know(tenant, "ada", Role.VIEWER)
        assert stranger.get("/read", headers=ada.headers).json() == ["default"]
        answer = stranger.post("/annotate", headers=ada.headers)
        assert answer.status_code == 403
        assert "'annotate'" in answer.json()["detail"]

    def test_the_unit_of_work_sees_only_where_the_scope_is_held(
        self, stranger: TestClient, tenant: TenantScope, know: Knows
    ) -> None:
        know(tenant, "ada", Role.VIEWER, project="spot")
        ada = know(tenant, "ada", Role.ARTIST, project="film")
        assert stranger.get("/read", headers=ada.headers).json() == ["film", "spot"]
        assert stranger.post("/annotate", headers=ada.headers).json() == ["film"]

    def test_an_endpoint_that_raises_leaves_nothing_behind(
        self, stranger: TestClient, tenant: TenantScope, know: Knows
    ) -> None:
        ada = know(tenant, "ada", Role.OFFICER)
        assert stranger.post("/disclose", headers=ada.headers).status_code == 403
        assert stranger.get("/read", headers=ada.headers).json() == ["default"]

    def test_the_local_person_may_everything_but_work(self, local: TestClient) -> None:
        assert local.post("/administer").json() == "local"
        assert local.get("/work").status_code == 403

    def test_the_local_person_may_name_a_tenant(
        self, local: TestClient, database: Database, other_tenant: TenantScope
    ) -> None:
        with database.tenant_work(other_tenant) as session:
            ensure_project(session, "theirs")
        assert local.get("/read", headers={guards.TENANT_HEADER: "other"}).json() == ["default", "theirs"]
        assert local.get("/read", headers={guards.TENANT_HEADER: "gone"}).status_code == 404

    def test_a_wrong_key_from_this_machine_is_no_local_person(self, local: TestClient) -> None:
        answer = local.get("/read", headers={"Authorization": "Bearer mk_0_0"})
        assert answer.status_code == 401

    def test_a_worker_works_and_reads_nothing(
        self, stranger: TestClient, database: Database, tenant: TenantScope
    ) -> None:
        with database.tenant_work(tenant) as session:
            made = make_key(session, tenant, name="gpu-1", scopes=frozenset({Scope.WORK}))
        headers = {"Authorization": f"Bearer {made.token}"}
        assert stranger.get("/work", headers=headers).json() == "gpu-1"
        assert stranger.get("/read", headers=headers).status_code == 403

    def test_a_person_is_no_worker(self, stranger: TestClient, tenant: TenantScope, know: Knows) -> None:
        ada = know(tenant, "ada", Role.ADMIN, scopes=PEOPLES_SCOPES)
        assert stranger.get("/work", headers=ada.headers).status_code == 403

    def test_a_session_acts_from_our_own_pages_only(
        self, stranger: TestClient, database: Database, tenant: TenantScope, know: Knows
    ) -> None:
        ada = know(tenant, "ada", Role.ADMIN)
        with database.tenant_work(tenant) as session:
            link = sessions.make_sign_in_link(session, tenant.slug, ada.person)
        started = sessions.redeem_sign_in_link(database, link.token)
        stranger.cookies.set(sessions.SESSION_COOKIE, started.cookie)
        assert stranger.post("/administer").json() == "session"
        assert stranger.post("/administer", headers={"Origin": "https://evil.example"}).status_code == 403
        stranger.cookies.set(sessions.SESSION_COOKIE, "default.0")
        assert stranger.post("/administer").status_code == 401
