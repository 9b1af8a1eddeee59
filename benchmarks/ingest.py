"""How fast files become searchable: a folder taken in by the backlog's own pipeline, on an embedded Postgres of its own.

    python benchmarks/ingest.py [--quick] [--json FILE]

Two folders are made: pictures of about 450 KB, and small ones; each file a real PNG with its own seed and prompt, a graph
of 20 nodes and an editor's workflow. Measured in the same run: the floor, which only reads and hashes the files in one
process. The shares of the stages are processor time of the reading processes, and the transactions' time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import struct
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

from sqlalchemy import text

from memoryd.access.directory import add_tenant, find_tenant
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.migrations import ensure_farm_role, upgrade_schema
from memoryd.ingest.backlog import Progress, Wish, ingest_paths, plan
from memoryd.ingest.lanes import Lanes
from memoryd.storage.blob_store import BlobStore

WORDS = (
    *("red", "fox", "snow", "forest", "watercolor", "castle", "river", "night"),
    *("portrait", "ink", "neon", "harbour", "dunes", "orchid", "storm", "paper"),
)
LARGE_PIXELS = 384
"""384 x 384 pixels of noise are 442 KB as a PNG, whatever its compression."""
SMALL_PIXELS = 16


def graph(seed: int, chance: random.Random) -> dict[str, Any]:
    """Return an executed prompt of 20 nodes with its own seed and texts."""
    words = " ".join(chance.choices(WORDS, k=30))
    nodes: dict[str, Any] = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": f"model-{seed % 7}.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 1024, "height": 1024, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": f"{words}, no. {seed}", "clip": ["16", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry, low quality", "clip": ["16", 1]}},
    }
    for n in range(10, 17):
        before = "1" if n == 10 else str(n - 1)
        nodes[str(n)] = {
            "class_type": "LoraLoader",
            "inputs": {
                "lora_name": f"style/lora-{n}.safetensors",
                "strength_model": 0.5,
                "strength_clip": 0.5,
                "model": [before, 0],
                "clip": [before, 1],
            },
        }
    latent = "5"
    for n in range(20, 24):
        nodes[str(n)] = {
            "class_type": "KSampler",
            "inputs": {
                "seed": seed * 10 + n,
                "steps": 20,
                "cfg": 6.5,
                "sampler_name": "dpmpp_2m",
                "scheduler": "karras",
                "denoise": 1.0 if n == 20 else 0.4,
                "model": ["16", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": [latent, 0],
            },
        }
        latent = str(n)
    nodes["30"] = {"class_type": "VAEDecode", "inputs": {"samples": [latent, 0], "vae": ["1", 2]}}
    nodes["31"] = {"class_type": "ImageScale", "inputs": {"image": ["30", 0], "width": 1536, "height": 1536}}
    nodes["32"] = {"class_type": "ImageSharpen", "inputs": {"image": ["31", 0], "alpha": 0.3}}
    nodes["33"] = {"class_type": "ImageBlend", "inputs": {"image1": ["32", 0], "image2": ["31", 0]}}
    nodes["9"] = {"class_type": "SaveImage", "inputs": {"images": ["33", 0], "filename_prefix": "ComfyUI"}}
    return nodes


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_picture(path: Path, seed: int, pixels: int) -> None:
    """Write a PNG as ComfyUI does: prompt and workflow before the image data."""
    chance = random.Random(seed)
    nodes = graph(seed, chance)
    workflow = {"nodes": [{"id": int(id_), "pos": [0, 0], "type": n["class_type"]} for id_, n in nodes.items()]}
    rows = b"".join(b"\0" + chance.randbytes(3 * pixels) for _ in range(pixels))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", pixels, pixels, 8, 2, 0, 0, 0))
        + chunk(b"tEXt", b"prompt\0" + json.dumps(nodes).encode("ascii"))
        + chunk(b"tEXt", b"workflow\0" + json.dumps(workflow).encode("ascii"))
        + chunk(b"IDAT", zlib.compress(rows, 1))
        + chunk(b"IEND", b"")
    )


def make_folder(folder: Path, count: int, pixels: int, first_seed: int) -> Path:
    """Write `count` pictures, 1,000 to a folder, none equal to another."""
    for n in range(count):
        place = folder / f"{n // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        write_picture(place / f"picture_{n:05}_.png", first_seed + n, pixels)
    return folder


def floor(folder: Path) -> tuple[float, float]:
    """Return (files, megabytes) per second of only reading and hashing a folder, in one process."""
    count, size, began = 0, 0, time.perf_counter()
    for place, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:  # noqa: PTH118, PTH123 - the floor is bare
                content = file.read()
            hashlib.sha256(content).digest()
            count, size = count + 1, size + len(content)
    spent = time.perf_counter() - began
    return count / spent, size / spent / 1e6


def take_in(
    database: Database, scope: TenantScope, store: BlobStore, lanes: Lanes, folder: Path
) -> tuple[float, Progress]:
    """Return the seconds until every file of a folder is found by a search, and what became of them."""
    began = time.perf_counter()
    planned = plan(database, scope, store, Wish(paths=(folder,)))
    progress = ingest_paths(database, scope, store, planned, lanes=lanes)
    spent = time.perf_counter() - began
    with database.tenant_work(scope) as session:
        found = session.scalar(text("select count(*) from asset_text where words is not null"))
    if progress.new != planned.to_read or not found:
        raise SystemExit(f"only {progress.new} of {planned.to_read} were recorded, {found} are searchable")
    return spent, progress


def measure(
    name: str, count: int, pixels: int, first_seed: int, place: Path, held: tuple[Any, ...]
) -> list[dict[str, Any]]:
    """Make one folder, take it in, and return its figures."""
    folder = make_folder(place / f"pictures-{first_seed}", count, pixels, first_seed)
    floor_rate, floor_mb = floor(folder)
    spent, progress = take_in(*held, folder)
    whole = sum(progress.seconds.values())
    figures = [
        figure(f"{name}: to searchable", count / spent, "files/s"),
        figure(f"{name}: floor (read and hash only, one process)", floor_rate, "files/s"),
        figure(f"{name}: floor", floor_mb, "MB/s"),
        figure(f"{name}: times slower than the floor", floor_rate * spent / count, "x"),
    ]
    figures += [
        figure(f"{name}: share of {stage}", seconds / whole * 100, "%") for stage, seconds in progress.seconds.items()
    ]
    return figures


def figure(name: str, value: float, unit: str) -> dict[str, Any]:
    """Return one figure; the first ones have no target yet."""
    return {"name": name, "value": round(value, 2), "unit": unit, "target": None, "holds": None}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="500 and 1,000 files instead of 500 and 10,000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    asked = parser.parse_args()
    sizes = [("450 KB x 500", 500, LARGE_PIXELS, 1)]
    sizes.append(
        ("small x 1,000", 1_000, SMALL_PIXELS, 1_000_000)
        if asked.quick
        else ("small x 10,000", 10_000, SMALL_PIXELS, 1_000_000)
    )
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="memoryd-bench-") as temporary:
        place = Path(temporary)
        cluster = Cluster(place / "home")
        cluster.ensure_running()
        try:
            ensure_farm_role(cluster.owner_url())
            upgrade_schema(cluster.owner_url(), line="farm", schema="farm", role="memoryd_farm")
            add_tenant(cluster.owner_url(), "default", "Default")
            database = Database(cluster.server_url())
            with database.farm_work() as session:
                scope = find_tenant(session, "default")
            with Lanes() as lanes:
                held = (database, scope, BlobStore(place / "blobs"), lanes)
                for name, count, pixels, first_seed in sizes:
                    figures += measure(name, count, pixels, first_seed, place, held)
            database.close()
        finally:
            cluster.destroy()
    for one in figures:
        print(f"{one['name']:60} {one['value']:12,.2f} {one['unit']}")
    if asked.json:
        machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        asked.json.write_text(
            json.dumps({"benchmark": "ingest", "machine": machine, "figures": figures}, indent=2) + "\n"
        )


if __name__ == "__main__":
    sys.exit(main())
