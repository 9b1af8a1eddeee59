"""Pictures made on an engine a moment ago are made again there, through server, worker and chores: identical files.

With both engines: the stand-in always, a real ComfyUI where its address is given.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from memoryd.access.directory import find_tenant
from memoryd.access.projects import ensure_project
from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.facts import OutputFile
from memoryd.dispatch import tending
from memoryd.foundation.database import Database
from memoryd.worker.agent import Agent, Options
from memoryd.worker.stopping import Stopping
from tests.web.conftest import Studio, offices_over, serving

PATIENCE_S = 60
"""A real ComfyUI on two busy cores loads its model in seconds."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """A memory, a worker and the engine it works on."""

    studio: Studio
    engine: ComfyClient
    http: httpx.Client

    def paint(self, prompt: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> list[Path]:
        """Run a graph on the engine as a stranger would, and return what it made, under the names it gave."""
        self.engine.free()
        accepted = self.engine.submit(prompt, extra_data={"extra_pnginfo": dict(extra)} if extra else None)
        until = time.monotonic() + PATIENCE_S
        while (record := self.engine.history(accepted.prompt_id)) is None:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert record.failure is None, record.failure
        made = []
        for file in record.outputs:
            path = self.studio.folder / f"{file.type}-{file.node}" / file.filename
            path.parent.mkdir(exist_ok=True)
            with self.engine.view(file) as chunks:
                path.write_bytes(b"".join(chunks))
            made.append(path)
        return made

    def make_again(self, path: Path) -> dict[str, Any]:
        """Reproduce what lies at a path, and return the attempt with its verdict."""
        return self.make_again_of(self.studio.asset(path))

    def make_again_of(self, asset: object) -> dict[str, Any]:
        """Reproduce an asset, and return the attempt with its verdict."""
        attempt: dict[str, Any] = self.http.post(f"/assets/{asset}/reproductions", json={}).raise_for_status().json()
        until = time.monotonic() + PATIENCE_S
        while attempt["state"] != "decided":
            assert time.monotonic() < until
            time.sleep(0.05)
            tending.tend_once(self.studio.offices.database)
            self.studio.do_chores()
            attempt = self.http.get(f"/reproductions/{attempt['id']}").raise_for_status().json()
        return attempt


@pytest.fixture
def bench(database: Database, engine_url: str, engine: ComfyClient, tmp_path: Path) -> Iterator[Bench]:
    """A server, and a worker at the engine."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    offices = offices_over(database, tmp_path / "home")
    with database.farm_work() as session:
        tenant = find_tenant(session, "default")
    with database.tenant_work(tenant) as session:
        project = ensure_project(session, "default")
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(serving(offices))
        studio = Studio(url=url, offices=offices, tenant=tenant, folder=folder, project_id=project)
        http = stack.enter_context(httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30))
        token = http.post("/workers", json={"label": "bench"}).raise_for_status().json()["token"]
        options = Options(server=url, comfyui=engine_url, state=tmp_path / "worker", token=token, claim_wait_s=1)
        stack.enter_context(_working(options))
        _until_online(http)
        yield Bench(studio=studio, engine=engine, http=http)


def _until_online(http: httpx.Client) -> None:
    until = time.monotonic() + PATIENCE_S
    while not any(worker["online"] for worker in http.get("/workers").raise_for_status().json()["items"]):
        assert time.monotonic() < until
        time.sleep(0.05)


@contextlib.contextmanager
def _working(options: Options) -> Iterator[None]:
    stopping = Stopping()
    thread = threading.Thread(target=Agent(options, stopping).run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.ask()
        thread.join()


def txt2img(bench: Bench, prefix: str) -> dict[str, Any]:
    """A batch of two, saved as it is and inverted; the inverted one is shown as well."""
    checkpoint = bench.engine.models("checkpoints")[0].name
    inputs = {"seed": 2**64 - 1, "steps": 2, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 2}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "狐 🦊", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
        "3": {"class_type": "KSampler", "inputs": {**inputs, **links}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix, "images": ["8", 0]}},
        "20": {"class_type": "ImageInvert", "inputs": {"image": ["8", 0]}},
        "21": {"class_type": "SaveImage", "inputs": {"filename_prefix": f"{prefix}_inverted", "images": ["20", 0]}},
        "22": {"class_type": "PreviewImage", "inputs": {"images": ["20", 0]}},
    }


def verdict_of(attempt: dict[str, Any]) -> tuple[str, list[str]]:
    return attempt["verdict"], [cause["code"] for cause in attempt["causes"]]


def test_a_batch_its_second_saver_and_its_preview_come_again_byte_for_byte(bench: Bench) -> None:
    prefix = f"reproduced/{uuid.uuid4().hex[:8]}"
    made = bench.paint(txt2img(bench, prefix), {"workflow": {"nodes": [], "big": 2**64 - 1}, "note": "kept"})
    assert len(made) == 6
    bench.studio.take_in(bench.studio.folder)
    chosen = [next(path for path in made if path.parent.name == name) for name in ("output-9", "temp-22")]
    for path in (*chosen, [path for path in made if path.parent.name == "output-21"][1]):
        attempt = bench.make_again(path)
        assert verdict_of(attempt) == ("identical file", []), attempt
        assert attempt["measures"]["node"] == path.parent.name.partition("-")[2]
    shown = bench.http.get("/assets", params={"q": ""}).raise_for_status().json()["items"]
    assert len(shown) == 6, "what was compared came again, and is nothing new"


def test_an_input_is_put_in_place_by_its_content_and_somebody_elses_file_comes_back(bench: Bench) -> None:
    name = f"{uuid.uuid4().hex[:8]}.png"
    bench.engine.upload(io.BytesIO(_picture("red")), name)
    free = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "reproduced/free", "images": ["2", 0]}},
    }
    (made,) = bench.paint(free)
    bench.studio.take_in(bench.studio.folder)
    assert verdict_of(bench.make_again(made)) == ("not attempted", ["input-missing"])
    (bench.studio.folder / "any name.png").write_bytes(_picture("red"))
    bench.engine.upload(io.BytesIO(_picture("blue")), name)
    bench.studio.take_in(bench.studio.folder)
    assert verdict_of(bench.make_again(made)) == ("identical file", [])
    place = OutputFile(node="", output="", batch_index=0, filename=name, subfolder="", type="input")
    with bench.engine.view(place) as chunks:
        assert b"".join(chunks) == _picture("blue")


def test_what_differs_is_measured_and_what_is_not_known_of_then_is_named(bench: Bench) -> None:
    graph = txt2img(bench, f"reproduced/{uuid.uuid4().hex[:8]}")
    (original,) = [path for path in bench.paint(graph) if path.parent.name == "output-9"][:1]
    with Image.open(original) as picture:
        pixels = picture.convert("RGB")
    corner: Any = pixels.getpixel((0, 0))
    red, green, blue = corner
    pixels.putpixel((0, 0), (red ^ 1, green, blue))
    elsewhere = bench.studio.folder / "made elsewhere.png"
    elsewhere.write_bytes(_with_prompt(pixels, graph))
    original.unlink()
    bench.studio.take_in(elsewhere)
    attempt = bench.make_again(elsewhere)
    assert verdict_of(attempt) == ("within tolerance", ["environment-unknown", "weights-unknown"])
    assert attempt["measures"]["share_different"] == 1 / 4096


def _picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(file, "png")
    return file.getvalue()


def _with_prompt(pixels: Image.Image, prompt: dict[str, Any]) -> bytes:
    texts, file = PngInfo(), io.BytesIO()
    texts.add_text("prompt", json.dumps(prompt))
    pixels.save(file, "png", pnginfo=texts)
    return file.getvalue()
