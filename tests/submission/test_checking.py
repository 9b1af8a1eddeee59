"""What is refused before it costs GPU time, in ComfyUI's own words; and what is accepted although little is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from memoryd.access.guards import Offices
from memoryd.comfyui.catalogue_document import pack_catalogue
from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.database import TenantScope
from memoryd.submission.pool_knowledge import merge_catalogues, with_files
from memoryd.submission.wire import BODY_LIMIT
from tests.submission.conftest import GRAPH, FarmHand

Join = Callable[..., FarmHand]

LOADED = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "fox.safetensors"}},
    "2": {"class_type": "LoadImage", "inputs": {"image": "photo.png"}},
    "3": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "image": ["2", 0], "seed": 7, "steps": 20}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
}


def catalogue(*files: str, photos: tuple[str, ...] = ("photo.png",)) -> NodeSpecs:
    sampler: dict[str, Any] = {
        "model": ["MODEL", {}],
        "image": ["IMAGE", {}],
        "seed": ["INT", {"min": 0, "max": 2**64 - 1, "control_after_generate": True}],
        "steps": ["INT", {"min": 1, "max": 100}],
    }
    return NodeSpecs(
        {
            "CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [list(files)]}}, "output": ["MODEL"]},
            "LoadImage": {
                "input": {"required": {"image": [list(photos), {"image_upload": True}]}},
                "output": ["IMAGE", "MASK"],
            },
            "KSampler": {"input": {"required": sampler}, "output": ["IMAGE"]},
            "SaveImage": {
                "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {}]}},
                "output": [],
                "output_node": True,
            },
        }
    )


def tell(hand: FarmHand, specs: NodeSpecs, **stated: Any) -> None:
    hand.start(specs.classes, nodes_sha256=specs.digest.hex(), **stated)
    told = hand.http.put(f"/v1/work/nodes/{specs.digest.hex()}", content=pack_catalogue(specs), headers=hand.headers)
    assert told.status_code == 204, told.text


@pytest.fixture
def told(join: Join) -> FarmHand:
    """A worker that has told its specifications: one checkpoint, one photo."""
    hand = join()
    tell(hand, catalogue("fox.safetensors"))
    return hand


def ask(person: TestClient, graph: Any, **more: Any) -> Any:
    return person.post("/v1/jobs", json={"graph": graph, **more})


def changed(node: str, **inputs: Any) -> dict[str, Any]:
    return {**LOADED, node: {**LOADED[node], "inputs": {**LOADED[node]["inputs"], **inputs}}}  # type: ignore[dict-item]


def jobs(offices: Offices, tenant: TenantScope) -> int:
    with offices.database.tenant_work(tenant) as session:
        return int(session.execute(text("select count(*) from job_detail")).scalar_one())


def test_what_a_pool_can_run_is_accepted_and_said_to_be_checked(person: TestClient, told: FarmHand) -> None:
    answer = ask(person, LOADED)
    assert answer.status_code == 201, answer.text
    assert answer.json()["checked"] == "specifications"
    assert answer.json()["node_errors"] == {}


def test_where_nothing_is_known_a_graph_is_accepted_and_that_is_said(person: TestClient) -> None:
    answer = ask(person, LOADED).json()
    assert answer["checked"] == "nothing"
    assert "nothing is known of pool 'default'" in answer["notes"][0]


def test_where_only_classes_are_known_that_is_said(person: TestClient, join: Join) -> None:
    join()
    answer = ask(person, GRAPH).json()
    assert answer["checked"] == "classes"


@pytest.mark.parametrize(
    ("graph", "kind", "node", "error"),
    [
        (changed("1", ckpt_name="wolf.safetensors"), "model-unknown", "1", "value_not_in_list"),
        (changed("2", image="nowhere.png"), "input-missing", "2", "custom_validation_failed"),
        (changed("3", seed=2**64), "prompt-invalid", "3", "value_bigger_than_max"),
        (changed("3", seed=-1), "prompt-invalid", "3", "value_smaller_than_min"),
        (changed("3", steps=101), "prompt-invalid", "3", "value_bigger_than_max"),
        (changed("3", steps="many"), "prompt-invalid", "3", "invalid_input_type"),
        (changed("3", model=["2", 0]), "prompt-invalid", "3", "return_type_mismatch"),
        (changed("3", model=["1"]), "prompt-invalid", "3", "bad_linked_input"),
        (changed("4", images=["9", 0]), "prompt-invalid", "4", "exception_during_validation"),
    ],
)
def test_what_comfyui_would_refuse_is_refused_in_its_words(
    person: TestClient,
    told: FarmHand,
    offices: Offices,
    tenant: TenantScope,
    graph: dict[str, Any],
    kind: str,
    node: str,
    error: str,
) -> None:
    answer = ask(person, graph)
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert body["kind"] == kind
    assert body["hint"]
    assert body["error"]["type"] == "prompt_outputs_failed_validation"
    assert [each["type"] for each in body["node_errors"][node]["errors"]] == [error]
    assert list(body["node_errors"]) == [node]
    assert jobs(offices, tenant) == 0


def test_a_class_that_no_worker_has_is_named(person: TestClient, told: FarmHand) -> None:
    graph = {**LOADED, "9": {"class_type": "Upscaler", "inputs": {}}}
    body = ask(person, graph).json()
    assert body["kind"] == "node-class-unknown"
    assert body["classes"] == ["Upscaler"]
    assert body["error"]["type"] == "missing_node_type"
    assert body["error"]["extra_info"]["node_id"] == "9"


def test_a_graph_without_an_output_is_refused(person: TestClient, told: FarmHand) -> None:
    body = ask(person, {"1": LOADED["1"]}).json()
    assert body["error"]["type"] == "prompt_no_outputs"


def test_a_circle_of_nodes_is_refused(person: TestClient, told: FarmHand) -> None:
    body = ask(person, changed("3", image=["3", 0])).json()
    assert body["node_errors"]["3"]["errors"][0]["type"] == "dependency_cycle"


def test_a_seed_of_2_to_the_64_is_refused_also_where_nothing_is_known(person: TestClient) -> None:
    body = ask(person, changed("3", seed=2**64)).json()
    assert body["kind"] == "prompt-invalid"
    assert str(2**64 - 1) in body["hint"]
    assert ask(person, changed("3", seed=2**64 - 1)).status_code == 201


@pytest.mark.parametrize(
    "graph",
    [
        {"nodes": [{"id": 1, "type": "KSampler"}], "links": [], "version": 0.4},
        json.dumps({"nodes": [], "links": []}),
        {},
        "[]",
        "{",
        "",
        {"prompt": {"1": {"class_type": "A", "inputs": {}}}},
        {"1": "KSampler"},
    ],
)
def test_what_is_no_graph_in_api_format_is_refused_with_how_to_export_it(person: TestClient, graph: Any) -> None:
    answer = ask(person, graph)
    assert answer.status_code == 422
    assert "Export (API)" in answer.json()["hint"]


def test_an_output_that_is_wrong_beside_one_that_runs_is_told(person: TestClient, told: FarmHand) -> None:
    graph = {**LOADED, "5": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}}}
    answer = ask(person, graph)
    assert answer.status_code == 201
    assert list(answer.json()["node_errors"]) == ["5"]
    assert "left out" in answer.json()["notes"][0]


def test_an_input_that_the_job_brings_is_not_missing(person: TestClient, told: FarmHand) -> None:
    stored = person.post("/v1/inputs", files={"file": ("x.png", b"pixels")}).json()
    graph = changed("2", image="mine.png")
    assert ask(person, graph).json()["kind"] == "input-missing"
    assert ask(person, graph, inputs=[{"name": "mine.png", **stored}]).status_code == 201


def test_an_input_whose_bytes_nobody_sent_is_refused(person: TestClient, told: FarmHand) -> None:
    never = {"name": "mine.png", "sha256": hashlib.sha256(b"never").hexdigest(), "size": 5}
    assert ask(person, LOADED, inputs=[never]).json()["kind"] == "input-not-stored"


def test_a_file_that_came_with_another_worker_counts_at_once(person: TestClient, told: FarmHand, join: Join) -> None:
    graph = changed("1", ckpt_name="wolf.safetensors")
    assert ask(person, graph).status_code == 422
    tell(join(), catalogue("wolf.safetensors"))
    assert ask(person, graph).status_code == 201
    assert ask(person, LOADED).status_code == 201


def test_a_model_that_a_worker_got_since_it_told_its_specifications_counts(person: TestClient, told: FarmHand) -> None:
    specs = catalogue("fox.safetensors")
    files = [{"folder": "checkpoints", "path": name, "sha256": None} for name in ("fox.safetensors", "new.safetensors")]
    told.start(specs.classes, nodes_sha256=specs.digest.hex(), models=files)
    assert ask(person, changed("1", ckpt_name="new.safetensors")).status_code == 201


def test_no_tenant_is_judged_by_anothers_workers(person: TestClient, other_person: TestClient, told: FarmHand) -> None:
    answer = ask(other_person, changed("1", ckpt_name="theirs.safetensors"))
    assert answer.status_code == 201
    assert answer.json()["checked"] == "nothing"


def test_whoever_knows_better_lets_comfyui_decide(person: TestClient, told: FarmHand) -> None:
    assert ask(person, changed("3", steps=101), unchecked=True).status_code == 201
    unknown = {**LOADED, "9": {"class_type": "Upscaler", "inputs": {}}}
    assert ask(person, unknown, unchecked=True).status_code == 422


def test_what_is_stored_is_what_was_sent(person: TestClient, told: FarmHand) -> None:
    sent = json.dumps(changed("3", steps="20"))
    assert ask(person, sent).status_code == 201
    job = told.claim()
    assert job is not None
    assert job["prompt"] == sent


def test_an_oversized_body_is_refused_before_it_is_read_as_a_whole(person: TestClient) -> None:
    piece = b"x" * 2**20
    for path in ("/v1/jobs", "/v1/groups"):
        endless = (piece for _ in range(BODY_LIMIT // len(piece) + 1))
        answer = person.post(path, content=endless, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413, answer.text


def test_a_graph_that_is_too_large_is_refused(person: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from memoryd.submission import submitting

    monkeypatch.setattr(submitting, "TEXT_LIMIT", 50)
    assert ask(person, GRAPH).json()["kind"] == "text-too-large"


def test_a_project_runs_only_in_its_pools_and_regions(
    person: TestClient, offices: Offices, tenant: TenantScope
) -> None:
    for name, region in (("berlin", "eu"), ("texas", "us"), ("somewhere", None)):
        assert person.post("/v1/pools", json={"name": name}).status_code == 201
        with offices.database.farm_work() as session:
            session.execute(
                text("update pool set region = :region where name = :name"), {"region": region, "name": name}
            )
    changed_project = person.patch("/v1/projects/default", json={"regions": ["eu"]})
    assert changed_project.status_code == 200, changed_project.text
    assert ask(person, GRAPH, pool="berlin").status_code == 201
    for pool in ("texas", "somewhere", "default"):
        refused = ask(person, GRAPH, pool=pool)
        assert (refused.status_code, refused.json()["kind"]) == (422, "region-not-allowed")
    person.patch("/v1/projects/default", json={"pools": ["texas"], "regions": None})
    refused = ask(person, GRAPH, pool="berlin")
    assert (refused.status_code, refused.json()["kind"]) == (422, "pool-not-allowed")
    assert "texas" in refused.json()["hint"]
    assert ask(person, GRAPH, pool="texas").status_code == 201
    assert ask(person, GRAPH, pool="nowhere").status_code == 404


def test_specifications_of_alike_workers_are_merged_by_their_options() -> None:
    one, two = catalogue("a.safetensors").document, catalogue("b.safetensors").document
    merged = merge_catalogues([one, two])
    assert merged["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] == ["a.safetensors", "b.safetensors"]
    assert one["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] == ["a.safetensors"]  # type: ignore[index,call-overload]


def test_files_stated_later_are_among_the_options_of_their_folder_only() -> None:
    merged = with_files(
        merge_catalogues([catalogue("a.safetensors").document]),
        {"checkpoints": ["a.safetensors", "c.safetensors"], "loras": ["l.safetensors"]},
    )
    assert merged["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] == ["a.safetensors", "c.safetensors"]
    assert merged["LoadImage"]["input"]["required"]["image"][0] == ["photo.png"]
