"""Bundles of what this studio's own jobs made: pinned models, the environment, verdicts with their receipts."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from memoryd.access.facts import Role
from memoryd.disclosure.pki import load_anchors
from memoryd.reproduction.bundles.bare import running as bare
from memoryd.reproduction.bundles.bare.engine import Engine
from memoryd.reproduction.bundles.bare.opening import Bundle
from memoryd.reproduction.bundles.checking import check_bundle
from memoryd.stand_in.serving import Options, running
from tests.reproduction.bundles.test_bundles import post
from tests.reproduction.studio import studio
from tests.reproduction.test_routing_and_pins import NAME, House, house, put

__all__ = ["house", "studio"]

WEIGHTS = hashlib.sha256(b"the weights of then").hexdigest()


@pytest.fixture
def made(house: House) -> tuple[House, bytes]:
    """The bundle of a picture that a job made, and that was made again once."""
    with house.machine("gpu-1"):
        asset = house.make()
        attempt, _ = house.again(asset)
        assert attempt["verdict"] == "identical file"
    return house, house.http.get(f"/assets/{asset}/bundle").raise_for_status().content


def test_it_names_models_by_hash_the_environment_and_the_verdicts(made: tuple[House, bytes]) -> None:
    house, content = made
    found = check_bundle(io.BytesIO(content), load_anchors(house.studio.offices.keys / "pki"))
    assert found.good, found.troubles
    assert found.manifest is not None
    said = found.manifest
    assert [(m.folder, m.name, m.sha256) for m in said.models] == [("checkpoints", NAME, WEIGHTS)]
    assert [v.verdict for v in said.verdicts] == ["identical file"]
    assert said.verdicts[0].receipt
    assert said.environment is not None
    assert said.environment.folder == "environment"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert f"{WEIGHTS}  checkpoints/{NAME}" in archive.read("models.sha256").decode()
        assert {"environment/lock.txt", "environment/build.sh"} <= set(archive.namelist())
    assert house.http.get(f"/assets/{said.asset.sha256}/bundle", params={"receipts": False}).status_code == 200


def test_a_model_that_is_another_file_is_refused_by_the_script(made: tuple[House, bytes], tmp_path: Path) -> None:
    place = tmp_path / "x.zip"
    place.write_bytes(made[1])
    models = tmp_path / "models"
    options = Options(output=tmp_path / "output", input=tmp_path / "input", models=models)
    put(models / "checkpoints" / NAME, b"the weights of then")
    with running(options) as url:
        same = bare.run(Bundle(place), Engine(url), out=tmp_path / "made", models_dir=models, say=lambda _: None)
        put(models / "checkpoints" / NAME, b"other weights")
        other = bare.run(Bundle(place), Engine(url), out=tmp_path / "made", models_dir=models, say=lambda _: None)
        (models / "checkpoints" / NAME).unlink()
        gone = bare.run(Bundle(place), Engine(url), out=tmp_path / "made", models_dir=models, say=lambda _: None)
    assert same.verdict == "identical file", same
    assert (other.verdict, "another file" in other.detail) == ("not attempted", True)
    assert gone.verdict == "not attempted", gone


def test_another_studio_pins_what_the_bundle_says_and_knows_the_environment(made: tuple[House, bytes]) -> None:
    house, content = made
    theirs = house.studio.key(Role.ADMIN, tenant=house.studio.other_tenant)
    with house.studio.speaking() as client:
        taken = post(client, content, theirs)
        assert taken.status_code == 202, taken.text
        plan = client.get(f"/v1/assets/{taken.json()['asset_id']}/plan", headers=theirs).json()
        environment = client.get(f"/v1/environments/{plan['environment']}", headers=theirs)
        again = post(client, content, theirs).json()
        shown = client.get(f"/v1/assets/{again['asset_id']}", headers=theirs).json()
    assert [(m["name"], m["sha256"]) for m in plan["models"]] == [(NAME, WEIGHTS)]
    assert environment.status_code == 200
    assert again["asset_id"] == taken.json()["asset_id"]
    assert len(shown["generations"]) == 1, "the same bundle again is the same run"
    assert not again["recorded_here"]


def test_what_this_studio_saw_itself_counts_more_than_a_bundle(made: tuple[House, bytes]) -> None:
    house, content = made
    with house.studio.speaking() as client:
        taken = post(client, content, house.studio.key(Role.ADMIN))
    assert taken.status_code == 202, taken.text
    assert taken.json()["recorded_here"]
