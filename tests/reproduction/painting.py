"""Pictures as a studio makes them: painted, each another, with the texts of a ComfyUI."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

EDGE = 256


def painted(seed: int, edge: int = EDGE, *, wobble: tuple[int, float] = (0, 0.0)) -> Image.Image:
    """Return a picture of large and small shapes, another for each seed.

    `wobble` (place, strength) changes details of it, as the pictures of one batch differ: the same composition.
    """
    rng = np.random.default_rng(seed)
    whole = np.full((edge, edge, 3), 128.0, np.float32)
    for cells, strength in ((4, 34.0), (8, 24.0), (16, 16.0), (64, 6.0)):
        whole += _shapes(rng, cells, strength, edge)
    place, amount = wobble
    own = np.random.default_rng(1_000_000 + 1_000 * seed + place)
    # Of each batch also what is equal but for one sample, so that not even the bytes are the same.
    whole += _shapes(own, 16, amount, edge) + _shapes(own, 64, 0.4, edge)
    return Image.fromarray(np.clip(whole, 0, 255).astype(np.uint8))


def _shapes(rng: np.random.Generator, cells: int, strength: float, edge: int) -> np.ndarray:
    noise = rng.normal(0, 1, (cells, cells, 3)).astype(np.float32) * strength
    planes = [Image.fromarray(noise[..., c]).resize((edge, edge), Image.Resampling.BICUBIC) for c in range(3)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def graph(seed: int, batch: int = 1) -> dict[str, object]:
    """Return a graph with this seed and batch."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["1", 1]}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": EDGE, "height": EDGE, "batch_size": batch}},
        "4": {
            "class_type": "KSampler",
            "inputs": {
                "seed": seed,
                "steps": 20,
                "cfg": 7.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
                "model": ["1", 0],
                "positive": ["2", 0],
                "negative": ["2", 0],
                "latent_image": ["3", 0],
            },
        },
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
        "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "fox"}},
    }


def comfy_png(picture: Image.Image, *, seed: int, batch: int = 1) -> bytes:
    """Return a picture as ComfyUI saves it, with the graph that made it."""
    told = PngInfo()
    told.add_text("prompt", json.dumps(graph(seed, batch)))
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=told, compress_level=4)
    return out.getvalue()


GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "2": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "memoryd-stand-in-no-real-model.safetensors"},
    },
    "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["2", 1], "text": "a fox"}},
    "4": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["2", 0],
            "positive": ["3", 0],
            "negative": ["3", 0],
            "latent_image": ["1", 0],
            "seed": 7,
            "steps": 2,
            "cfg": 1.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        },
    },
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["2", 2]}},
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "fox"}},
}
"""A graph that the stand-in paints: a text to a picture of 64 x 64."""
