"""Files that runs read are kept from the first time they are seen: the next file of that name replaces them."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path
from typing import Any

from PIL import Image

from memoryd.access import projects
from memoryd.access.facts import Role
from memoryd.ingest.backlog import Wish, ingest_paths, plan
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.model_uses import find_inputs
from tests.reproduction.studio import PATIENCE_S, Studio, studio

__all__ = ["studio"]

BLEND, BASIC, BARE = "modelfree_blend_invert.png", "txt2img_basic.png", "no_metadata.png"


def content(studio: Studio, name: str) -> bytes:
    return (studio.files / "comfyui" / "images" / name).read_bytes()


def run_job(studio: Studio, client: Any, headers: dict[str, str], name: str) -> dict[str, Any]:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "made"}},
    }
    job = client.post("/v1/jobs", json={"graph": graph, "unchecked": True}, headers=headers).json()
    until = time.monotonic() + PATIENCE_S
    while (now := client.get(f"/v1/jobs/{job['id']}", headers=headers).json())["state"] != "succeeded":
        assert time.monotonic() < until, now
        time.sleep(0.05)
    assert isinstance(now, dict)
    return now


def test_a_file_that_nobody_sent_is_kept_with_the_run_that_read_it(studio: Studio, tmp_path: Path) -> None:
    folder = tmp_path / "input"
    with studio.farm(tmp_path) as verdict, studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        folder.mkdir(exist_ok=True)
        (folder / "lying.png").write_bytes(content(studio, BARE))
        made = run_job(studio, client, own, "lying.png")
        digest = hashlib.sha256(content(studio, BARE)).digest()
        assert studio.store.exists(studio.tenant.slug, digest)
        outputs = made["result"]["outputs"]
        assert [output["filename"][:4] for output in outputs] == ["made"], "what was read is no output"
        shown = client.get(f"/v1/assets/{outputs[0]['sha256']}/plan", headers=own).json()
        assert [file["sha256"] for file in shown["inputs"]] == [digest.hex()]
        (folder / "lying.png").write_bytes(content(studio, BASIC))
        attempt = verdict(outputs[0]["sha256"])
    assert attempt["verdict"] == "identical file", attempt
    assert (folder / "lying.png").read_bytes() == content(studio, BASIC), "somebody's file is given back"


def test_what_a_found_run_read_is_kept_while_it_still_lies_beside_its_output(studio: Studio, tmp_path: Path) -> None:
    home = tmp_path / "ComfyUI"
    for folder in ("output", "input"):
        (home / folder).mkdir(parents=True)
    shutil.copyfile(studio.files / "comfyui" / "images" / BLEND, home / "output" / BLEND)
    digest = hashlib.sha256(content(studio, BASIC)).digest()
    with studio.offices.database.tenant_work(studio.tenant) as session:
        owner = projects.ensure_project(session, "default")
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        added = client.post("/v1/roots", json={"path": str(home / "output"), "project": "default"}, headers=own)
        assert added.status_code < 300, added.text
        names = [name for name in _names(studio) if name]
        for name in names:
            (home / "input" / name).write_bytes(content(studio, BASIC))
        wish = Wish(paths=(home / "output",), project_id=owner)
        ingest_paths(
            studio.offices.database,
            studio.tenant,
            studio.store,
            plan(studio.offices.database, studio.tenant, studio.store, wish),
        )
        sha256 = hashlib.sha256(content(studio, BLEND)).hexdigest()
        before = client.get(f"/v1/assets/{sha256}/plan", headers=own).json()
        assert [cause["code"] for cause in before["missing"]] == ["input-missing"]
        studio.do_chores()
        assert studio.store.exists(studio.tenant.slug, digest)
        for name in names:
            (home / "input" / name).write_bytes(b"another file by now")
        after = client.get(f"/v1/assets/{sha256}/plan", headers=own).json()
    assert after["missing"] == []


def _names(studio: Studio) -> list[str]:
    with Image.open(studio.files / "comfyui" / "images" / BLEND) as picture:
        graph, _ = parse_graph(picture.info["prompt"].encode())
    assert graph is not None
    return [use.name for use in find_inputs(graph, graph.nodes)]
