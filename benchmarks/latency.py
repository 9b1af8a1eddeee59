"""How soon a new file is found: pictures written at a steady pace into a watched folder, on an embedded Postgres of its own.

    python benchmarks/latency.py [--rate 20] [--seconds 30] [--json FILE]

The watcher is the real one, over the operating system's events, in a process of its own as `memoryd up` has it. For each
picture the time runs from the close() of its writer to the first answer of a search query (its seed, through the query
language and its index) that names it. Another process writes, and this one searches: neither costs the watcher anything
but load.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import Any

from memoryd.access.directory import add_tenant, find_tenant
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.migrations import ensure_farm_role, upgrade_schema
from memoryd.ingest import roots
from memoryd.ingest.watching import Watcher
from memoryd.search.finding import find
from memoryd.search.query_language import parse
from memoryd.storage.blob_store import BlobStore

P50_TARGET_MS = 150.0
P95_TARGET_MS = 500.0
PATIENCE_S = 30.0
ASKED_EVERY_S = 0.005
"""Between two rounds of searches: asking without pause would take a core from the rest."""
FIRST_SEED = 7_000_000
WARM_UP = 20
"""Pictures that are written first and not counted: connections, caches and plans are made with them."""

PIXELS = 256
"""256 x 256 pixels of noise are 197 KB as a PNG."""


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(seed: int) -> bytes:
    """Return a PNG as ComfyUI writes it, with a graph of 20 nodes that has its own seed and words."""
    chance = random.Random(seed)
    nodes: dict[str, Any] = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": f"model-{seed % 7}.safetensors"}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 1024, "height": 1024, "batch_size": 1}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": f"a fox by the river, no. {seed}", "clip": ["1", 1]}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["1", 1]}},
    }
    model: list[Any] = ["1", 0]
    for n in range(10, 22):
        inputs = {"lora_name": f"style-{n}.safetensors", "strength_model": 0.5, "model": model}
        nodes[str(n)] = {"class_type": "LoraLoaderModelOnly", "inputs": inputs}
        model = [str(n), 0]
    sampler = {"seed": seed, "steps": 20, "cfg": 6.5, "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 1.0}
    links = {"model": model, "positive": ["3", 0], "negative": ["4", 0], "latent_image": ["2", 0]}
    nodes["30"] = {"class_type": "KSampler", "inputs": sampler | links}
    nodes["31"] = {"class_type": "VAEDecode", "inputs": {"samples": ["30", 0], "vae": ["1", 2]}}
    nodes["32"] = {"class_type": "ImageSharpen", "inputs": {"image": ["31", 0], "alpha": 0.3}}
    nodes["9"] = {"class_type": "SaveImage", "inputs": {"images": ["32", 0], "filename_prefix": "ComfyUI"}}
    workflow = {"nodes": [{"id": int(id_), "pos": [0, 0], "type": n["class_type"]} for id_, n in nodes.items()]}
    rows = b"".join(b"\0" + chance.randbytes(3 * PIXELS) for _ in range(PIXELS))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", PIXELS, PIXELS, 8, 2, 0, 0, 0))
        + chunk(b"tEXt", b"prompt\0" + json.dumps(nodes).encode("ascii"))
        + chunk(b"tEXt", b"workflow\0" + json.dumps(workflow).encode("ascii"))
        + chunk(b"IDAT", zlib.compress(rows, 1))
        + chunk(b"IEND", b"")
    )


def write_steadily(folder: Path, count: int, rate: float) -> None:
    """Write pictures one by one, each closed before its time is printed: `number time` a line, by the wall clock."""
    contents = [picture(FIRST_SEED + n) for n in range(count)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    chance = random.Random(1)
    due = time.time()
    for n, content in enumerate(contents):
        due += chance.uniform(0.5, 1.5) / rate
        time.sleep(max(0.0, due - time.time()))
        place = folder / f"{n % 4}"
        place.mkdir(exist_ok=True)
        with (place / f"picture_{n:05}_.png").open("wb") as file:
            file.write(content)
        sys.stdout.write(f"{n} {time.time()}\n")
        sys.stdout.flush()


def follow(
    database: Database, scope: TenantScope, writer: subprocess.Popen[str], count: int
) -> tuple[list[float], list[float]]:
    """Return the milliseconds from close to found, and those of the searches themselves."""
    closed: dict[int, float] = {}
    found: dict[int, float] = {}
    asked: list[float] = []
    assert writer.stdout is not None

    def hear() -> None:
        assert writer.stdout is not None
        for line in writer.stdout:
            number, at = line.split()
            closed[int(number)] = float(at)

    threading.Thread(target=hear, daemon=True).start()
    deadline = time.time() + PATIENCE_S
    while len(found) < count:
        open_ = [n for n in list(closed) if n not in found]
        if not open_:
            time.sleep(0.002)
            continue
        for n in open_:
            began = time.time()
            with database.tenant_work(scope) as session:
                hits = find(session, parse(f"seed:{FIRST_SEED + n}"), None, limit=1).rows
            asked.append((time.time() - began) * 1000)
            if hits:
                found[n] = time.time()
                deadline = time.time() + PATIENCE_S
        if time.time() > deadline:
            raise SystemExit(f"only {len(found)} of {count} were found")
        time.sleep(ASKED_EVERY_S)
    return [(found[n] - closed[n]) * 1000 for n in sorted(found) if n >= WARM_UP], asked


def watch(place: Path) -> None:
    """Watch, as `memoryd watch` does, until there is no more input."""
    database = Database(Cluster(place / "home").server_url())
    with database.farm_work() as session:
        scope = find_tenant(session, "default")
    watcher = Watcher(database, scope, BlobStore(place / "blobs"))
    thread = threading.Thread(target=watcher.run, name="watcher")
    thread.start()
    sys.stdin.read()
    watcher.stop_soon()
    thread.join()
    database.close()


def figure(name: str, value: float, unit: str, target: float | None = None) -> dict[str, Any]:
    """Return one figure and whether it holds its target (at most)."""
    return {
        "name": name,
        "value": round(value, 1),
        "unit": unit,
        "target": target,
        "holds": None if target is None else value <= target,
    }


def measure(database: Database, scope: TenantScope, place: Path, rate: float, seconds: float) -> list[dict[str, Any]]:
    """Watch a folder while it is written to; return the figures."""
    folder = place / "output"
    folder.mkdir()
    count = WARM_UP + int(rate * seconds)
    with database.tenant_work(scope) as session:
        roots.ensure_root(session, host=roots.this_host(), path=folder, project_id=None)
    watcher = subprocess.Popen([sys.executable, __file__, "--watch", str(place)], stdin=subprocess.PIPE)
    writer = subprocess.Popen(
        [sys.executable, __file__, "--write", str(folder), str(count), str(rate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(6.0)  # the watcher is there, its first look at the folder is over, and the folder is listened to
    writer.stdin.write("go\n")
    writer.stdin.flush()
    try:
        spent, asked = follow(database, scope, writer, count)
    finally:
        writer.kill()
        watcher.communicate()
    cuts = statistics.quantiles(spent, n=100)
    return [
        figure("close to searchable, p50", cuts[49], "ms", P50_TARGET_MS),
        figure("close to searchable, p95", cuts[94], "ms", P95_TARGET_MS),
        figure("close to searchable, p99", cuts[98], "ms"),
        figure("close to searchable, most", max(spent), "ms"),
        figure("one search, p50", statistics.median(asked), "ms"),
        figure("files", len(spent), "files"),
        figure("pace", rate, "files/s"),
    ]


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=20.0, help="files a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--quick", action="store_true", help="10 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--write", nargs=3, metavar=("FOLDER", "COUNT", "RATE"), help=argparse.SUPPRESS)
    parser.add_argument("--watch", type=Path, metavar="PLACE", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.watch:
        watch(asked.watch)
        return 0
    if asked.write:
        write_steadily(Path(asked.write[0]), int(asked.write[1]), float(asked.write[2]))
        return 0
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
            figures = measure(
                database, scope, place, asked.rate, min(asked.seconds, 10.0) if asked.quick else asked.seconds
            )
            database.close()
        finally:
            cluster.destroy()
    for one in figures:
        held = "holds" if one["holds"] else "MISSED"
        told = "" if one["target"] is None else f"  target at most {one['target']:g}: {held}"
        print(f"{one['name']:40} {one['value']:12,.1f} {one['unit']}{told}")
    if asked.json:
        machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        asked.json.write_text(
            json.dumps({"benchmark": "latency", "machine": machine, "figures": figures}, indent=2) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
