"""Plans before anybody asks: of one asset, and of all that a project has; each reason with the next step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from memoryd.access import projects
from memoryd.access.facts import Role
from memoryd.dispatch import pools, workers
from memoryd.dispatch.wire import RegisterRequest
from memoryd.foundation.database import TenantScope
from memoryd.foundation.ids import AssetId
from memoryd.reproduction.planning import make_plan
from tests.reproduction.studio import Studio, studio

__all__ = ["studio"]

BLEND, BASIC, BARE = "modelfree_blend_invert.png", "txt2img_basic.png", "no_metadata.png"
BATCH = "txt2img_batch4.png"


def digest(studio: Studio, name: str) -> str:
    return hashlib.sha256((studio.files / "comfyui" / "images" / name).read_bytes()).hexdigest()


def codes(causes: list[dict[str, Any]]) -> set[str]:
    assert all(cause["detail"] for cause in causes)
    return {cause["code"] for cause in causes}


def plan_of(studio: Studio, name: str) -> dict[str, Any]:
    with studio.speaking() as client:
        answer = client.get(f"/v1/assets/{digest(studio, name)}/plan", headers=studio.key(Role.VIEWER))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_a_plan_names_what_is_needed_and_that_nobody_could_do_it(studio: Studio) -> None:
    studio.take_in(BASIC)
    plan = plan_of(studio, BASIC)
    assert plan["prompt_bytes"] > 0
    assert [model["name"] for model in plan["models"]] == ["tiny-sd15-random.safetensors"]
    assert plan["models"][0]["sha256"] is None
    assert codes(plan["hindrances"]) == {"no-worker"}
    assert plan["possible"] is False
    assert all(cause["next_step"] for cause in plan["hindrances"])
    assert plan["workers"] == []


def test_an_asset_without_a_graph_is_answered_with_the_reason(studio: Studio) -> None:
    studio.take_in(BARE)
    plan = plan_of(studio, BARE)
    assert codes(plan["missing"]) == {"no-graph"}
    assert "memoryd ingest" in plan["missing"][0]["next_step"]


def test_inputs_that_nobody_kept_are_named_by_their_content(studio: Studio) -> None:
    studio.take_in(BLEND)
    plan = plan_of(studio, BLEND)
    assert codes(plan["missing"]) == {"input-missing"}
    assert digest(studio, BASIC) in plan["missing"][0]["detail"]
    studio.take_in(BASIC)
    assert plan_of(studio, BLEND)["missing"] == []
    with studio.offices.database.tenant_work(studio.tenant) as session:
        session.execute(text("delete from blob"))
        session.execute(text("update location set state = 'missing' where shown_path like '%basic%'"))
    gone = plan_of(studio, BLEND)
    assert codes(gone["missing"]) == {"input-missing"}
    assert "was here" in gone["missing"][0]["detail"]


WEIGHTS, OTHER = hashlib.sha256(b"weights").digest(), hashlib.sha256(b"other weights").digest()
CHECKPOINT = "tiny-sd15-random.safetensors"
TXT2IMG = ["CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode", "SaveImage"]


def join(
    studio: Studio,
    label: str,
    *,
    classes: Sequence[str] = TXT2IMG,
    tenants: Sequence[TenantScope] = (),
    models: Mapping[str, str | None] | None = None,
) -> None:
    """Let a worker join that states these classes, and these checkpoints: name -> SHA-256 in hex."""
    stated = {
        "incarnation": uuid4(),
        "label": label,
        "host": "here",
        "environment": {"torch": label},
        "models": [
            {"folder": "checkpoints", "path": f"{name}.safetensors", "sha256": sha}
            for name, sha in (models or {}).items()
        ],
        "nodes_sha256": hashlib.sha256(label.encode()).hexdigest(),
        "classes": list(classes),
    }
    with studio.offices.database.farm_work() as session:
        pools.ensure_defaults(session)
        served = [tenant.id for tenant in tenants or (studio.tenant,)]
        token = workers.make_join_token(session, tenants=served, pools=["default"], label=label)
        joined = workers.join(session, token, label=label, host="here", gpu_uuid=None, protocol=1)
        workers.register(session, workers.recognise(session, joined.key), RegisterRequest.model_validate(stated))


def pin(studio: Studio, sha256: bytes) -> None:
    """Let it be known which weights the recorded runs used."""
    with studio.offices.database.tenant_work(studio.tenant) as session:
        session.execute(text("update generation_model set sha256 = :s"), {"s": sha256})


def test_workers_are_told_with_what_each_lacks_those_that_fit_first(studio: Studio) -> None:
    studio.take_in(BASIC)
    pin(studio, WEIGHTS)
    name = CHECKPOINT.removesuffix(".safetensors")
    join(studio, "drifted", models={name: OTHER.hex()})
    join(studio, "empty")
    join(studio, "no-pack", classes=TXT2IMG[:3], models={name: WEIGHTS.hex()})
    join(studio, "renamed", models={"sd15": WEIGHTS.hex()})
    join(studio, "unhashed", models={name: None})
    join(studio, "whole", models={name: WEIGHTS.hex()})
    join(studio, "foreign", tenants=[studio.other_tenant], models={name: WEIGHTS.hex()})
    plan = plan_of(studio, BASIC)
    assert plan["possible"] is True
    found = {
        each["label"]: (each["fits"], sorted(cause["code"] for cause in each["lacks"])) for each in plan["workers"]
    }
    assert found == {
        "drifted": (False, ["model-drifted"]),
        "empty": (False, ["model-missing"]),
        "no-pack": (False, ["class-missing"]),
        "renamed": (True, ["model-under-other-name"]),
        "unhashed": (True, ["model-not-hashed"]),
        "whole": (True, []),
    }
    assert {each["label"] for each in plan["workers"][:3]} == {"renamed", "unhashed", "whole"}


@pytest.mark.parametrize(
    ("models", "classes", "code"),
    [
        ({"tiny-sd15-random": OTHER.hex()}, TXT2IMG, "model-drifted"),
        ({}, TXT2IMG, "model-nobody-has"),
        ({"tiny-sd15-random": WEIGHTS.hex()}, TXT2IMG[1:], "class-nobody-has"),
    ],
)
def test_what_no_worker_has_is_named_with_what_to_do(
    studio: Studio, models: dict[str, str | None], classes: list[str], code: str
) -> None:
    studio.take_in(BASIC)
    pin(studio, WEIGHTS)
    join(studio, "only", classes=classes, models=models)
    plan = plan_of(studio, BASIC)
    assert [cause["code"] for cause in plan["hindrances"]] == [code]
    assert plan["hindrances"][0]["next_step"]
    assert plan["possible"] is False


def test_what_each_is_somewhere_but_nowhere_together_is_told(studio: Studio) -> None:
    studio.take_in(BASIC)
    pin(studio, WEIGHTS)
    join(studio, "models", classes=["SaveImage"], models={"tiny-sd15-random": WEIGHTS.hex()})
    join(studio, "classes", classes=TXT2IMG)
    assert codes(plan_of(studio, BASIC)["hindrances"]) == {"no-worker-has-all"}


def test_a_model_with_an_unknown_hash_is_no_hindrance_and_is_told(studio: Studio) -> None:
    studio.take_in(BASIC)
    join(studio, "only", models={"tiny-sd15-random": WEIGHTS.hex()})
    plan = plan_of(studio, BASIC)
    assert plan["possible"] is True
    assert codes(plan["notices"]) == {"model-hash-unknown"}


def test_a_batch_is_told_whole(studio: Studio) -> None:
    studio.take_in(BATCH)
    assert plan_of(studio, BATCH)["batch_size"] == 4


OUTLOOK = [
    BARE,
    BLEND,
    BASIC,
    BATCH,
    "img2img_lora.png",
    "txt2img_dpmpp_sde_karras_128x96.png",
    "txt2img_two_saves_and_preview.png",
]


@pytest.mark.parametrize("source", [{"project": "default"}, {"q": "is:all"}, {"q": "", "project": "default"}])
def test_an_outlook_says_of_each_picture_what_its_plan_says(studio: Studio, source: dict[str, str]) -> None:
    studio.take_in(*OUTLOOK)
    pin(studio, WEIGHTS)
    join(studio, "only", classes=[*TXT2IMG, "LoraLoader"], models={"tiny-sd15-random": WEIGHTS.hex()})
    with studio.speaking() as client:
        headers = studio.key(Role.PRODUCER)
        outlook = client.get("/v1/plans", params={**source, "show": "all"}, headers=headers).json()
        told = {item["face"]["sha256"]: item for item in outlook["items"]}
        assert set(told) == {digest(studio, name) for name in OUTLOOK}
        for sha256, item in told.items():
            plan = client.get(f"/v1/assets/{sha256}/plan", headers=headers).json()
            assert codes(item["hindrances"]) == codes(plan["hindrances"]), plan
            assert codes(item["notices"]) == codes(plan["notices"]) - codes(plan["hindrances"]), plan
            assert item["possible"] == plan["possible"]
    counted = outlook["counted"]
    assert counted["lines"] == len(OUTLOOK)
    assert counted["possible"] == sum(item["possible"] for item in told.values())
    assert counted["by_cause"]["no-graph"] == 1
    assert counted["truncated"] is False


def test_an_outlook_is_paged_and_counts_once(studio: Studio) -> None:
    studio.take_in(*OUTLOOK)
    with studio.speaking() as client:
        headers = studio.key(Role.PRODUCER)
        seen, cursor, counted = [], None, []
        while True:
            page = client.get(
                "/v1/plans",
                params={"project": "default", "limit": 2, "cursor": cursor}
                if cursor
                else {"project": "default", "limit": 2},
                headers=headers,
            ).json()
            seen += [item["face"]["id"] for item in page["items"]]
            counted.append(page["counted"] is not None)
            cursor = page["next_cursor"]
            if cursor is None:
                break
    assert len(seen) == len(set(seen)) == len(OUTLOOK), "no worker is there: nothing can be made"
    assert counted == [True, False, False, False]


def test_only_what_was_approved_is_looked_at_where_that_is_asked(studio: Studio) -> None:
    studio.take_in(BASIC, BARE)
    with studio.speaking() as client:
        headers = studio.key(Role.PRODUCER)
        sent = client.put(f"/v1/assets/{digest(studio, BARE)}/approval", json={"state": "approved"}, headers=headers)
        assert sent.status_code < 300, sent.text
        for source in ({"project": "default"}, {"q": ""}):
            page = client.get("/v1/plans", params={**source, "approved": True}, headers=headers).json()
            assert [item["face"]["sha256"] for item in page["items"]] == [digest(studio, BARE)]


def test_plans_are_refused_to_strangers_and_unknown_to_others(studio: Studio) -> None:
    studio.take_in(BASIC, project="fox")
    one, many = f"/v1/assets/{digest(studio, BASIC)}/plan", "/v1/plans?project=fox"
    with studio.speaking() as client:
        assert [client.get(path).status_code for path in (one, many)] == [401, 401]
        for outsider in (studio.key(Role.ADMIN, tenant=studio.other_tenant), studio.key(Role.PRODUCER, project="owl")):
            assert [client.get(path, headers=outsider).status_code for path in (one, many)] == [404, 404]
            assert client.get("/v1/plans?q=", headers=outsider).json()["counted"]["lines"] == 0
        own = studio.key(Role.VIEWER, project="fox")
        assert [client.get(path, headers=own).status_code for path in (one, many)] == [200, 200]
        nothing = client.get("/v1/plans", headers=own)
        assert (nothing.status_code, nothing.json()["hint"]) == (422, "--project NAME, or --search WORDS")
        assert client.get("/v1/plans?project=fox&cursor=zzz", headers=own).status_code == 422


def test_a_run_of_a_project_that_is_not_seen_plans_nothing(studio: Studio) -> None:
    studio.take_in(BASIC, project="fox")
    with studio.offices.database.tenant_work(studio.tenant) as session:
        owl = projects.ensure_project(session, "owl")
        asset = AssetId(session.execute(text("select id from asset")).scalar_one())
        session.execute(text("update generation set project_id = (select id from project where slug = 'fox')"))
        plan = make_plan(session, asset, frozenset({owl}))
    assert [cause.code for cause in plan.missing] == ["no-graph"]
