"""What reading knows beforehand: learned from files with both graphs, kept per tenant, handed to reading processes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin
from sqlalchemy import text

from memoryd.foundation.database import Database, TenantScope
from memoryd.ingest import knowledge
from memoryd.ingest.backlog import Wish, ingest_paths, plan
from memoryd.ingest.facts import Folder
from memoryd.ingest.knowledge import knowing, knowledge_of
from memoryd.ingest.lanes import POOL_WORTH_FILES, Lanes
from memoryd.storage.blob_store import BlobStore

NODE = "OurStudiosLoaderXYZ"
WIDGETS = [3, "studio/fox.safetensors", "soft"]
NAMES = ("level", "ckpt_name", "mood")


def prompt(model: str = "studio/fox.safetensors") -> dict[str, Any]:
    loader = dict(zip(NAMES, [3, model, "soft"], strict=True))
    sampler = {"seed": 7, "steps": 20, "cfg": 6.5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0]}
    return {
        "1": {"class_type": NODE, "inputs": loader},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["1", 1]}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "4": {"class_type": "KSampler", "inputs": {**sampler, **links}},
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
        "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "a"}},
    }


def drawing(widgets: list[Any]) -> dict[str, Any]:
    """The editor's document of the same graph, by an old frontend that does not name its widgets."""
    kinds = ("MODEL", "CLIP", "VAE")
    wires = [  # id, from, slot, to, slot, type
        [1, 1, 1, 2, 0, "CLIP"], [2, 1, 0, 4, 0, "MODEL"], [3, 2, 0, 4, 1, "CONDITIONING"],
        [4, 2, 0, 4, 2, "CONDITIONING"], [5, 3, 0, 4, 3, "LATENT"], [6, 4, 0, 5, 0, "LATENT"],
        [7, 1, 2, 5, 1, "VAE"], [8, 5, 0, 6, 0, "IMAGE"],
    ]  # fmt: skip
    taken = {
        2: [("clip", "CLIP", 1)],
        4: [("model", "MODEL", 2), ("positive", "CONDITIONING", 3), ("negative", "CONDITIONING", 4),
            ("latent_image", "LATENT", 5)],
        5: [("samples", "LATENT", 6), ("vae", "VAE", 7)],
        6: [("images", "IMAGE", 8)],
    }  # fmt: skip
    given = {1: kinds, 2: ("CONDITIONING",), 3: ("LATENT",), 4: ("LATENT",), 5: ("IMAGE",), 6: ()}
    values = {
        1: widgets,
        2: ["a fox"],
        3: [64, 64, 1],
        4: [7, "fixed", 20, 6.5, "euler", "normal", 1.0],
        5: [],
        6: ["a"],
    }
    classes = {1: NODE, 2: "CLIPTextEncode", 3: "EmptyLatentImage", 4: "KSampler", 5: "VAEDecode", 6: "SaveImage"}
    nodes = [
        {
            "id": id_,
            "type": classes[id_],
            "mode": 0,
            "inputs": [{"name": name, "type": kind, "link": link} for name, kind, link in taken.get(id_, [])],
            "outputs": [
                {"name": kind, "type": kind, "links": [w[0] for w in wires if w[1] == id_ and w[2] == slot]}
                for slot, kind in enumerate(given[id_])
            ],
            "widgets_values": values[id_],
        }
        for id_ in classes
    ]
    return {"last_node_id": 6, "last_link_id": 8, "nodes": nodes, "links": wires, "groups": [], "version": 0.4}


def write(path: Path, shade: int, **texts: Any) -> Path:
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, json.dumps(value))
    Image.new("RGB", (8, 8), (shade, 2, 3)).save(path, pnginfo=info)
    return path


def take_in(database: Database, tenant: TenantScope, store: BlobStore, folder: Path, lanes: Lanes) -> None:
    ingest_paths(database, tenant, store, plan(database, tenant, store, Wish(paths=(folder,))), lanes=lanes)


def models(database: Database, tenant: TenantScope) -> dict[str, str]:
    with database.tenant_work(tenant) as session:
        rows = session.execute(text("select name, source from generation_model order by name"))
        return {row.name: row.source for row in rows}


def test_a_file_with_both_graphs_teaches_how_to_read_one_with_the_editors_alone(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(knowledge, "FRESH_S", 0.0)
    store = BlobStore(tmp_path / "blobs")
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    write(first / "both.png", 1, prompt=prompt(), workflow=drawing(WIDGETS))
    write(second / "editor.png", 2, workflow=drawing([4, "studio/otter.safetensors", "soft"]))
    with Lanes(0) as lanes:
        take_in(database, tenant, store, first, lanes)
        assert NODE in knowledge_of(database, tenant).orders
        # Another studio's nodes are nobody else's business.
        assert NODE not in knowledge_of(database, other_tenant).orders
        take_in(database, tenant, store, second, lanes)
    assert models(database, tenant) == {
        "studio/fox.safetensors": "executed",
        "studio/otter.safetensors": "editor",
    }


def test_reading_processes_know_it_as_well(
    database: Database, tenant: TenantScope, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(knowledge, "FRESH_S", 0.0)
    folder = tmp_path / "many"
    folder.mkdir()
    count = POOL_WORTH_FILES + 4
    paths = [write(folder / f"{n}.png", n, prompt=prompt(), workflow=drawing(WIDGETS)) for n in range(count)]
    with Lanes() as lanes:
        prepared = lanes.prepare(knowing(Folder(path=folder), database, tenant), paths, named=True)
        taught = [order for file in prepared.files for order in file.learned]
        assert {order.class_type for order in taught} == {NODE}
        # Each process learns once: a folder of equal files is one lesson.
        assert len(taught) <= 2
        again = lanes.prepare(dataclasses.replace(prepared.folder), paths, named=True)
        assert not any(file.learned for file in again.files)
