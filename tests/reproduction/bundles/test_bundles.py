"""Bundles made by the real application, run on bare engines, and taken by another studio."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import io
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from memoryd.access.facts import Role
from memoryd.disclosure.pki import load_anchors
from memoryd.reproduction.bundles.bare import running as bare
from memoryd.reproduction.bundles.bare.engine import Engine
from memoryd.reproduction.bundles.bare.opening import Bundle
from memoryd.reproduction.bundles.checking import check_bundle
from memoryd.reproduction.bundles.wire import Manifest
from memoryd.shipped import shipped
from memoryd.stand_in.serving import Options, running
from tests.reproduction.studio import PATIENCE_S, Studio, studio
from tests.reproduction.test_making_again import BARE, BASIC, BLEND, digest

__all__ = ["studio"]


def bundle_of(studio: Studio, name: str, **params: Any) -> bytes:
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        answer = client.get(f"/v1/assets/{digest(studio, name)}/bundle", headers=own, params=params)
        assert answer.status_code == 200, answer.text
        return answer.content


@pytest.fixture
def made(studio: Studio) -> bytes:
    """A bundle of a picture with an input."""
    studio.take_in(BLEND, BASIC)
    return bundle_of(studio, BLEND)


def unpacked(content: bytes, place: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(place)
    return place


def run_py(folder: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    # Without site-packages: neither memoryd nor Pillow is there.
    command = [sys.executable, "-S", "-E", "run.py", "--comfyui", url, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_a_bundle_is_whole_signed_and_says_what_it_takes(studio: Studio, made: bytes) -> None:
    found = check_bundle(io.BytesIO(made), load_anchors(studio.offices.keys / "pki"))
    assert found.good, found
    assert found.manifest is not None
    said = found.manifest
    assert said.asset.sha256 == said.asset.original_sha256 == digest(studio, BLEND)
    assert [one.sha256 for one in said.inputs] == [digest(studio, BASIC)]
    assert said.plan.missing == []
    names = {file.name for file in said.files}
    assert {"prompt.json", "extra_data.json", "request.json", "run.py", "README.md", "models.sha256"} <= names
    assert said.asset.original_file in names


def test_equal_facts_give_equal_bundles_but_for_the_signature(studio: Studio, made: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(made)) as one, zipfile.ZipFile(io.BytesIO(bundle_of(studio, BLEND))) as other:
        assert one.namelist() == other.namelist()
        apart = [name for name in one.namelist() if one.read(name) != other.read(name)]
    assert apart in ([], ["bundle.sig"])


def test_the_script_in_a_bundle_makes_it_again_on_a_bare_engine(studio: Studio, made: bytes, tmp_path: Path) -> None:
    folder = unpacked(made, tmp_path / "bundle")
    with running(Options(output=tmp_path / "output", input=tmp_path / "input")) as url:
        first, second = run_py(folder, url), run_py(folder, url)
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr
    assert "verdict: identical file" in first.stdout
    results = sorted((folder / "made").iterdir())
    assert [hashlib.sha256(each.read_bytes()).hexdigest() for each in results] == [digest(studio, BLEND)] * 2


def test_another_file_under_an_inputs_name_is_not_written_over(made: bytes, tmp_path: Path) -> None:
    folder = unpacked(made, tmp_path / "bundle")
    said = json.loads((folder / "bundle.json").read_text())["inputs"][0]
    with running(Options(output=tmp_path / "output", input=tmp_path / "input")) as url:
        there = tmp_path / ("output" if said["type"] == "output" else "input") / said["subfolder"] / said["name"]
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(b"mine")
        refused = run_py(folder, url)
        assert there.read_bytes() == b"mine"
        replaced = run_py(folder, url, "--overwrite")
    assert refused.returncode == 12
    assert "--overwrite" in refused.stdout
    assert replaced.returncode == 0, replaced.stdout


def test_without_the_original_its_hash_decides(studio: Studio, made: bytes, tmp_path: Path) -> None:
    without = bundle_of(studio, BLEND, original=False)
    place = tmp_path / "x.zip"
    place.write_bytes(without)
    assert Bundle(place).manifest["asset"]["original_file"] is None
    with running(Options(output=tmp_path / "output", input=tmp_path / "input")) as url:
        result = bare.run(Bundle(place), Engine(url), out=tmp_path / "made", say=lambda _: None)
    assert result.verdict == "identical file"


def test_what_nobody_knows_how_it_was_made_has_no_bundle(studio: Studio) -> None:
    studio.take_in(BARE)
    with studio.speaking() as client:
        answer = client.get(f"/v1/assets/{digest(studio, BARE)}/bundle", headers=studio.key(Role.ADMIN))
    assert answer.status_code == 409
    assert answer.json()["hint"]


def test_what_is_missing_is_told_and_not_attempted(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BLEND)
    folder = unpacked(bundle_of(studio, BLEND), tmp_path / "bundle")
    assert "input" in (folder / "README.md").read_text()
    assert json.loads((folder / "bundle.json").read_text())["plan"]["missing"][0]["code"] == "input-missing"
    with running(Options(output=tmp_path / "output", input=tmp_path / "input")) as url:
        assert run_py(folder, url).returncode == 12


def test_a_bundle_is_for_who_may_read_the_asset(studio: Studio) -> None:
    studio.take_in(BLEND, project="film")
    address = f"/v1/assets/{digest(studio, BLEND)}/bundle"
    with studio.speaking() as client:
        assert client.get(address).status_code == 401
        assert client.get(address, headers=studio.key(Role.ADMIN, tenant=studio.other_tenant)).status_code == 404
        assert client.get(address, headers=studio.key(Role.VIEWER, project="advert")).status_code == 404
        assert client.get(address, headers=studio.key(Role.VIEWER, project="film")).status_code == 200


def post(client: Any, content: bytes, headers: dict[str, str], **fields: str) -> Any:
    return client.post("/v1/bundles", files={"file": ("x.zip", content)}, data=fields, headers=headers)


def test_only_who_may_submit_hands_in_a_bundle(studio: Studio, made: bytes) -> None:
    with studio.speaking() as client:
        assert post(client, made, {}).status_code == 401
        assert post(client, made, studio.key(Role.VIEWER, project="film")).status_code == 403
        assert post(client, made, studio.key(Role.ARTIST, project="film"), project="advert").status_code == 404
        assert post(client, made, studio.key(Role.ARTIST, project="film"), project="film").status_code == 202


@pytest.mark.parametrize("original", [True, False])
def test_another_studio_takes_a_bundle_and_makes_it_again(studio: Studio, tmp_path: Path, original: bool) -> None:
    maker = dataclasses.replace(studio, tenant=studio.other_tenant, other_tenant=studio.tenant)
    maker.take_in(BLEND, BASIC)
    maker.do_chores()
    content = bundle_of(maker, BLEND, original=original)
    own = studio.key(Role.ADMIN)
    with studio.farm(tmp_path) as verdict, studio.speaking() as client:
        taken = post(client, content, own)
        assert taken.status_code == 202, taken.text
        answer = taken.json()
        assert (answer["has_original"], answer["recorded_here"]) == (original, False)
        attempt = decided(studio, client, answer["attempt"], own)
        shown = client.get(f"/v1/assets/{answer['asset_id']}", headers=own).json()
        again = verdict(digest(studio, BLEND))
    assert attempt["verdict"] == again["verdict"] == "identical file", attempt
    assert shown["sha256"] == digest(studio, BLEND)
    assert "declared" in {run["origin"] for run in shown["generations"]}


def decided(studio: Studio, client: Any, attempt: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE_S
    while attempt["state"] != "decided":
        assert time.monotonic() < until, attempt
        studio.do_chores()
        time.sleep(0.05)
        attempt = client.get(f"/v1/reproductions/{attempt['id']}", headers=headers).json()
    return attempt


def test_content_of_others_is_not_claimed_without_its_bytes(studio: Studio, made: bytes) -> None:
    without = bundle_of(studio, BLEND, original=False)
    stranger = studio.key(Role.ARTIST, project="advert")
    with studio.speaking() as client:
        refused = post(client, without, stranger, project="advert")
        taken = post(client, made, stranger, project="advert")
    assert refused.status_code == 422, refused.text
    assert "bytes" in refused.json()["detail"]
    assert taken.status_code == 202, taken.text


def test_the_page_of_an_asset_offers_its_bundle(studio: Studio) -> None:
    studio.take_in(BLEND, BARE)
    with studio.speaking() as client:
        own = studio.key(Role.VIEWER)
        pages = [client.get(f"/assets/{digest(studio, name)}", headers=own).text for name in (BLEND, BARE)]
    assert ["Download bundle" in page for page in pages] == [True, False]


def test_the_script_needs_no_more_than_python_3_8() -> None:
    folder = Path(bare.__file__).parent
    for source in folder.glob("*.py"):
        tree = ast.parse(source.read_text(), feature_version=(3, 8))
        for node in ast.walk(tree):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] in {*sys.stdlib_module_names, "PIL"}, name


def test_the_published_schema_is_the_one_of_this_version() -> None:
    published = json.loads((shipped("schemas") / "bundle.v1.schema.json").read_text())
    published.pop("$schema")
    assert published == Manifest.model_json_schema(by_alias=True)
