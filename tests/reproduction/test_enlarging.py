"""Enlargements through the real server, the real worker and the stand-in engine; and who may ask for them."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from memoryd.access.facts import Role
from tests.reproduction.studio import PATIENCE_S, Studio, studio

__all__ = ["studio"]

BASIC = "txt2img_basic.png"
BATCH = "txt2img_batch4.png"
WIDE = "txt2img_dpmpp_sde_karras_128x96.png"
DEEP = "save_image_advanced_16bit.png"
GRAPH = {
    "10": {"class_type": "LoadImage", "inputs": {"image": "any.png"}},
    "11": {
        "class_type": "ImageScale",
        "inputs": {"image": ["10", 0], "upscale_method": "bicubic", "width": 96, "height": 96, "crop": "disabled"},
    },
    "12": {"class_type": "SaveImage", "inputs": {"images": ["11", 0], "filename_prefix": "own"}},
}


def digest(studio: Studio, name: str) -> str:
    return hashlib.sha256((studio.files / "comfyui" / "images" / name).read_bytes()).hexdigest()


def ask(client: Any, own: Mapping[str, str], sha256: str, **body: Any) -> Any:
    return client.post(f"/v1/assets/{sha256}/enlargements", json=body, headers=own)


def kind_of(refused: Any) -> str:
    return str(refused.json()["type"]).rpartition("#")[2]


def decided(studio: Studio, client: Any, own: Mapping[str, str], answer: Any) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    now: dict[str, Any] = answer.json()["enlargement"]
    until = time.monotonic() + PATIENCE_S
    while now["state"] != "decided":
        assert time.monotonic() < until, now
        studio.do_chores()
        time.sleep(0.05)
        now = client.get(f"/v1/enlargements/{now['id']}", headers=own).json()
    return now


def picture(client: Any, own: Mapping[str, str], asset: str) -> Image.Image:
    content = client.get(f"/v1/assets/{asset}/content", headers=own).content
    return Image.open(io.BytesIO(content))


def test_a_picture_is_enlarged_compared_and_linked_and_the_next_wish_finds_it(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BASIC)
    with studio.farm(tmp_path), studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        first = ask(client, own, digest(studio, BASIC), to="256x256")
        assert any("another picture" in note for note in first.json()["notes"]), "it is said plainly"
        now = decided(studio, client, own, first)
        assert (now["outcome"], now["measures"]["width"], now["measures"]["height"]) == ("enlarged", 256, 256)
        for shown in ("", "/receipt", "/difference"):
            assert client.get(f"/v1/reproductions/{now['id']}{shown}", headers=own).status_code == 404, "no attempt"
        assert now["measures"]["psnr"] > 30
        assert now["measures"]["ssim"] > 0.9
        assert picture(client, own, now["made_asset_id"]).size == (256, 256)
        family = client.get(f"/v1/assets/{digest(studio, BASIC)}/lineage", headers=own).json()["descendants"]
        assert {(one["via"], one["source"]) for one in family} == {("upscaled", "read"), ("input", "read")}
        listed = client.get(f"/v1/assets/{digest(studio, BASIC)}/enlargements", headers=own).json()["items"]
        assert [one["id"] for one in listed] == [now["id"]]
        attempts = client.get(f"/v1/assets/{digest(studio, BASIC)}/reproductions", headers=own).json()["items"]
        assert attempts == [], "an enlargement is no attempt to make the same again"

        again = ask(client, own, digest(studio, BASIC), to="2x")
        assert (again.status_code, again.json()["answer"], again.json()["enlargement"]) == (200, "known", None)
        [known] = again.json()["larger"]
        assert (known["asset_id"], known["relation"], known["reaches"]) == (
            now["made_asset_id"],
            "upscaled from it",
            True,
        )
        anyway = ask(client, own, digest(studio, BASIC), to="2x", render=True)
        assert decided(studio, client, own, anyway)["measures"]["width"] == 128
        larger = ask(client, own, digest(studio, BASIC), to="8x")
        assert (larger.json()["answer"], {one["reaches"] for one in larger.json()["larger"]}) == ("begun", {False})


@pytest.mark.parametrize(
    ("body", "shown", "least"),
    [
        ({"to": "512x256", "crop": True}, (512, 256), 30),
        ({"to": "256x512", "pad": "#ff8000"}, (256, 512), 30),
        ({"to": "201x151", "by": "area"}, (201, 151), 25),
        ({"to": "4x", "by": "nearest-exact"}, (512, 384), 25),
        ({"to": "4x", "by": "bicubic"}, (512, 384), 30),
        ({"to": "4x", "by": "bilinear"}, (512, 384), 20),
    ],
)
def test_shapes_and_methods_are_as_asked_for(
    studio: Studio, tmp_path: Path, body: dict[str, Any], shown: tuple[int, int], least: float
) -> None:
    studio.take_in(WIDE)
    with studio.farm(tmp_path), studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        now = decided(studio, client, own, ask(client, own, digest(studio, WIDE), **body))
        assert now["outcome"] == "enlarged", now
        assert now["causes"] == []
        # None: it is the original again, pixel for pixel.
        assert (now["measures"]["psnr"] or 99) > least, now["measures"]
        made = picture(client, own, now["made_asset_id"])
        assert made.size == shown
        if "pad" in body:
            assert made.convert("RGB").getpixel((0, 0)) == (255, 128, 0)
            box = now["plan"]["shown"]
            assert made.convert("RGB").getpixel((5, box[1] - 1)) == (255, 128, 0)
            assert made.convert("RGB").getpixel((5, box[1] + 8)) != (255, 128, 0)


def test_a_graph_of_ones_own_takes_the_original_and_another_size_is_said(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BASIC)
    with studio.farm(tmp_path), studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        two = {**GRAPH, "13": {"class_type": "LoadImage", "inputs": {"image": "any.png"}}}
        unclear = ask(client, own, digest(studio, BASIC), to="96x96", graph=two)
        assert (unclear.status_code, kind_of(unclear)) == (422, "no-place-for-original")
        now = decided(studio, client, own, ask(client, own, digest(studio, BASIC), to="128x128", graph=GRAPH))
        assert (now["outcome"], now["measures"]["width"]) == ("enlarged", 96)
        assert [cause["code"] for cause in now["causes"]] == ["other-size"]
        assert now["measures"]["psnr"] > 30, "it is compared all the same"


def test_a_graph_that_makes_another_picture_is_measured_as_one(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BASIC)
    inverted = {**GRAPH, "14": {"class_type": "ImageInvert", "inputs": {"image": ["11", 0]}}}
    inverted["12"] = {"class_type": "SaveImage", "inputs": {"images": ["14", 0], "filename_prefix": "own"}}
    with studio.farm(tmp_path), studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        now = decided(studio, client, own, ask(client, own, digest(studio, BASIC), to="96x96", graph=inverted))
        assert now["measures"]["psnr"] < 20
        assert [cause["code"] for cause in now["causes"]] == ["far-from-original"]
        family = client.get(f"/v1/assets/{digest(studio, BASIC)}/lineage", headers=own).json()["descendants"]
        assert [one["via"] for one in family] == ["input"], "it is not said to be the same picture, larger"
        again = ask(client, own, digest(studio, BASIC), to="96x96").json()
        assert (again["answer"], again["larger"]) == ("begun", [])


def test_an_upscale_model_of_the_pool_is_used_and_the_size_is_exact(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(WIDE)
    models = tmp_path / "models"
    (models / "upscale_models").mkdir(parents=True)
    for name in ("b-4x.pth", "a-4x.pth"):
        (models / "upscale_models" / name).write_bytes(name.encode())
    with studio.farm(tmp_path, models=models), studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        unknown = ask(client, own, digest(studio, WIDE), to="3x", model="c-4x.pth")
        assert (unknown.status_code, kind_of(unknown)) == (422, "upscale-model-unknown")
        assert "a-4x.pth, b-4x.pth" in unknown.json()["detail"]
        now = decided(studio, client, own, ask(client, own, digest(studio, WIDE), to="3x", by="model"))
        assert (now["plan"]["model"], now["measures"]["width"]) == ("a-4x.pth", 384)
        assert now["measures"]["psnr"] > 30
        named = decided(
            studio, client, own, ask(client, own, digest(studio, WIDE), to="5x", model="b-4x.pth", render=True)
        )
        assert (named["plan"]["model"], named["measures"]["width"]) == ("b-4x.pth", 640)


def test_what_the_engine_does_not_read_is_said_beforehand_and_afterwards(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(DEEP)
    with studio.farm(tmp_path), studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        answer = ask(client, own, digest(studio, DEEP), to="2x")
        assert any("more than 8 bits" in note for note in answer.json()["notes"])
        now = decided(studio, client, own, answer)
        assert [cause["code"] for cause in now["causes"]] == ["lost-in-the-engine"]
        assert now["measures"]["ssim"] > 0.9


@pytest.mark.parametrize(
    ("body", "status", "kind", "told"),
    [
        ({"to": "512x512"}, 422, "shape-differs", "--to 683x512 or --to 512x384"),
        ({"to": "64x48"}, 422, "not-larger", "2x"),
        ({"to": "128x96"}, 422, "not-larger", "2x"),
        ({"to": "large"}, 422, "bad-size", "3840x2160"),
        ({"to": "16385x16385"}, 413, "enlargement-too-large", "SIDE_LIMIT"),
        ({"to": "100x"}, 413, "enlargement-too-large", "PIXELS_LIMIT"),
        ({"to": "2x", "by": "model"}, 422, "upscale-model-unknown", "lanczos"),
        ({"to": "512x512", "crop": True, "pad": "#000000"}, 422, "crop-or-pad", "one of them"),
        (
            {"to": "2x", "graph": {"1": {"class_type": "EmptyImage", "inputs": {}}}},
            422,
            "no-place-for-original",
            "LoadImage",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_next_step(
    studio: Studio, tmp_path: Path, body: dict[str, Any], status: int, kind: str, told: str
) -> None:
    studio.take_in(WIDE)
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        refused = ask(client, own, digest(studio, WIDE), **body)
        assert (refused.status_code, kind_of(refused)) == (status, kind), refused.text
        assert told in refused.json()["hint"]
        assert client.get("/v1/jobs", headers=own).json()["items"] == []
        assert client.get(f"/v1/assets/{digest(studio, WIDE)}/enlargements", headers=own).json()["items"] == []


def test_a_small_copy_is_answered_with_its_larger_original(studio: Studio) -> None:
    # A scene, not noise: what a fingerprint is made for.
    across, down = np.meshgrid(np.linspace(0, 6, 512), np.linspace(0, 4, 384))
    scene = np.stack([np.sin(across) * 90 + 128, np.cos(down * across) * 90 + 128, down * 40], axis=-1)
    whole = Image.fromarray(scene.astype(np.uint8))
    whole.save(studio.folder / "whole.png")
    whole.resize((128, 96), Image.Resampling.LANCZOS).save(studio.folder / "small.jpg", quality=90)
    studio.record("whole.png", "small.jpg")
    studio.do_chores()
    small = hashlib.sha256((studio.folder / "small.jpg").read_bytes()).hexdigest()
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        answer = ask(client, own, small, to="3x").json()
        assert answer["answer"] == "known", answer
        assert answer["larger"][0]["sha256"] == hashlib.sha256((studio.folder / "whole.png").read_bytes()).hexdigest()
        assert "fingerprints" in answer["larger"][0]["relation"]
        elsewhere = ask(client, studio.key(Role.ARTIST, project="advert"), small, to="3x")
        assert elsewhere.status_code == 404


def test_a_key_that_is_sent_again_is_the_same_enlargement(studio: Studio) -> None:
    studio.take_in(BASIC)
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        first = ask(client, own, digest(studio, BASIC), to="2x", key="once").json()["enlargement"]
        again = ask(client, own, digest(studio, BASIC), to="2x", key="once").json()["enlargement"]
        assert (again["id"], again["job_id"]) == (first["id"], first["job_id"])
        other = ask(client, own, digest(studio, BASIC), to="3x", key="once")
        assert (other.status_code, kind_of(other)) == (409, "key-reused")


def test_a_cancelled_enlargement_says_so_and_leads_nowhere(studio: Studio) -> None:
    studio.take_in(BASIC)
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        begun = ask(client, own, digest(studio, BASIC), to="2x")
        client.post(f"/v1/jobs/{begun.json()['enlargement']['job_id']}/cancel", headers=own)
        now = decided(studio, client, own, begun)
        assert (now["outcome"], [cause["code"] for cause in now["causes"]]) == ("not attempted", ["job-cancelled"])
        assert client.get(f"/v1/assets/{digest(studio, BASIC)}/lineage", headers=own).json()["descendants"] == []


def test_an_original_whose_bytes_are_not_its_own_is_not_enlarged(studio: Studio) -> None:
    studio.take_in(BASIC)
    changed = bytearray((studio.folder / BASIC).read_bytes())
    changed[-20] ^= 1
    (studio.folder / BASIC).write_bytes(changed)
    with studio.speaking() as client:
        refused = ask(client, studio.key(Role.ADMIN), digest(studio, BASIC), to="2x")
        assert (refused.status_code, kind_of(refused)) == (404, "content-missing")


def test_a_file_that_is_no_still_picture_is_not_enlarged(studio: Studio) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(studio.folder / "moving.gif", save_all=True, append_images=frames[1:])
    studio.record("moving.gif")
    sha256 = hashlib.sha256((studio.folder / "moving.gif").read_bytes()).hexdigest()
    with studio.speaking() as client:
        refused = ask(client, studio.key(Role.ADMIN), sha256, to="2x")
        assert (refused.status_code, kind_of(refused)) == (422, "not-enlargeable")


def test_enlargements_are_for_the_project_alone(studio: Studio) -> None:
    studio.take_in(BASIC, project="film")
    studio.take_in(BASIC, project="advert")
    sha256 = digest(studio, BASIC)
    with studio.speaking() as client:
        assert ask(client, {}, sha256, to="2x").status_code == 401
        assert ask(client, studio.key(Role.VIEWER, project="film"), sha256, to="2x").status_code == 403
        foreign = studio.key(Role.ADMIN, tenant=studio.other_tenant)
        assert ask(client, foreign, sha256, to="2x").status_code == 404
        assert ask(client, studio.key(Role.ARTIST, project="third"), sha256, to="2x").status_code == 404
        own = studio.key(Role.ARTIST, project="film")
        begun = ask(client, own, sha256, to="2x", key="once").json()["enlargement"]["id"]
        same_key = ask(client, studio.key(Role.ARTIST, project="advert"), sha256, to="2x", key="once")
        assert (same_key.status_code, kind_of(same_key)) == (409, "key-reused"), "a key opens nobody else's wish"
        for address, others in ((f"/v1/assets/{sha256}/enlargements", 200), (f"/v1/enlargements/{begun}", 404)):
            assert client.get(address).status_code == 401
            assert client.get(address, headers=foreign).status_code == 404
            assert client.get(address, headers=own).status_code == 200
            answer = client.get(address, headers=studio.key(Role.ARTIST, project="advert"))
            assert answer.status_code == others
            assert answer.json().get("items", []) == [], "equal bytes in two projects share nothing"
