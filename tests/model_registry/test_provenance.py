"""Versions, origins, and what drifted: over HTTP and as commands; strangers and other tenants see none of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import typer
from sqlalchemy import text
from typer.testing import CliRunner

from memoryd.access.facts import Role
from memoryd.catalog.models import drifting, uses
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.errors import Conflict, NotAcceptable, NotAllowed, NotFound
from memoryd.foundation.ids import new_id
from memoryd.model_registry import looking_up, origins
from memoryd.model_registry.facts import Observation, StatedBy, Via
from memoryd.model_registry.recording import record_observations
from memoryd.weights.sidecars import Sidecar, SidecarSource
from memoryd_cli import model_provenance, model_store
from memoryd_cli import models as commands
from memoryd_cli.client import Client

See = Callable[..., Observation]
ClientOf = Callable[..., Client]


def sha256(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


def record(session: Session, *seen: Observation) -> None:
    record_observations(session, None, worker="gpu-1", root="/models", observations=seen)


def told(seen: Observation, **facts: Any) -> Observation:
    return replace(seen, facts=replace(seen.facts, **facts))


@pytest.fixture
def three(database: Database, tenant: TenantScope, see: See) -> None:
    with database.tenant_work(tenant) as session:
        record(session, *(see("loras", f"{name}.pt", name.encode()) for name in "abc"))


def test_a_header_that_names_a_hash_is_linked_as_soon_as_that_file_is_known(session: Session, see: See) -> None:
    base = sha256("base")
    record(session, told(see("loras", "a.pt", b"a"), parents=(base.hex()[:10], "some base.safetensors")))
    assert {(one.sha256, one.stated) for one in origins.ancestors(session, [sha256("a")])[sha256("a")]} == {
        (None, base.hex()[:10]),
        (None, "some base.safetensors"),
    }
    record(session, see("checkpoints", "base.pt", b"base"))
    assert base in {one.sha256 for one in origins.ancestors(session, [sha256("a")])[sha256("a")]}
    assert [one.sha256 for one in origins.descendants(session, base)] == [sha256("a")]


def test_headers_that_name_each_other_make_no_circle(session: Session, see: See) -> None:
    record(session, told(see("loras", "a.pt", b"a"), parents=(sha256("b").hex(),)))
    record(session, told(see("loras", "b.pt", b"b"), parents=(sha256("a").hex(),)))
    above = origins.ancestors(session, [sha256("a"), sha256("b")])
    linked = [(child, one.sha256) for child, found in above.items() for one in found if one.sha256 is not None]
    assert len(linked) == 1


def test_ancestors_are_found_at_whatever_distance_nearest_first(
    three: None, client_of: ClientOf, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    client, rival = client_of(tenant, Role.ADMIN), client_of(other_tenant, Role.ADMIN)
    client.post("/models/a.pt/origins", json={"parent": "b.pt", "via": "merge"})
    shown = client.post("/models/b.pt/origins", json={"parent": "c.pt", "via": "finetune"})
    assert [one["via"] for one in shown["descendants"]] == ["merge"]
    above = client.get("/models/a.pt/origins")["ancestors"]
    assert [(one["sha256"], one["depth"]) for one in above] == [(sha256("b").hex(), 1), (sha256("c").hex(), 2)]
    with pytest.raises(Conflict):
        client.post("/models/c.pt/origins", json={"parent": "a.pt", "via": "merge"})
    with pytest.raises(NotFound):
        rival.get("/models/a.pt/origins")
    assert client.delete("/models/a.pt/origins", parent="b.pt")["ancestors"] == []
    with pytest.raises(NotFound):
        client.delete("/models/a.pt/origins", parent="b.pt")
    client.post("/models/c.pt/origins", json={"parent": "a.pt", "via": "merge"})


def test_what_lies_beside_proposes_a_version_and_a_person_decides(
    database: Database, client_of: ClientOf, tenant: TenantScope, other_tenant: TenantScope, see: See
) -> None:
    beside = Sidecar(source=SidecarSource.CIVITAI, model_id="7", model_name="Ink", version_id="70", version_name="v1")
    with database.tenant_work(tenant) as session:
        record(session, told(see("loras", "a.pt", b"a"), sidecars=beside), see("loras", "b.pt", b"b"))
    client, rival = client_of(tenant, Role.ADMIN), client_of(other_tenant, Role.ADMIN)
    version = client.get("/models/a.pt")["version"]
    assert (version["family"], version["source"], version["stated_by"]) == ("Ink", "civitai", "sidecar")
    stated = client.put("/models/a.pt/version", json={"family": "House Ink", "version": "final"})
    assert [one["stated_by"] for one in stated] == ["person", "sidecar"]
    assert client.get("/models", search="house")["items"][0]["version"]["version"] == "final"
    families = client.get("/models/families", search="ink")["items"]
    assert [(one["name"], one["source"]) for one in families] == [("House Ink", "person"), ("Ink", "civitai")]
    assert rival.get("/models/families")["items"] == []
    assert rival.get("/models", search="ink")["items"] == []
    with pytest.raises(NotAcceptable):
        client.put("/models/a.pt/version", json={"family": "x", "version": "y", "url": "javascript:alert(1)"})
    assert [one["stated_by"] for one in client.delete("/models/a.pt/version")] == ["sidecar"]
    with pytest.raises(NotFound):
        client.delete("/models/a.pt/version")


def test_a_viewer_says_nothing_about_models(three: None, client_of: ClientOf, tenant: TenantScope) -> None:
    viewer = client_of(tenant, Role.VIEWER)
    with pytest.raises(NotAllowed):
        viewer.put("/models/a.pt/version", json={"family": "x", "version": "y"})
    with pytest.raises(NotAllowed):
        viewer.post("/models/a.pt/origins", json={"parent": "b.pt", "via": "merge"})
    with pytest.raises(NotAllowed):
        viewer.post("/models/a.pt/look-up")


def _run(session: Session, project: Any, *used: tuple[str, str]) -> None:
    run = new_id()
    session.execute(
        text("insert into generation (id, run_key, origin, project_id) values (:id, :key, 'job', :project)"),
        {"id": run, "key": str(run), "project": project},
    )
    for ordinal, (name, content) in enumerate(used):
        session.execute(
            text("""insert into generation_model (generation_id, output_node, ordinal, node, source, confidence, input,
                           class_type, role, name, sha256, evidence)
                    values (:run, '9', :ordinal, '4', 'executed', 'sure', 'lora_name', 'LoraLoader', 'loras', :name,
                            :sha256, 'loader')"""),
            {"run": run, "ordinal": ordinal, "name": name, "sha256": sha256(content)},
        )


def test_runs_of_a_model_and_of_drifted_names_are_those_of_projects_that_the_caller_sees(
    session: Session, see: See
) -> None:
    ours, theirs = new_id(), new_id()
    for project, slug in ((ours, "ours"), (theirs, "theirs")):
        session.execute(
            text("insert into project (id, slug, name) values (:id, :slug, :slug)"), {"id": project, "slug": slug}
        )
    record(session, see("loras", "a.pt", b"old"))
    record(session, see("loras", "a.pt", b"new"))
    _run(session, ours, ("a.pt", "old"))
    _run(session, theirs, ("a.pt", "old"), ("a.pt", "new"))
    both = [sha256("old"), sha256("new")]

    def counted(sees: frozenset[Any] | None) -> list[int]:
        found = uses.count_uses(session, both, sees)
        return [found[one].runs for one in both]

    assert (counted(None), counted(frozenset({ours})), counted(frozenset())) == ([2, 1], [1, 0], [0, 0])
    assert uses.count_uses(session, both, None, most=1)[sha256("old")] == uses.Uses(runs=1, more=True)
    assert [run.project for run in uses.list_uses(session, sha256("old"), frozenset({ours})).rows] == ["ours"]
    first = uses.list_uses(session, sha256("old"), None, limit=1)
    second = uses.list_uses(session, sha256("old"), None, limit=1, cursor=first.next_cursor)
    assert [run.project for run in (*first.rows, *second.rows)] == ["theirs", "ours"]
    [all_] = drifting.list_drift(session, None).rows
    assert [content.sha256 for content in all_.drift.contents] == [sha256("old"), sha256("new")]
    assert {one: made.runs for one, made in all_.runs.items()} == {sha256("old"): 2, sha256("new"): 1}
    [seen] = drifting.list_drift(session, frozenset({ours})).rows
    assert {one: made.runs for one, made in seen.runs.items()} == {sha256("old"): 1}


def test_models_are_searched_by_names_and_trigger_words(session: Session, see: See) -> None:
    record(
        session, told(see("loras", "styles/Ink_100%.pt", b"a"), triggers=("inkwash",)), see("loras", "photo.pt", b"b")
    )
    for word, found in (("ink_100%", ["a"]), ("WASH", ["a"]), ("pt", ["a", "b"]), ("%", ["a"]), ("none", [])):
        rows = looking_up.list_models(session, search=word).rows
        assert sorted(one.sha256 for one in rows) == sorted(sha256(name) for name in found), word


def test_aliases_that_we_measured_are_told_from_stated_ones(session: Session, see: See) -> None:
    record(session, told(see("loras", "a.pt", b"a"), aliases={"sshs": "ab" * 32}, measured={"autov3": "cd" * 6}))
    detail = looking_up.show_model(session, sha256("a"))
    assert (set(detail.aliases), detail.measured) == ({"sshs", "autov3"}, frozenset({"autov3"}))
    assert looking_up.find_model(session, "cdcdcdcdcdcd") == sha256("a")


def test_a_person_derives_and_the_trail_knows(session: Session, see: See, caller: Any) -> None:
    record(session, see("loras", "a.pt", b"a"), see("loras", "b.pt", b"b"))
    origins.derive(session, caller, sha256("a"), sha256("b"), Via.QUANTISED)
    [above] = origins.ancestors(session, [sha256("a")])[sha256("a")]
    assert (above.sha256, above.via, above.stated_by) == (sha256("b"), Via.QUANTISED, StatedBy.PERSON)
    noted = session.execute(text("select action from audit_pending where action like 'model.derive%'")).scalars().all()
    assert noted == ["model.derive"]


def test_the_commands_say_it_all(
    three: None, client_of: ClientOf, tenant: TenantScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(tenant, Role.ADMIN)
    for room in (commands, model_provenance, model_store):
        monkeypatch.setattr(room, "server", lambda: client)
    app = typer.Typer()
    commands.register(app)

    def run(*words: str) -> str:
        answer = CliRunner().invoke(app, ["models", *words])
        assert answer.exit_code == 0, answer.output
        return answer.output

    assert sha256("b").hex()[:12] in run("derive", "a.pt", "--from", "b.pt", "--via", "merge")
    assert "merge (a person says so)" in run("origins", "b.pt")
    assert "Ink v2, from person (a person says so)" in run("version", "a.pt", "Ink", "v2")
    shown = run("show", "a.pt")
    assert "version  Ink v2" in shown
    assert f"from     {sha256('b').hex()[:12]}, merge" in shown
    assert "Ink v2" in run("list", "--search", "ink")
    assert "v2" in run("families")
    assert "gpu-1" in run("places")
    assert "one content only" in run("drift")
    assert json.loads(run("uses", "a.pt", "--json")) == {"items": [], "next_cursor": None}
    assert "nobody says" in run("underive", "a.pt", "--from", "b.pt")
    assert run("version", "a.pt", "--withdraw") == ""
