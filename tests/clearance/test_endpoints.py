"""Verdicts, clients and deliveries over HTTP: stranger, other tenant, a project that is not seen, and what works."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from memoryd.access import keys, people, projects
from memoryd.access.facts import Caller, Role
from memoryd.access.roles import PEOPLES_SCOPES
from memoryd.access.sessions import local_caller
from memoryd.catalog.looking_up import find_asset
from memoryd.clearance import endpoints, reopening, standing
from memoryd.clearance.recalls import deciding
from memoryd.clearance.recalls import keeping as touches
from memoryd.clearance.recalls.facts import RecallKind
from memoryd.dispatch import chores
from memoryd.foundation.database import Database
from memoryd.foundation.ids import ProjectId
from memoryd.ingest.facts import Folder
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record
from memoryd.model_registry.licences import state_licence
from memoryd.search.finding import find_all
from memoryd.search.query_language import parse
from tests.disclosure.studio import TestClient, client, offices

SHA = b"\x07" * 32
OTHER = {"Memoryd-Tenant": "other"}


@dataclasses.dataclass
class Studio:
    """A picture of project `one` whose checkpoint is known by its hash, and a client of the API."""

    database: Database
    caller: Caller
    api: TestClient
    project: ProjectId
    hidden: ProjectId
    asset: str

    def work(self) -> None:
        """Do the chores of this room until none is left."""
        handlers: dict[str, Any] = {standing.CHORE_KIND: standing.do_chore, reopening.CHORE_KIND: reopening.do_chore}
        means = SimpleNamespace(database=self.database, tenant=self.caller.tenant)
        while True:
            with self.database.farm_work() as session:
                chore = chores.claim(session, list(handlers))
            if chore is None:
                return
            handlers[chore.kind](means, chore)
            with self.database.farm_work() as session:
                chores.finish(session, chore)

    def grant(self, name: str) -> None:
        """Let a person name the checkpoint's licence."""
        with self.database.tenant_work(self.caller.tenant) as session:
            state_licence(session, self.caller, SHA, name)

    def found(self, query: str, sees: frozenset[ProjectId] | None = None) -> int:
        """How many assets a search finds."""
        with self.database.tenant_work(self.caller.tenant) as session:
            return len(find_all(session, parse(query), sees, 10))

    def member(self, project: str) -> dict[str, str]:
        """The headers of somebody who produces in one project alone."""
        with self.database.tenant_work(self.caller.tenant) as session:
            person = people.ensure_person(session, f"member-{project}", "Member")
            people.grant_role(session, person, Role.PRODUCER, projects.find_project(session, project))
        with self.database.tenant_work(self.caller.tenant) as session:
            made = keys.make_key(session, self.caller.tenant, name="k", person=person, scopes=PEOPLES_SCOPES)
        return {"Authorization": f"Bearer {made.token}"}

    def check(self, headers: dict[str, str] | None = None, **asked: object) -> Any:
        """Ask for a verdict."""
        return self.api.post("/v1/clearance/checks", json=asked, headers=headers)


@pytest.fixture
def studio(database: Database, fixtures: Path, tmp_path: Path) -> Studio:
    caller = local_caller(database, "default")
    folder = (tmp_path / "out").resolve()
    folder.mkdir()
    picture = folder / "a.png"
    picture.write_bytes((fixtures / "images" / "txt2img_basic.png").read_bytes())
    with database.tenant_work(caller.tenant) as session:
        project, hidden = (projects.ensure_project(session, slug) for slug in ("one", "two"))
        prepared = prepare_here(Folder(path=folder, project_id=project), [picture])
        record(session, prepared, scope=caller.tenant, caller=caller)
        session.execute(text("insert into model (sha256, size, kind) values (:sha, 1, 'checkpoint')"), {"sha": SHA})
        session.execute(text("update generation_model set sha256 = :sha, identified = 'pin'"), {"sha": SHA})
        asset = find_asset(session, str(picture), None)
    api = client(offices(database, tmp_path / "home"), endpoints.router, local=True)
    return Studio(database, caller, api, project, hidden, str(asset))


def test_a_stranger_learns_nothing(database: Database, tmp_path: Path) -> None:
    stranger = client(offices(database, tmp_path), endpoints.router, local=False)
    for method, path in (
        ("post", "/clearance/checks"), ("get", "/clearance/verdicts"), ("get", "/clearance/reopened"),
        ("post", "/clearance/refresh"), ("get", "/clearance/facts"), ("patch", "/clearance/facts"),
        ("get", "/clients"), ("post", "/clients"), ("get", "/clients/a"), ("patch", "/clients/a"),
        ("get", "/deliveries"), ("post", "/deliveries"), ("get", "/deliveries/a"),
        ("post", "/deliveries/a/items"), ("post", "/deliveries/a/freeze"),
    ):  # fmt: skip
        assert stranger.request(method, f"/v1{path}").status_code == 401, path


def test_what_nobody_licensed_is_unknown_and_a_grant_makes_it_allowed(studio: Studio) -> None:
    unknown = studio.check(asset=studio.asset, territories=["US"]).json()
    assert unknown["verdict"] == "unknown"
    assert [clause["term"] for clause in unknown["clauses"]] == ["no-grant"]
    studio.grant("Apache-2.0")
    allowed = studio.check(asset=studio.asset, territories=["US"]).json()
    assert allowed["verdict"] == "allow"
    assert allowed["clauses"][0]["licence"]
    kept = studio.api.get("/v1/clearance/verdicts").json()["items"]
    assert [(row["verdict"], row["state"]) for row in kept] == [("allow", "standing"), ("unknown", "superseded")]
    assert studio.check(asset=studio.asset, territories=["US"]).json()["id"] == allowed["id"]


def test_a_european_studio_is_stopped_and_an_american_one_is_not(studio: Studio) -> None:
    studio.grant("tencent-hunyuan-video-community")
    facts = {"revenue_usd": 1, "users": 0, "seats": ["US"]}
    assert studio.api.patch("/v1/clearance/facts", json=facts).status_code == 200
    asked: dict[str, Any] = {"asset": studio.asset, "use": "client-delivery"}
    assert studio.check(**asked, territories=["US"]).json()["verdict"] == "allow"
    assert studio.check(**asked, territories=["EU"]).json()["verdict"] == "block"
    assert studio.check(**asked).json()["verdict"] == "block"
    client_ = studio.api.post("/v1/clients", json={"name": "Zweig GmbH", "revenue_usd": 5, "users": 1, "seats": ["DE"]})
    assert client_.status_code == 201
    assert studio.check(**asked, territories=["US"], client="Zweig GmbH").json()["verdict"] == "block"
    assert studio.check(**asked, territories=["Atlantis"]).status_code == 422


def test_a_changed_grant_reopens_what_was_decided_and_marks_the_pictures_anew(studio: Studio) -> None:
    studio.work()
    assert studio.found("verdict:unknown licence:unknown") == 1
    studio.grant("Apache-2.0")
    studio.work()
    assert studio.found("verdict:allow licence:apache-2.0") == 1
    assert studio.found("verdict:unknown") == 0
    studio.check(asset=studio.asset, territories=["US"])
    studio.grant("stability-ai-nc-research")
    studio.work()
    reopened = studio.api.get("/v1/clearance/reopened").json()["items"]
    assert {row["kind"] for row in reopened} == {"asset", "set"}
    assert all(
        (row["reopened_to"], row["state"]) == ("block", "reopened") for row in reopened if row["kind"] == "asset"
    )
    assert next(row["counts"] for row in reopened if row["kind"] == "set") == {"assets": 1}
    assert studio.found("verdict:block") == 1
    assert studio.found("licence:stability*") == 1


def test_what_is_recalled_is_blocked_whatever_its_licence_says_and_told_as_recalled(studio: Studio) -> None:
    studio.grant("Apache-2.0")
    studio.work()
    assert studio.check(asset=studio.asset, territories=["US"]).json()["verdict"] == "allow"
    with studio.database.tenant_work(studio.caller.tenant) as session:
        recall_id = deciding.recall(session, studio.caller, SHA, RecallKind.MALICIOUS, "it runs code")
    studio.work()
    assert {row["reopened_to"] for row in studio.api.get("/v1/clearance/reopened").json()["items"]} == {"block"}
    assert (studio.found("verdict:allow"), studio.found("verdict:block")) == (0, 1)
    now = studio.check(asset=studio.asset, use="internal", territories=["US"]).json()
    assert now["verdict"] == "block"
    assert (now["clauses"][0]["term"], now["clauses"][0]["verdict"]) == ("recalled", "block")
    assert "recalled as malicious: it runs code" in now["clauses"][0]["says"]
    assert studio.check(project="one", territories=["US"]).json()["verdict"] == "block"
    with studio.database.tenant_work(studio.caller.tenant) as session:
        deciding.unrecall(session, studio.caller, recall_id, "another file was meant")
    studio.work()
    assert studio.found("verdict:allow") == 1
    assert studio.check(asset=studio.asset, territories=["US"]).json()["verdict"] == "allow"


def test_a_verdict_is_marked_in_its_project_alone(studio: Studio) -> None:
    studio.grant("Apache-2.0")
    studio.work()
    assert studio.found("verdict:allow", frozenset({studio.project})) == 1
    assert studio.found("verdict:allow is:all", frozenset({studio.hidden})) == 0
    with studio.database.tenant_work(studio.caller.tenant) as session:
        session.execute(
            text(
                "insert into asset_project (project_id, asset_id, root_id, made_at)"
                " select :project, id, root_id, made_at from asset"
            ),
            {"project": studio.hidden},
        )
    # The other project owns the same bytes now, and nobody has worked out what it may know.
    assert studio.found("verdict:allow", frozenset({studio.hidden})) == 0


def test_a_mark_follows_what_is_read_anew_and_what_a_picture_is_said_to_be_made_from(studio: Studio) -> None:
    studio.grant("Apache-2.0")
    studio.work()

    def renewed() -> tuple[int, int]:
        touches.tend(studio.database, studio.caller.tenant)
        standing.renew(studio.database, studio.caller.tenant)
        studio.work()
        assert standing.renew(studio.database, studio.caller.tenant) == 0
        return studio.found("verdict:allow"), studio.found("verdict:unknown")

    assert renewed() == (1, 0)
    with studio.database.tenant_work(studio.caller.tenant) as session:
        session.execute(text("update generation_model set sha256 = :sha"), {"sha": b"\x08" * 32})
    assert renewed() == (0, 1)
    with studio.database.tenant_work(studio.caller.tenant) as session:
        session.execute(text("update generation_model set sha256 = :sha"), {"sha": SHA})
    assert renewed() == (1, 0)
    # A parent of which nobody knows how it was made.
    with studio.database.tenant_work(studio.caller.tenant) as session:
        session.execute(
            text(
                "insert into asset (id, sha256, size, kind, media_type, made_at, made_source, root_id)"
                " values (:id, :sha, 1, 'image', 'image/png', now(), 'file_time', :id)"
            ),
            {"id": UUID(int=1), "sha": b"\x09" * 32},
        )
        session.execute(
            text(
                "insert into lineage (child_root, parent_root, via)"
                " select root_id, :parent, 'input' from asset where id = :child"
            ),
            {"parent": UUID(int=1), "child": UUID(studio.asset)},
        )
    assert renewed() == (0, 1)
    with studio.database.tenant_work(studio.caller.tenant) as session:
        session.execute(text("delete from lineage"))
    assert renewed() == (1, 0)


def test_a_project_and_a_delivery_are_judged_with_counts_and_items(studio: Studio) -> None:
    studio.grant("Apache-2.0")
    early = studio.check(project="one", territories=["US"]).json()
    assert (early["verdict"], early["counts"]) == ("unknown", {"unknown": 1})
    studio.work()
    late = studio.check(project="one", territories=["US"]).json()
    assert (late["verdict"], late["counts"]) == ("allow", {"allow": 1})
    made = studio.api.post("/v1/deliveries", json={"name": "first", "project": "one"}).json()
    assert studio.check(delivery="first").status_code == 409
    assert studio.api.post("/v1/deliveries/first/items", json={"query": "kind:image"}).json() == {"added": 1}
    found = studio.check(delivery=made["id"], territories=["US"]).json()
    assert found["verdict"] == "allow"
    assert [(item["asset_id"], item["verdict"]) for item in found["items"]] == [(studio.asset, "allow")]
    assert studio.api.post("/v1/deliveries/first/freeze").json()["state"] == "frozen"
    frozen = studio.api.post("/v1/deliveries/first/items", json={"assets": [studio.asset]})
    assert (frozen.status_code, frozen.json()["kind"]) == (409, "delivery-frozen")
    foreign = studio.api.post("/v1/deliveries", json={"name": "second", "project": "two"}).json()
    assert studio.api.post(f"/v1/deliveries/{foreign['id']}/items", json={"assets": [studio.asset]}).status_code == 409


def test_a_registration_names_a_known_licence_and_nothing_is_not_added(studio: Studio) -> None:
    refused = studio.api.patch("/v1/clearance/facts", json={"registered": ["stability"]})
    assert (refused.status_code, refused.json()["kind"]) == (404, "licence-not-known")
    told = studio.api.patch("/v1/clearance/facts", json={"registered": ["Stability AI Community License"]}).json()
    assert told["registered"] == ["stability-ai-community"]
    studio.api.post("/v1/deliveries", json={"name": "first", "project": "one"})
    assert studio.api.post("/v1/deliveries/first/items", json={"assets": []}).json()["kind"] == "bad-question"


def test_a_workflow_is_judged_before_it_runs(studio: Studio) -> None:
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "never-seen.safetensors"}},
        "2": {"class_type": "VAEDecode", "inputs": {"vae": ["1", 2], "samples": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    found = studio.check(workflow=graph).json()
    assert found["verdict"] == "unknown"
    assert [clause["term"] for clause in found["clauses"]] == ["no-hash"]
    assert studio.check(workflow={}).status_code == 422
    assert studio.check().status_code == 422


def test_another_tenant_and_a_member_of_another_project_find_nothing(studio: Studio) -> None:
    studio.api.post("/v1/deliveries", json={"name": "first", "project": "one"})
    studio.api.post("/v1/clients", json={"name": "Zweig"})
    studio.api.patch("/v1/clients/Zweig", json={"project": "one"})
    studio.check(asset=studio.asset)
    outsider = studio.member("two")
    for headers in (OTHER, outsider):
        assert studio.check(headers, asset=studio.asset).status_code == 404
        assert studio.check(headers, project="one").status_code == 404
        assert studio.check(headers, delivery="first").status_code == 404
        assert (
            studio.check(headers, workflow={"1": {"class_type": "A", "inputs": {}}}, client="Zweig").status_code == 404
        )
        assert studio.api.get("/v1/clients/Zweig", headers=headers).status_code == 404
        assert studio.api.get("/v1/deliveries/first", headers=headers).status_code == 404
        for path in ("clients", "deliveries", "clearance/verdicts", "clearance/reopened"):
            assert studio.api.get(f"/v1/{path}", headers=headers).json()["items"] == [], path
    assert studio.api.patch("/v1/clearance/facts", json={"users": 1}, headers=outsider).status_code == 403
    assert studio.api.post("/v1/clients", json={"name": "x"}, headers=outsider).status_code == 403
    insider = studio.member("one")
    assert studio.check(insider, asset=studio.asset).status_code == 200
    assert studio.api.get("/v1/clients/Zweig", headers=insider).json()["projects"] == ["one"]
    assert studio.api.get("/v1/deliveries/first", headers=insider).status_code == 200


def test_what_an_ancestor_was_made_with_counts_and_is_not_named_to_who_does_not_see_it(studio: Studio) -> None:
    studio.grant("stability-ai-nc-research")
    with studio.database.tenant_work(studio.caller.tenant) as session:
        child, run = UUID(int=1), UUID(int=2)
        session.execute(
            text(
                "insert into asset (id, sha256, size, kind, media_type, made_at, made_source, root_id)"
                " values (:id, :sha, 1, 'image', 'image/png', now(), 'file_time', :id)"
            ),
            {"id": child, "sha": b"\x09" * 32},
        )
        session.execute(
            text("insert into asset_project (project_id, asset_id, root_id, made_at) values (:p, :a, :a, now())"),
            {"p": studio.hidden, "a": child},
        )
        session.execute(
            text("insert into generation (id, run_key, origin, project_id) values (:id, 'k', 'job', :p)"),
            {"id": run, "p": studio.hidden},
        )
        session.execute(
            text(
                "insert into generation_output (generation_id, node, output, asset_id, certain)"
                " values (:run, '9', 'images', :asset, true)"
            ),
            {"run": run, "asset": child},
        )
        session.execute(
            text(
                "insert into lineage (child_root, parent_root, via)"
                " select :child, root_id, 'input' from asset where id = :parent"
            ),
            {"child": child, "parent": UUID(studio.asset)},
        )
    whole = studio.check(asset=str(child)).json()
    assert whole["verdict"] == "block"
    assert {clause["model"] for clause in whole["clauses"]} == {SHA.hex()}
    partly = studio.check(studio.member("two"), asset=str(child)).json()
    assert partly["verdict"] == "block"
    assert {clause["model"] for clause in partly["clauses"]} == {None}
    assert {clause["licence"] for clause in partly["clauses"]} == {None}
    assert "stability" not in str(partly).lower()
