"""A LoRA that a real ComfyUI lacks: pushed to the server, fetched by the worker, seen by ComfyUI, and used for a picture."""

from __future__ import annotations

import hashlib
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from memoryd.comfyui.client import ComfyClient
from tests.conformance.test_reproduction import PATIENCE_S, Bench, bench

__all__ = ["bench"]


def with_lora(engine: ComfyClient, name: str) -> dict[str, Any]:
    checkpoint = engine.models("checkpoints")[0].name
    sampler = {"seed": 7, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    lora = {"lora_name": name, "strength_model": 1.0, "strength_clip": 1.0, "model": ["4", 0], "clip": ["4", 1]}
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "7": {"class_type": "LoraLoader", "inputs": lora},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "fox", "clip": ["7", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {
                **sampler,
                "model": ["7", 0],
                "positive": ["6", 0],
                "negative": ["6", 0],
                "latent_image": ["5", 0],
            },
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": f"store/{name[:8]}", "images": ["8", 0]}},
    }


@pytest.fixture
def lora(bench: Bench) -> tuple[bytes, Path]:
    """The bytes of a LoRA that the engine can use, made anew so that it has no such file; and its folder."""
    for model in bench.engine.models("loras"):
        for folder in bench.engine.folder_paths().get("loras", ()):
            if (folder / model.name).is_file():
                # What follows the tensors' own bytes no reader looks at; the metadata would do as well.
                content = (folder / model.name).read_bytes()
                length = int.from_bytes(content[:8], "little")
                head = content[8 : 8 + length].rstrip() + b" " * (8 + len(content) % 8)
                return len(head).to_bytes(8, "little") + head + content[8 + length :], folder
    pytest.skip("this engine has no LoRA on this machine")


def test_a_lora_that_is_missing_is_fetched_and_makes_a_picture(bench: Bench, lora: tuple[bytes, Path]) -> None:
    content, folder = lora
    name, sha256 = f"{uuid.uuid4().hex[:8]}/ink.safetensors", hashlib.sha256(content).hexdigest()
    path, asked = f"/models/stored/{sha256}", {"size": len(content), "folder": "loras", "name": name}
    assert bench.http.post("/jobs", json={"graph": with_lora(bench.engine, name)}).status_code == 422
    bench.http.post(path, json=asked).raise_for_status()
    bench.http.patch(path, params={"offset": 0}, content=content).raise_for_status()
    assert bench.http.post(f"{path}/finish", json=asked).json()["state"] == "stored"
    before = bench.engine.model_names("loras")
    job = bench.http.post("/jobs", json={"graph": with_lora(bench.engine, name)}).raise_for_status().json()
    limit = time.monotonic() + PATIENCE_S
    while (now := bench.http.get(f"/jobs/{job['id']}").json())["state"] != "succeeded":
        assert now["state"] != "dead", now
        assert time.monotonic() < limit, now
        bench.studio.do_chores()
        time.sleep(0.1)
    assert now["result"]["outputs"]
    assert bench.engine.model_names("loras") == before, "it is linked for the run alone"
    (pulled,) = (folder / ".memoryd-models").glob(f"*/{sha256}")
    assert pulled.read_bytes() == content
    pulled.unlink()
    pulled.with_name(f"{sha256}.use").unlink()
    for empty in (pulled.parent, pulled.parent.parent):
        if not any(empty.iterdir()):
            empty.rmdir()
