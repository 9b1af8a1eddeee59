from __future__ import annotations

import json
from pathlib import Path

import pytest

from memoryd.access.sessions import local_caller
from memoryd.disclosure.facts import SealState
from memoryd.disclosure.pki import load_anchors
from memoryd.disclosure.sealing import verify_seal
from memoryd.foundation.database import Database
from memoryd.foundation.errors import MemorydError
from memoryd.reports.bom import endpoints
from memoryd.reports.bom.checking import check_file, problems_of
from memoryd.reports.bom.facts import BomVersion
from tests.disclosure.studio import client, offices, take_in

OTHER = {"Memoryd-Tenant": "other"}


def test_no_bill_is_made_for_a_stranger(database: Database, tmp_path: Path) -> None:
    stranger = client(offices(database, tmp_path), endpoints.router, local=False)
    assert stranger.post("/v1/boms", json={"project": "default"}).status_code == 401


def test_an_assets_bill_holds_its_family_and_no_words_and_is_another_tenants_never(
    database: Database, fixtures: Path, tmp_path: Path
) -> None:
    caller = local_caller(database, "default")
    paths = take_in(database, caller, fixtures, tmp_path / "output", "txt2img_basic", "img2img_from_upload")
    held = offices(database, tmp_path / "home")
    local = client(held, endpoints.router, local=True)
    asked = {"ref": str(paths["img2img_from_upload"])}
    made = local.post("/v1/boms", json=asked)
    assert made.status_code == 200, made.text
    text, signature = made.json()["bom"], made.json()["signature"]
    assert verify_seal(text.encode(), signature.encode(), load_anchors(held.keys / "pki")).state is SealState.INTACT
    assert problems_of(text.encode(), BomVersion.V1_6) == []
    document = json.loads(text)
    models = [each for each in document["components"] if each["type"] == "machine-learning-model"]
    assert models
    assert made.json()["unknowns"]
    assert "Local person" not in text
    # A picture that was made from another one depends on it, and on its weights by way of it.
    root = document["metadata"]["component"]["bom-ref"]
    needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert any(each.startswith("file:") for each in needs[root])
    assert local.post("/v1/boms", json=asked, headers=OTHER).status_code == 404


def test_a_workflow_and_a_project_have_bills_and_what_names_none_or_two_is_refused(
    database: Database, fixtures: Path, tmp_path: Path
) -> None:
    caller = local_caller(database, "default")
    take_in(database, caller, fixtures, tmp_path / "output", "txt2img_basic")
    local = client(offices(database, tmp_path / "home"), endpoints.router, local=True)
    prompt = json.dumps(
        {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "no such.safetensors"}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        }
    )
    workflow = local.post("/v1/boms", json={"workflow": prompt, "name": "w.json", "version": "1.7"})
    assert workflow.status_code == 200, workflow.text
    assert problems_of(workflow.json()["bom"].encode(), BomVersion.V1_7) == []
    assert workflow.json()["unknowns"] == ["which file checkpoints/no such.safetensors was is not known"]
    project = local.post("/v1/boms", json={"project": "default"})
    assert project.status_code == 200, project.text
    told = {each["name"]: each["value"] for each in json.loads(project.json()["bom"])["metadata"]["properties"]}
    assert told["memoryd:subject"] == "project"
    assert local.post("/v1/boms", json={"project": "nowhere"}).status_code == 404
    assert local.post("/v1/boms", json={}).status_code == 422
    assert local.post("/v1/boms", json={"project": "default", "ref": "x"}).status_code == 422
    assert local.post("/v1/boms", json={"workflow": "{}"}).status_code == 422


def test_a_bill_of_another_kind_is_told_apart_from_one_that_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6", "componets": []}')
    version, problems = check_file(wrong)
    assert version is BomVersion.V1_6
    assert "componets" in " ".join(problems)
    wrong.write_text(
        '{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "file", "name": "x", '
        '"externalReferences": [{"type": "website", "url": "not an address"}]}]}'
    )
    assert "not an address" in " ".join(check_file(wrong)[1])
    for text in ("", "{}", "[]", '{"bomFormat": "SPDX", "specVersion": "1.6"}', "[" * 100_000):
        wrong.write_text(text)
        with pytest.raises(MemorydError):
            check_file(wrong)
    with pytest.raises(MemorydError):
        check_file(tmp_path / "absent")
