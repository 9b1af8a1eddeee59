"""Pictures as ComfyUI saves them, for measuring: many graphs of many shapes, each file with its own seed, texts and bytes.

A structure is what a person's workflow is: which nodes, how they are linked, which settings. Files of one structure differ
in seeds, prompt texts and pixels, as the pictures of one evening do.
"""

from __future__ import annotations

import dataclasses
import json
import random
import struct
import zlib
from pathlib import Path
from typing import Any

WORDS = (
    *("red", "fox", "snow", "forest", "watercolor", "castle", "river", "night"),
    *("portrait", "ink", "neon", "harbour", "dunes", "orchid", "storm", "paper"),
    *("amber", "glass", "copper", "velvet", "lantern", "meadow", "glacier", "temple"),
    *("market", "violin", "raven", "tiger", "marble", "willow", "comet", "lagoon"),
    *("canyon", "bronze", "silk", "thunder", "orchard", "mosaic", "falcon", "harvest"),
    *("ember", "mist", "quartz", "ivy", "saffron", "tundra", "cobalt", "prairie"),
    *("opal", "cedar"),
)
LARGE_PIXELS = 384
"""384 x 384 pixels of noise are 442 KB as a PNG, whatever its compression."""
SMALL_PIXELS = 16

STRUCTURES = 40
NODES = (
    *(8, 9, 10, 11, 12, 12, 13, 14, 14, 15, 16, 16, 17, 17, 18, 18, 19, 19, 20, 20),
    *(20, 20, 21, 21, 22, 23, 24, 25, 26, 27, 28, 30, 32, 34, 36, 38, 42, 46, 52, 60),
)
"""Nodes of the structures: 8 to 60, median 20."""

Graph = dict[str, dict[str, Any]]


@dataclasses.dataclass
class _Making:
    """A graph as it grows: where the present model, conditioning, latent and picture come from."""

    chance: random.Random
    nodes: Graph = dataclasses.field(default_factory=dict)
    last_id: int = 0

    def add(self, class_type: str, **inputs: Any) -> str:
        self.last_id += self.chance.randint(1, 4)
        id_ = str(self.last_id)
        self.nodes[id_] = {"inputs": inputs, "class_type": class_type, "_meta": {"title": class_type}}
        return id_


def structure(number: int, size: int) -> Graph:
    """Return the graph of one structure with `size` nodes; the same number gives the same graph."""
    making = _Making(random.Random(f"structure {number}"))
    chance, add = making.chance, making.add
    loader = add("CheckpointLoaderSimple", ckpt_name=f"base/model-{chance.randrange(30)}.safetensors")
    model, clip, vae = [loader, 0], [loader, 1], [loader, 2]
    width = chance.choice((512, 768, 1024, 1216))
    positive = [add("CLIPTextEncode", text="", clip=clip), 0]
    negative = [add("CLIPTextEncode", text="blurry, low quality, watermark", clip=clip), 0]
    latent = [add("EmptyLatentImage", width=width, height=1024, batch_size=1), 0]

    def sample(denoise: float) -> list[Any]:
        return [
            add(
                "KSampler", seed=0, steps=chance.randint(8, 40), cfg=chance.randint(2, 18) / 2,
                sampler_name=chance.choice(("euler", "dpmpp_2m", "dpmpp_sde", "uni_pc")),
                scheduler=chance.choice(("normal", "karras", "simple")), denoise=denoise,
                model=model, positive=positive, negative=negative, latent_image=latent,
            ),
            0,
        ]  # fmt: skip

    before_save = 2
    sampled, decoded = False, None
    while len(making.nodes) < size - before_save or not sampled:
        kind = chance.randrange(12) if sampled else chance.randrange(6)
        if len(making.nodes) >= size - before_save - 1 and not sampled:
            kind = 5
        if kind <= 2:
            strength = chance.randint(2, 20) / 20
            lora = add(
                "LoraLoader", lora_name=f"style/lora-{chance.randrange(200)}.safetensors", strength_model=strength,
                strength_clip=strength, model=model, clip=clip,
            )  # fmt: skip
            model, clip = [lora, 0], [lora, 1]
        elif kind == 3:
            clip = [add("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=clip), 0]
        elif kind == 4:
            name = f"control-{chance.randrange(9)}.safetensors"
            net = [add("ControlNetLoader", control_net_name=name), 0]
            image = [add("LoadImage", image=f"pose-{chance.randrange(50)}.png", upload="image"), 0]
            made = add(
                "ControlNetApplyAdvanced", strength=0.8, start_percent=0.0, end_percent=0.9, positive=positive,
                negative=negative, control_net=net, image=image,
            )  # fmt: skip
            positive, negative = [made, 0], [made, 1]
        elif kind == 5:
            latent, sampled = sample(1.0), True
        elif kind == 6:
            latent = [add("LatentUpscaleBy", upscale_method="nearest-exact", scale_by=1.5, samples=latent), 0]
        elif kind == 7:
            latent = sample(chance.randint(4, 12) / 20)
        elif kind == 8:
            model = [add("FreeU_V2", b1=1.3, b2=1.4, s1=0.9, s2=0.2, model=model), 0]
        elif kind == 9:
            decoded = [add("VAEDecode", samples=latent, vae=vae), 0]
            latent = [add("VAEEncode", pixels=decoded, vae=vae), 0]
        elif kind == 10:
            add("PreviewImage", images=[add("VAEDecode", samples=latent, vae=vae), 0])
        else:
            decoded = [add("VAEDecode", samples=latent, vae=vae), 0]
            sharp = add("ImageSharpen", sharpen_radius=1, sigma=1.0, alpha=chance.randint(1, 9) / 10, image=decoded)
            latent = [add("VAEEncode", pixels=[sharp, 0], vae=vae), 0]
    image = [add("VAEDecode", samples=latent, vae=vae), 0]
    while len(making.nodes) < size - 1:
        image = [add("ImageScaleBy", upscale_method="lanczos", scale_by=chance.randint(5, 30) / 10, image=image), 0]
    add("SaveImage", filename_prefix="ComfyUI", images=image)
    return making.nodes


def filled(shape: Graph, number: int, chance: random.Random) -> Graph:
    """Return a structure's graph with this file's own seeds and text."""
    text = f"{' '.join(chance.choices(WORDS, k=28))}, no. {number}"
    nodes: Graph = {}
    prompts = 0
    for id_, node in shape.items():
        inputs = dict(node["inputs"])
        if "seed" in inputs:
            inputs["seed"] = chance.getrandbits(50)
        if node["class_type"] == "CLIPTextEncode":
            inputs["text"] = text if prompts == 0 else inputs["text"]
            prompts += 1
        nodes[id_] = {**node, "inputs": inputs}
    return nodes


def editor_graph(nodes: Graph) -> dict[str, Any]:
    """Return the editor's document of a graph, about as long as real ones: positions, sockets, links, widget values."""
    links: list[list[Any]] = []
    drawn = []
    for order, (id_, node) in enumerate(nodes.items()):
        sockets: list[dict[str, Any]] = []
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                links.append([len(links) + 1, int(value[0]), value[1], int(id_), len(sockets), "*"])
                sockets.append({"name": name, "type": "*", "link": len(links)})
        drawn.append(
            {
                "id": int(id_),
                "type": node["class_type"],
                "pos": [order % 7 * 340, order // 7 * 280],
                "size": [315, 262],
                "flags": {},
                "order": order,
                "mode": 0,
                "inputs": sockets,
                "outputs": [{"name": "OUT", "type": "*", "links": [], "slot_index": 0}],
                "properties": {"Node name for S&R": node["class_type"]},
                "widgets_values": [value for value in node["inputs"].values() if not isinstance(value, list)],
            }
        )
    ends = {"groups": [], "config": {}, "extra": {"ds": {"scale": 0.8, "offset": [12.5, -40.25]}}, "version": 0.4}
    return {"last_node_id": 999, "last_link_id": len(links), "nodes": drawn, "links": links, **ends}


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(nodes: Graph, pixels: int, chance: random.Random) -> bytes:
    """Return a PNG as ComfyUI writes it: prompt and workflow before the image data."""
    rows = b"".join(b"\0" + chance.randbytes(3 * pixels) for _ in range(pixels))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", pixels, pixels, 8, 2, 0, 0, 0))
        + chunk(b"tEXt", b"prompt\0" + json.dumps(nodes).encode("ascii"))
        + chunk(b"tEXt", b"workflow\0" + json.dumps(editor_graph(nodes)).encode("ascii"))
        + chunk(b"IDAT", zlib.compress(rows, 1))
        + chunk(b"IEND", b"")
    )


def make_folder(folder: Path, count: int, pixels: int, first_seed: int, *, own_structures: bool = False) -> Path:
    """Write `count` pictures, 1,000 to a folder, none equal to another, of STRUCTURES structures or each of its own."""
    shapes: dict[int, Graph] = {}
    for n in range(count):
        place = folder / f"{n // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        chance = random.Random(first_seed + n)
        which = n if own_structures else chance.randrange(STRUCTURES)
        if own_structures:
            shape = structure(first_seed + which, NODES[which % STRUCTURES])
        elif (known := shapes.get(which)) is not None:
            shape = known
        else:
            shape = shapes[which] = structure(which, NODES[which])
        (place / f"picture_{n:05}_.png").write_bytes(png(filled(shape, first_seed + n, chance), pixels, chance))
    return folder
