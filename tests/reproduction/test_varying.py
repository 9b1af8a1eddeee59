"""Variations through the real server, the real worker and the stand-in engine; and who may ask for them."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from memoryd.access.facts import Role
from tests.reproduction.studio import PATIENCE_S, Studio, studio

__all__ = ["studio"]

HIRES = "txt2img_hires_two_samplers.png"
ADVANCED = "txt2img_sampler_custom_advanced.png"
GREATEST = "txt2img_seed_u64max.png"
LORA = "txt2img_lora.png"
UNICODE = "txt2img_unicode_zh_emoji.png"
BARE = "no_metadata.png"
BLEND = "modelfree_blend_invert.png"
BASIC = "txt2img_basic.png"


def digest(studio: Studio, name: str) -> str:
    return hashlib.sha256((studio.files / "comfyui" / "images" / name).read_bytes()).hexdigest()


def asked(studio: Studio, name: str, **body: Any) -> dict[str, Any]:
    """What a wish comes to, as a program asks for it; nothing is queued unless it says so."""
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        answer = client.post(
            f"/v1/assets/{digest(studio, name)}/variations", json={"dry_run": True, **body}, headers=own
        )
    made: dict[str, Any] = {**answer.json(), "http": answer.status_code}
    return made


def kind_of(refused: dict[str, Any]) -> str:
    return str(refused["type"]).rpartition("#")[2]


def test_parameters_are_listed_with_their_places(studio: Studio) -> None:
    studio.take_in(GREATEST)
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        listed = client.get(f"/v1/assets/{digest(studio, GREATEST)}/parameters", headers=own).json()["items"]
    assert {(one["name"], one["place"], one["value"]) for one in listed} >= {
        ("seed", "3.seed", "18446744073709551615"),
        ("prompt", "6.text", "max seed"),
        ("cfg", "3.cfg", 7.0),
    }


def test_a_grid_is_every_combination_and_each_item_says_all_that_differs(studio: Studio) -> None:
    studio.take_in(LORA)
    made = asked(
        studio,
        LORA,
        set={"prompt": "雪 🦊, cfg=9"},
        grid=[{"name": "cfg", "values": ["5", "7.5"]}, {"name": "10.strength_model", "values": [0.1, 0.9]}],
        seeds=2,
    )
    assert (made["http"], made["total"], made["job_id"], made["group_id"]) == (200, 8, None, None)
    assert made["items"][0].keys() == {"6.text", "3.cfg", "10.strength_model", "3.seed"}
    assert {item["6.text"] for item in made["items"]} == {"雪 🦊, cfg=9"}
    assert [item["3.cfg"] for item in made["items"]] == [5.0] * 4 + [7.5] * 4
    assert made["cost_s"] > 0
    assert any("editor's graph is left out" in note for note in made["notes"])
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        assert client.get("/v1/groups", headers=own).json()["items"] == []
        assert client.get(f"/v1/assets/{digest(studio, LORA)}/variations", headers=own).json()["items"] == []


def test_a_name_with_values_of_its_own_in_two_passes_must_be_said_exactly(studio: Studio) -> None:
    studio.take_in(HIRES)
    refused = asked(studio, HIRES, set={"seed": 5})
    assert (refused["http"], kind_of(refused)) == (422, "parameter-ambiguous")
    assert "3.seed (12)" in refused["hint"]
    assert "31.seed (13)" in refused["hint"]
    both = asked(studio, HIRES, set={"steps": "4", "31.seed": str(2**64 - 1)})
    assert both["items"] == [{"3.steps": 4, "31.steps": 4, "31.seed": str(2**64 - 1)}]
    fresh = asked(studio, HIRES, seeds=3)
    assert [item["3.seed"] == item["31.seed"] for item in fresh["items"]] == [True] * 3, "one seed for both passes"
    kept = asked(studio, HIRES, seeds=2, set={"31.seed": 13})
    assert [item["31.seed"] for item in kept["items"]] == [13, 13], "a pass whose seed is said keeps it"
    assert len({item["3.seed"] for item in kept["items"]}) == 2


def test_settings_of_a_custom_sampler_are_reached_by_their_names(studio: Studio) -> None:
    studio.take_in(ADVANCED)
    made = asked(studio, ADVANCED, set={"seed": "18446744073709551615", "cfg": 3, "steps": 1, "scheduler": "karras"})
    assert made["items"] == [
        {"40.noise_seed": "18446744073709551615", "43.cfg": 3, "42.steps": 1, "42.scheduler": "karras"}
    ]


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        ({"set": {"style": "ink"}}, "parameter-unknown", "seed, steps, cfg, sampler"),
        ({"set": {"3.colour": 1}}, "input-not-found", "node 3 has seed, steps"),
        ({"set": {"3.model": 1}}, "input-is-linked", "node 4"),
        ({"set": {"steps": "2.5"}}, "bad-items", "whole numbers"),
        ({"set": {"cfg": "high"}}, "bad-items", "the template has one there"),
        ({"set": {"seed": str(2**64)}}, "prompt-invalid", "2^64 - 1"),
        ({"set": {"cfg": 5, "3.cfg": 6}}, "bad-items", "once"),
        ({"grid": [{"name": "cfg", "values": []}]}, "bad-items", "one at least"),
        ({"set": {"seed": 1}, "seeds": 2}, "bad-items", "leave one"),
        ({"seeds": 1_001}, "too-many-seeds", "SEEDS_LIMIT"),
        ({"seeds": 1_000, "grid": [{"name": "cfg", "values": list(range(1, 12))}]}, "too-many-items", "ITEMS_LIMIT"),
        ({}, "nothing-varies", "--seeds"),
    ],
)
def test_what_cannot_be_varied_is_refused_with_the_next_step(
    studio: Studio, body: dict[str, Any], kind: str, told: str
) -> None:
    studio.take_in(UNICODE)
    refused = asked(studio, UNICODE, **body)
    assert refused["http"] in (413, 422), refused
    assert kind_of(refused) == kind, refused
    assert told in refused["hint"], refused


def test_a_picture_without_a_run_has_no_variations(studio: Studio) -> None:
    studio.take_in(BARE)
    refused = asked(studio, BARE, seeds=1)
    assert (refused["http"], "no executed graph is known" in refused["detail"]) == (422, True)


def test_another_size_is_said_to_be_another_picture(studio: Studio) -> None:
    studio.take_in(GREATEST)
    assert any("another picture" in note for note in asked(studio, GREATEST, set={"width": 128})["notes"])


def test_variations_are_made_and_lead_back_to_their_original(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BLEND, BASIC)
    original = digest(studio, BLEND)
    with studio.farm(tmp_path), studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        address = f"/v1/assets/{original}/variations"
        body = {"grid": [{"name": "1.color", "values": [1, 255]}], "set": {"width": 40}, "key": "once"}
        made = client.post(address, json=body, headers=own)
        assert made.status_code == 201, made.text
        again = client.post(address, json=body, headers=own).json()
        one = client.post(address, json={"set": {"1.color": 7}}, headers=own).json()
        group = made.json()["group_id"]
        assert (again["group_id"], again["id"]) == (group, made.json()["id"]), "sent again it is the same"
        until = time.monotonic() + PATIENCE_S
        while True:
            studio.do_chores()
            children = client.get(f"/v1/assets/{original}/lineage", headers=own).json()["descendants"]
            varied = [child for child in children if child["via"] == "varied"]
            if len(varied) == 3:
                break
            assert time.monotonic() < until, (children, client.get(f"/v1/groups/{group}", headers=own).json())
            time.sleep(0.05)
        listed = client.get(address, headers=own).json()["items"]
        assert [each["items"] for each in listed] == [1, 2]
        assert listed[0]["job_id"] == one["job_id"]
        assert {child["source"] for child in varied} == {"read"}
        [file] = client.get(f"/v1/jobs/{one['job_id']}", headers=own).json()["result"]["outputs"]
        content = client.get(f"/v1/assets/{file['asset_id']}/content", headers=own).content
    (tmp_path / "one.png").write_bytes(content)
    with Image.open(tmp_path / "one.png") as picture:
        texts: dict[str, str] = dict(picture.text)  # type: ignore[attr-defined]
    assert json.loads(texts["prompt"])["1"]["inputs"]["color"] == 7
    assert "workflow" not in texts, "the editor's graph would show the original's values"


def test_a_cancelled_variation_leads_nowhere_and_is_no_trouble(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BLEND, BASIC)
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        address = f"/v1/assets/{digest(studio, BLEND)}/variations"
        job = client.post(address, json={"set": {"1.color": 7}}, headers=own).json()["job_id"]
        assert client.post(f"/v1/jobs/{job}/cancel", headers=own).status_code == 200
        studio.do_chores()
        assert client.get(f"/v1/assets/{digest(studio, BLEND)}/lineage", headers=own).json()["descendants"] == []


@pytest.mark.parametrize("what", ["parameters", "variations"])
def test_reading_is_for_the_project_alone(studio: Studio, what: str) -> None:
    studio.take_in(BASIC, project="film")
    address = f"/v1/assets/{digest(studio, BASIC)}/{what}"
    with studio.speaking() as client:
        assert client.get(address).status_code == 401
        assert client.get(address, headers=studio.key(Role.ADMIN, tenant=studio.other_tenant)).status_code == 404
        assert client.get(address, headers=studio.key(Role.ARTIST, project="advert")).status_code == 404
        assert client.get(address, headers=studio.key(Role.ARTIST, project="film")).status_code == 200


def test_asking_is_for_who_may_submit(studio: Studio) -> None:
    studio.take_in(BASIC, project="film")
    address, body = f"/v1/assets/{digest(studio, BASIC)}/variations", {"seeds": 2}
    with studio.speaking() as client:
        assert client.post(address, json=body).status_code == 401
        assert client.post(address, json=body, headers=studio.key(Role.VIEWER, project="film")).status_code == 403
        foreign = studio.key(Role.ADMIN, tenant=studio.other_tenant)
        assert client.post(address, json=body, headers=foreign).status_code == 404
        assert client.post(address, json=body, headers=studio.key(Role.ARTIST, project="advert")).status_code == 404
        own = studio.key(Role.ARTIST, project="film")
        assert client.post(address, json=body, headers=own).status_code == 201
        assert len(client.get(address, headers=own).json()["items"]) == 1


def test_equal_bytes_in_two_projects_do_not_share_their_variations(studio: Studio) -> None:
    studio.take_in(BASIC, project="film")
    studio.take_in(BASIC, project="advert")
    address = f"/v1/assets/{digest(studio, BASIC)}/variations"
    with studio.speaking() as client:
        film, advert = studio.key(Role.ARTIST, project="film"), studio.key(Role.ARTIST, project="advert")
        client.post(address, json={"seeds": 1}, headers=film)
        assert len(client.get(address, headers=film).json()["items"]) == 1
        assert client.get(address, headers=advert).json()["items"] == []
