"""Making an asset again through the real server, the real worker and the stand-in engine; and who may ask for it."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from memoryd.access.facts import Role
from tests.reproduction.studio import PATIENCE_S, Studio, studio

__all__ = ["studio"]

BLEND = "modelfree_blend_invert.png"
BASIC = "txt2img_basic.png"
BARE = "no_metadata.png"


def digest(studio: Studio, name: str) -> str:
    return hashlib.sha256((studio.files / "comfyui" / "images" / name).read_bytes()).hexdigest()


def codes(attempt: dict[str, object]) -> list[str]:
    causes = attempt["causes"]
    assert isinstance(causes, list)
    return [cause["code"] for cause in causes]


def test_a_picture_of_a_real_comfyui_is_made_again_to_the_byte(studio: Studio, tmp_path: Path) -> None:
    # Its input is another picture, known by content alone: the graph calls it by a name that no file here has.
    studio.take_in(BLEND, BASIC)
    with studio.farm(tmp_path) as verdict:
        attempt = verdict(digest(studio, BLEND))
        again = verdict(digest(studio, BLEND))
    assert attempt["verdict"] == "identical file", attempt
    assert again["verdict"] == "identical file", "the second time it is computed again too, not taken from a cache"
    assert attempt["made_asset_id"] == attempt["asset_id"], "equal bytes are one asset, of one more run"


def test_a_file_that_was_sent_along_with_a_job_is_there_when_it_is_made_again(studio: Studio, tmp_path: Path) -> None:
    picture = (studio.files / "comfyui" / "images" / BARE).read_bytes()
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "sent.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "made"}},
    }
    with studio.farm(tmp_path) as verdict, studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        sent = client.post("/v1/inputs", files={"file": ("sent.png", picture)}, headers=own).json()
        asked = {"graph": graph, "inputs": [{"name": "sent.png", **sent}]}
        job = client.post("/v1/jobs", json=asked, headers=own).json()
        until = time.monotonic() + PATIENCE_S
        while (now := client.get(f"/v1/jobs/{job['id']}", headers=own).json())["state"] != "succeeded":
            assert time.monotonic() < until, now
            time.sleep(0.05)
        attempt = verdict(now["result"]["outputs"][0]["sha256"])
    assert attempt["verdict"] == "identical file", attempt


def test_what_is_missing_is_named_and_nothing_is_started(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BLEND, BARE)
    with studio.farm(tmp_path) as verdict:
        without_graph, without_input = verdict(digest(studio, BARE)), verdict(digest(studio, BLEND))
    assert (without_graph["verdict"], codes(without_graph)) == ("not attempted", ["no-graph"])
    assert (without_input["verdict"], codes(without_input)) == ("not attempted", ["input-missing"])
    assert without_graph["job_id"] is None


def test_a_model_that_no_worker_has_is_no_different_picture(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BASIC)
    with studio.farm(tmp_path) as verdict:
        attempt = verdict(digest(studio, BASIC))
    assert attempt["verdict"] == "not attempted"
    assert attempt["causes"][0]["detail"]


@pytest.mark.parametrize("path", ["/v1/assets/{ref}/reproductions", "/v1/reproductions/{id}"])
def test_an_attempt_is_seen_by_its_project_alone(studio: Studio, path: str) -> None:
    studio.take_in(BARE, project="film")
    sha256 = digest(studio, BARE)
    with studio.speaking() as client:
        own = studio.key(Role.ARTIST, project="film")
        made = client.post(f"/v1/assets/{sha256}/reproductions", json={}, headers=own)
        assert made.status_code == 202
        address = path.format(ref=sha256, id=made.json()["id"])
        assert client.get(address).status_code == 401
        assert client.get(address, headers=studio.key(Role.ADMIN, tenant=studio.other_tenant)).status_code == 404
        assert client.get(address, headers=studio.key(Role.ARTIST, project="advert")).status_code == 404
        assert client.get(address, headers=own).status_code == 200


def test_only_who_may_submit_may_ask(studio: Studio) -> None:
    studio.take_in(BARE, project="film")
    address = f"/v1/assets/{digest(studio, BARE)}/reproductions"
    with studio.speaking() as client:
        assert client.post(address, json={}).status_code == 401
        assert client.post(address, json={}, headers=studio.key(Role.VIEWER, project="film")).status_code == 403
        foreign = studio.key(Role.ADMIN, tenant=studio.other_tenant)
        assert client.post(address, json={}, headers=foreign).status_code == 404
        assert client.post(address, json={}, headers=studio.key(Role.ARTIST, project="advert")).status_code == 404


def test_equal_bytes_in_two_projects_do_not_share_their_attempts(studio: Studio) -> None:
    studio.take_in(BARE, project="film")
    studio.take_in(BARE, project="advert")
    address = f"/v1/assets/{digest(studio, BARE)}/reproductions"
    with studio.speaking() as client:
        film, advert = studio.key(Role.ARTIST, project="film"), studio.key(Role.ARTIST, project="advert")
        client.post(address, json={}, headers=film)
        assert len(client.get(address, headers=film).json()["items"]) == 1
        assert client.get(address, headers=advert).json()["items"] == []
