"""Small pictures as ComfyUI writes them, whole and damaged."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(texts: Mapping[str, str | bytes], *, colour: int = 0, size: int = 2) -> bytes:
    """Return a whole PNG with these tEXt chunks, of one grey."""
    rows = b"".join(b"\0" + bytes([colour % 256]) * size for _ in range(size))
    body = b"".join(
        chunk(b"tEXt", key.encode() + b"\0" + (value if isinstance(value, bytes) else value.encode("latin-1")))
        for key, value in texts.items()
    )
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def prompt(seed: int = 1, words: str = "a red fox", **changes: Any) -> dict[str, Any]:
    """Return a small txt2img graph."""
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": words, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": seed,
                "steps": 3,
                "cfg": 7.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
                **changes,
            },
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
    }


def picture(seed: int = 1, words: str = "a red fox") -> bytes:
    """Return a picture as ComfyUI saves it; another seed is another picture."""
    return png({"prompt": json.dumps(prompt(seed, words))}, colour=seed)
