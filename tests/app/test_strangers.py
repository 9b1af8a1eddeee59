"""Every address of the server, those of tomorrow too: a stranger gets nothing there, another tenant nothing of ours."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text

from memoryd.access import keys, people, projects
from memoryd.access.facts import Role, Scope
from memoryd.access.guards import Offices
from memoryd.access.sessions import local_caller
from memoryd.app.http import make_app
from memoryd.dispatch.wire import PROTOCOL, PROTOCOL_HEADER
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.settings import Settings
from memoryd.storage.blob_store import BlobStore

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

OPEN = {
    "/health",
    "/ready",
    "/v1/openapi.json",
    "/openapi.json",
    "/docs",
    "/sign-in",
    "/sign-out",
    "/v1/sign-in",
    "/v1/work/join",
    "/assets/{asset}/disclosures",
    "/manifest.webmanifest",
}
"""What tells nothing, leads elsewhere, or lets somebody in by a token of one use."""
NOBODY = UUID(int=1)
WEIGHTS = hashlib.sha256(b"hidden").hexdigest()
SECRET = "hidden-"


@pytest.fixture
def offices(database: Database, tmp_path: Path) -> Offices:
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True, mode=0o700)
    return Offices(settings=Settings(home=home), database=database, store=BlobStore(home), keys=home / "keys")


@pytest.fixture
def stranger(offices: Offices) -> Iterator[TestClient]:
    """Somebody from another machine; with a key's header they are who the key says."""
    known = TestClient(
        make_app(offices), base_url="https://studio.example", client=("203.0.113.7", 4711), follow_redirects=False
    )
    with known:
        yield known


def operations(client: TestClient) -> list[tuple[str, str]]:
    """Every method and path, of routers inside of routers too."""

    def of(routes: list[Any], prefix: str) -> Iterator[tuple[str, str]]:
        for route in routes:
            inner = getattr(route, "original_router", None)
            if inner is not None:
                yield from of(inner.routes, prefix + route.include_context.prefix)
            elif isinstance(route, APIRoute):
                yield from ((method, prefix + route.path) for method in route.methods or () if method != "HEAD")

    return sorted(set(of(client.app.routes, "")))  # type: ignore[attr-defined]


def filled(path: str, names: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: names.get(found[1], str(NOBODY)), path)


def test_who_is_not_known_gets_nothing_anywhere(stranger: TestClient) -> None:
    every = operations(stranger)
    assert len(every) > 250
    let_in = []
    for method, path in every:
        if path in OPEN:
            continue
        answer = stranger.request(method, filled(path, {"sha256": WEIGHTS}), headers={PROTOCOL_HEADER: str(PROTOCOL)})
        if answer.status_code != 401:
            let_in.append((method, path, answer.status_code))
    assert let_in == [], "\n".join(map(str, let_in))


@pytest.fixture
def ours(database: Database, stranger: TestClient, knock: Callable[[TenantScope], dict[str, str]]) -> dict[str, str]:
    """What a studio has: weights, a recall of them, a licence of its own, a policy, a client, a delivery."""
    caller = local_caller(database, "default")
    with database.tenant_work(caller.tenant) as session:
        projects.ensure_project(session, "hidden-project")
        session.execute(
            text("insert into model (sha256, size, kind, base_name) values (:sha, 1, 'lora', 'hidden-base')"),
            {"sha": bytes.fromhex(WEIGHTS)},
        )
    admin = knock(caller.tenant)

    def post(path: str, method: str = "POST", **body: object) -> dict[str, Any]:
        answer = stranger.request(method, f"/v1{path}", json=body, headers=admin)
        assert answer.status_code < 300, (path, answer.text)
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told

    client = post("/clients", name="hidden-client")
    delivery = post("/deliveries", name="hidden-delivery", project="hidden-project")
    post("/projects/hidden-project/policy", "PUT", on_unknown="refuse", reason="hidden-reason")
    post(f"/models/{WEIGHTS}/grants", name="mit", reason="hidden-reason")
    post("/licences/mit/overrides", terms={"training_ban": True}, reason="hidden-reason")
    recall = post(f"/models/{WEIGHTS}/recall", kind="malicious", reason="hidden-reason")
    return {
        "ref": WEIGHTS,
        "sha256": WEIGHTS,
        "slug": "hidden-project",
        "client": client["id"],
        "delivery": delivery["id"],
        "recall_id": recall["recall"]["id"],
        "licence": "mit",
    }


@pytest.fixture
def knock(database: Database) -> Callable[[TenantScope], dict[str, str]]:
    def known(tenant: TenantScope) -> dict[str, str]:
        with database.tenant_work(tenant) as session:
            person = people.ensure_person(session, "chief", "Chief")
            people.grant_role(session, person, Role.ADMIN, None)
            scopes = frozenset(Scope) - {Scope.WORK}
            key = keys.make_key(session, tenant, name="laptop", scopes=scopes, person=person)
        return {"Authorization": f"Bearer {key.token}"}

    return known


def test_another_tenant_reads_nothing_of_ours_anywhere(
    stranger: TestClient,
    ours: dict[str, str],
    knock: Callable[[TenantScope], dict[str, str]],
    other_tenant: TenantScope,
) -> None:
    rival, read = knock(other_tenant), 0
    for method, path in operations(stranger):
        if method != "GET" or path.endswith(("/events", "/stream")) or "/work/" in path:
            continue
        for ref in (ours["ref"], ours["delivery"], ours["client"]):
            answer = stranger.get(filled(path, {**ours, "ref": ref}), headers=rival)
            # An answer may repeat what the question named.
            assert SECRET not in answer.text.replace(ours["slug"], ""), (path, answer.text)
            assert answer.status_code < 500, (path, answer.text)
            read += answer.status_code == 200
            if "{ref" not in path:
                break
    assert read > 50
