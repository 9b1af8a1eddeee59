from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from memoryd.access import sessions
from memoryd.model_registry.recording import record_observations
from memoryd.model_registry.scanning import scan, survey_folder
from tests.web.conftest import Studio

HOSTILE = "<script>document.title='taken'</script>"


def weights(metadata: dict[str, str], fill: bytes) -> bytes:
    header = {
        "__metadata__": metadata,
        "lora_unet_x.lora_down.weight": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]},
    }
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + fill * 8


@pytest.fixture(scope="session")
def drifted(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A LoRA of which one name stood for two contents; the SHA-256 of the present one."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "loras").mkdir()
    caller = sessions.local_caller(studio.database, "default")
    known = ""
    for fill in (b"\1", b"\2"):
        metadata = {"modelspec.title": HOSTILE, "modelspec.license": "apache-2.0", "ss_training_comment": HOSTILE}
        (folder / "loras" / "page.safetensors").write_bytes(weights(metadata, fill))
        survey = survey_folder(folder)
        seen = list(scan(survey.files, {}))
        with studio.database.tenant_work(studio.tenant) as session:
            record_observations(session, caller, worker="page-gpu", root=survey.root_name, observations=seen)
        assert seen[0].sha256 is not None
        known = seen[0].sha256.hex()
    return known


@pytest.mark.browser
def test_a_model_is_found_by_a_part_of_its_name_and_shown_whole(drifted: str, studio: Studio, tab: Page) -> None:
    tab.goto(f"{studio.url}/models")
    tab.get_by_label("Name, trigger word or version").fill("page.safe")
    tab.get_by_role("button", name="Find").click()
    expect(tab.get_by_text("name drifted").first).to_be_visible()
    tab.goto(f"{studio.url}/models/{drifted[:12]}")
    expect(tab.get_by_text(drifted)).to_be_visible()
    # What the file says of itself is shown, and never run.
    tab.get_by_text("What the file says of itself").click()
    expect(tab.get_by_text(HOSTILE).first).to_be_visible()
    assert tab.title() != "taken"
    tab.get_by_role("link", name="which, and when").click()
    expect(tab.get_by_role("heading", name="loras/page.safetensors")).to_be_visible()
    assert tab.get_by_role("row").count() == 3


def test_what_is_no_model_is_said_to_be_none(studio: Studio, http: httpx.Client) -> None:
    answer = http.get("/models/nothing-of-that-name")
    assert answer.status_code == 404
    assert "nothing-of-that-name" in answer.text
    assert "Nobody" not in http.get("/models?q=no-such-name").text


def test_another_tenants_models_are_not_shown(drifted: str, http: httpx.Client, tmp_path: Path) -> None:
    other = {"Memoryd-Tenant": "other"}
    assert http.get(f"/models/{drifted}", headers=other).status_code == 404
    assert drifted[:12] not in http.get("/models", headers=other).text
    assert drifted[:12] not in http.get("/models/drift", headers=other).text


def test_the_store_shows_what_lies_there_and_why_it_stays(studio: Studio, http: httpx.Client) -> None:
    content = weights({"modelspec.title": HOSTILE}, b"\7")
    sha256 = hashlib.sha256(content).hexdigest()
    asked = {"size": len(content), "folder": "loras", "name": "shop/stored.safetensors"}
    http.timeout = httpx.Timeout(60.0)
    other = {"Memoryd-Tenant": "other"}
    path = f"/v1/models/stored/{sha256}"
    assert "stored.safetensors" not in http.get("/models/stored").text
    assert http.post(path, json=asked).is_success
    assert http.patch(path, params={"offset": 0}, content=content).is_success
    assert http.post(f"{path}/finish", json=asked).json()["state"] == "stored"
    assert "loras/shop/stored.safetensors" in http.get("/models/stored").text
    assert "it may leave when room is needed" in http.get(f"/models/{sha256}").text
    assert sha256[:12] not in http.get("/models/stored", headers=other).text
    assert http.delete(path).is_success
    assert "cannot fetch it" in http.get(f"/models/{sha256}").text
