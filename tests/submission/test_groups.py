"""Groups over HTTP: one template, many items; one progress, one pause, one cancel, and what is missing again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from memoryd.access.guards import Offices
from memoryd.foundation.database import TenantScope
from memoryd.submission.grouping import asking
from tests.submission.conftest import GRAPH, FarmHand
from tests.submission.test_checking import LOADED, catalogue, tell
from tests.submission.test_endpoints import picture

Join = Callable[..., FarmHand]

GRID = {
    "graph": GRAPH,
    "axes": [{"input": "1.color", "values": [1, 2, 3]}, {"input": "2.filename_prefix", "values": ["a", "b"]}],
}


def ask(person: TestClient, **changes: Any) -> Any:
    headers = changes.pop("headers", {})
    return person.post("/v1/groups", json={**GRID, **changes}, headers=headers)


def made(person: TestClient, **changes: Any) -> str:
    answer = ask(person, **changes)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def items(person: TestClient, group: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = person.get(f"/v1/groups/{group}/items").json()["items"]
    return found


def count(offices: Offices, tenant: TenantScope) -> int:
    with offices.database.tenant_work(tenant) as session:
        return int(session.execute(text("select count(*) from job_detail")).scalar_one())


def test_a_grid_is_every_combination_in_order(person: TestClient, join: Join) -> None:
    hand = join()
    group = made(person, name="colours")
    shown = person.get(f"/v1/groups/{group}").json()
    assert (shown["total"], shown["there"], shown["name"]) == (6, 6, "colours")
    assert shown["counts"] == {"ready": 6}
    assert shown["inputs"] == ["1.color", "2.filename_prefix"]
    wanted = [{"1.color": colour, "2.filename_prefix": prefix} for colour in (1, 2, 3) for prefix in ("a", "b")]
    assert [item["values"] for item in items(person, group)] == wanted
    job = hand.claim()
    assert job is not None
    graph = json.loads(job["prompt"])
    assert (graph["1"]["inputs"]["color"], graph["2"]["inputs"]["filename_prefix"]) == (1, "a")
    assert graph["1"]["inputs"]["width"] == 64


def test_the_answer_tells_when_it_ends(person: TestClient, join: Join) -> None:
    assert ask(person).json()["ends"] is None
    join()
    answer = ask(person).json()
    assert (answer["total"], answer["added"], answer["known"]) == (6, 6, False)
    assert answer["ends"]["p50_s"] > 0
    assert answer["ends"]["p90_s"] >= answer["ends"]["p50_s"]
    assert answer["cost_s"] > 0


def test_a_table_names_nodes_by_title_and_its_texts_get_the_types_of_the_template(person: TestClient) -> None:
    graph = {**GRAPH, "1": {**GRAPH["1"], "_meta": {"title": "Plain colour"}}}
    table = 'Plain colour.color;2.filename_prefix\n12;"one; two"\n13;"three\nlines"\n'
    group = made(person, graph=graph, axes=[], csv=table)
    assert [item["values"] for item in items(person, group)] == [
        {"Plain colour.color": 12, "2.filename_prefix": "one; two"},
        {"Plain colour.color": 13, "2.filename_prefix": "three\nlines"},
    ]


def test_rows_and_axes_are_combined(person: TestClient) -> None:
    group = made(
        person,
        rows=[{"2.filename_prefix": "a"}, {"2.filename_prefix": "b"}],
        axes=[{"input": "1.color", "values": ["7", 8]}],
    )
    values = [(item["values"]["2.filename_prefix"], item["values"]["1.color"]) for item in items(person, group)]
    assert values == [("a", 7), ("a", 8), ("b", 7), ("b", 8)]


def test_the_greatest_seed_comes_through_in_full(person: TestClient, join: Join) -> None:
    hand = join()
    tell(hand, catalogue("fox.safetensors"))
    group = made(person, graph=LOADED, axes=[{"input": "3.seed", "values": [str(2**64 - 1)]}])
    assert items(person, group)[0]["values"] == {"3.seed": str(2**64 - 1)}
    job = hand.claim()
    assert job is not None
    assert json.loads(job["prompt"])["3"]["inputs"]["seed"] == 2**64 - 1


def test_a_value_that_comfyui_would_refuse_is_named_with_its_item_and_nothing_is_queued(
    person: TestClient, join: Join, offices: Offices, tenant: TenantScope
) -> None:
    tell(join(), catalogue("fox.safetensors"))
    for name, values, kind in (
        ("3.seed", [1, 2, 2**64], "prompt-invalid"),
        ("3.steps", [1, 2, 1000], "prompt-invalid"),
        ("1.ckpt_name", ["fox.safetensors", "fox.safetensors", "wolf.safetensors"], "model-unknown"),
        ("2.image", ["photo.png", "photo.png", "nowhere.png"], "input-missing"),
    ):
        answer = ask(person, graph=LOADED, axes=[{"input": name, "values": values}])
        assert (answer.status_code, answer.json()["kind"]) == (422, kind), answer.text
        assert answer.json()["detail"].startswith("item 3:")
    assert count(offices, tenant) == 0


@pytest.mark.parametrize(
    ("changes", "kind", "hint"),
    [
        ({"axes": [{"input": "9.seed", "values": [1]}]}, "input-not-found", "the graph has 1"),
        ({"axes": [{"input": "1.seed", "values": [1]}]}, "input-not-found", "node 1 has width"),
        ({"axes": [{"input": "2.images", "values": [1]}]}, "input-is-linked", "node 1"),
        ({"axes": [{"input": "1.color", "values": []}]}, "bad-items", "one value"),
        ({"axes": [{"input": "1.color", "values": ["red"]}]}, "bad-items", "template"),
        ({"axes": [{"input": "1.color", "values": [1]}] * 2}, "bad-items", "one axis"),
        ({"axes": []}, "bad-items", "inputs"),
        ({"axes": [], "csv": "1.color\n"}, "bad-items", "6.text"),
        ({"axes": [], "csv": "1.color,1.width\n1\n"}, "bad-items", "quotation"),
    ],
)
def test_items_that_cannot_be_made_are_refused_with_the_next_step(
    person: TestClient, changes: dict[str, Any], kind: str, hint: str
) -> None:
    answer = ask(person, **changes)
    assert (answer.status_code, answer.json()["kind"]) == (422, kind), answer.text
    assert hint in answer.json()["hint"]


def test_titles_that_several_nodes_have_are_refused_with_their_ids(person: TestClient) -> None:
    titled = {"_meta": {"title": "Mine"}}
    graph = {"1": {**GRAPH["1"], **titled}, "2": GRAPH["2"], "3": {**GRAPH["1"], **titled}}
    answer = ask(person, graph=graph, axes=[{"input": "Mine.color", "values": [1]}])
    assert answer.json()["kind"] == "title-ambiguous"
    assert "1.color, 3.color" in answer.json()["hint"]


def test_too_many_items_are_refused(person: TestClient) -> None:
    axes = [{"input": name, "values": list(range(101))} for name in ("1.color", "1.width")]
    assert ask(person, axes=axes).status_code == 413


def test_the_same_key_again_is_the_same_group(person: TestClient, offices: Offices, tenant: TenantScope) -> None:
    first = ask(person, headers={"Idempotency-Key": "k"}).json()
    again = ask(person, headers={"Idempotency-Key": "k"}).json()
    assert (again["id"], again["known"], again["added"]) == (first["id"], True, 0)
    assert count(offices, tenant) == 6
    other = ask(person, headers={"Idempotency-Key": "k"}, urgency="batch")
    assert (other.status_code, other.json()["kind"]) == (409, "key-reused")


def test_a_sending_that_broke_off_is_completed_by_sending_it_again(
    person: TestClient, offices: Offices, tenant: TenantScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "CHUNK", 2)
    add = asking._add

    def break_off(*told: Any) -> int:
        if told[-1] >= 4:
            raise ConnectionError
        return add(*told)

    monkeypatch.setattr(asking, "_add", break_off)
    with pytest.raises(ConnectionError):
        ask(person, key="k")
    (group,) = person.get("/v1/groups").json()["items"]
    shown = person.get(f"/v1/groups/{group['id']}").json()
    assert (shown["there"], shown["total"]) == (4, 6)
    monkeypatch.setattr(asking, "_add", add)
    again = ask(person, key="k").json()
    assert (again["id"], again["known"], again["added"]) == (group["id"], True, 2)
    assert [item["number"] for item in items(person, group["id"])] == list(range(6))


def test_a_group_is_paused_and_resumed(person: TestClient, join: Join) -> None:
    hand = join()
    group = made(person)
    assert person.post(f"/v1/groups/{group}/pause").json() == {"changed": True}
    assert hand.claim() is None
    assert person.get(f"/v1/groups/{group}").json()["paused_at"] is not None
    assert person.post(f"/v1/groups/{group}/resume").json() == {"changed": True}
    assert hand.claim() is not None


def test_what_is_missing_of_a_group_runs_again_and_nothing_else(person: TestClient, join: Join) -> None:
    hand = join()
    group = made(person)
    job = hand.claim()
    assert job is not None
    hand.upload(job, 0, picture())
    assert hand.report(job, picture()).status_code == 200
    assert person.post(f"/v1/groups/{group}/cancel").json() == {"items": 5}
    shown = person.get(f"/v1/groups/{group}").json()
    assert shown["counts"] == {"succeeded": 1, "cancelled": 5}
    assert shown["missing"] == 5
    first = items(person, group)[0]
    assert (first["state"], len(first["outputs"])) == ("succeeded", 1)
    assert person.post(f"/v1/groups/{group}/retry-missing").json() == {"items": 5}
    assert person.get(f"/v1/groups/{group}").json()["counts"] == {"succeeded": 1, "ready": 5}


def test_a_group_is_followed_to_its_end(person: TestClient) -> None:
    group = made(person)
    person.post(f"/v1/groups/{group}/cancel")
    with person.stream("GET", f"/v1/groups/{group}/events") as stream:
        told = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
    assert told[-1]["counts"] == {"cancelled": 6}


def test_groups_are_listed_newest_first_in_pages(person: TestClient) -> None:
    groups = [made(person, name=f"g{number}") for number in range(3)]
    page = person.get("/v1/groups", params={"limit": 2}).json()
    assert [one["id"] for one in page["items"]] == groups[:0:-1]
    rest = person.get("/v1/groups", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert [one["id"] for one in rest["items"]] == groups[:1]
    assert [one["id"] for one in person.get("/v1/groups", params={"mine": True}).json()["items"]] == groups[::-1]


def test_no_stranger_and_no_other_tenant_reaches_a_group(
    person: TestClient, other_person: TestClient, stranger: TestClient
) -> None:
    group = made(person)
    assert ask(stranger).status_code == 401
    assert other_person.get("/v1/groups").json()["items"] == []
    for path in ("", "/items", "/events"):
        assert stranger.get(f"/v1/groups/{group}{path}").status_code == 401
        assert other_person.get(f"/v1/groups/{group}{path}").status_code == 404
    for verb in ("pause", "resume", "cancel", "retry-missing"):
        assert stranger.post(f"/v1/groups/{group}/{verb}").status_code == 401
        assert other_person.post(f"/v1/groups/{group}/{verb}").status_code == 404
    assert person.get(f"/v1/groups/{group}").json()["counts"] == {"ready": 6}
