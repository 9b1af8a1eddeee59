"""Graphs that the stand-in and a real ComfyUI both run."""

from __future__ import annotations

import json
from typing import Any

CHECKPOINT = "memoryd-stand-in-no-real-model.safetensors"


def picture(colour: int = 255, *, size: int = 32, prefix: str = "w/x") -> str:
    image = {"width": size, "height": size, "batch_size": 2, "color": colour}
    return json.dumps(
        {
            "1": {"class_type": "EmptyImage", "inputs": image},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
        }
    )


def painting(*, steps: int = 10_000, seed: int = 2**64 - 1, checkpoint: str = CHECKPOINT, size: int = 64) -> str:
    inputs: dict[str, Any] = {"seed": seed, "steps": steps, "cfg": 7.0, "sampler_name": "euler"}
    inputs |= {"scheduler": "normal", "denoise": 1.0, "model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0]}
    return json.dumps(
        {
            "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
            "5": {"class_type": "EmptyLatentImage", "inputs": {"width": size, "height": size, "batch_size": 1}},
            "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "fox", "clip": ["4", 1]}},
            "3": {"class_type": "KSampler", "inputs": {**inputs, "latent_image": ["5", 0]}},
            "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
            "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "w/p", "images": ["8", 0]}},
        }
    )


def with_loaded(name: str) -> str:
    return json.dumps(
        {
            "1": {"class_type": "LoadImage", "inputs": {"image": name}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "w/l"}},
        }
    )
