"""Documents that are alike are read once: whatever is filled in, what is read is what reading anew gives."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from memoryd.comfyui.specs import NodeSpecs
from memoryd.workflows import alike
from memoryd.workflows.alike import find_alike
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.identity import identify, spelled_nodes
from memoryd.workflows.parameters import read_parameters
from memoryd.workflows.recipe_v1 import Instance
from memoryd.workflows.spelling import Spelled

NAMES = ("ComfyUI_00001_.png", "final_00012_.png", "ComfyUI_temp_abcde_00001_.png", "clip_00001.mp4", "", None)
_numbers = itertools.count(1)

Document = dict[str, dict[str, Any]]


def sampled(seed: Any, positive: Any, negative: Any = "blurry, low quality, watermark", **more: Any) -> Document:
    """A plain graph with one pass."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": positive, "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": negative, "clip": ["1", 1]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "seed": seed, "steps": 20, "cfg": 7.5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
                "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0],
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["6", 0]}},
        **more,
        # So that no two tests have a document in common.
        "900": {"class_type": "Note", "inputs": {"number": next(_numbers)}},
    }  # fmt: skip


def written(document: Document, *, spaced: bool = True) -> bytes:
    return json.dumps(document, separators=None if spaced else (",", ":")).encode()


def filled(document: Document, seed: int, text: str) -> Document:
    """The same with another seed, and another text in place of its first."""
    return json.loads(json.dumps(document).replace('"SEED"', str(seed)).replace('"TEXT"', json.dumps(text)))  # type: ignore[no-any-return]


def test_what_is_filled_in_is_what_is_read_anew_for_many_graphs_of_many_shapes() -> None:
    chance = random.Random(7)
    found = 0
    for shape in range(60):
        document = some_graph(chance)
        for _ in range(5):
            raw = written(filled(document, _seed(chance), _text(chance)), spaced=shape % 2 == 0)
            found += _agrees(raw, chance)
    assert found > 60 * 5 / 3


@pytest.mark.parametrize(
    "text",
    [
        "short",
        "a portrait with <lora:ink:0.8> in a forest",
        "a portrait, (embedding:worst_quality:1.2), and much more",
        "folder/with a name/that-is-long.safetensors",
        "a picture of a fox that is called fox.png",
        "NUL \0 in the middle of a text that is long",
        "12345678901234567890123456789",
        "  " * 20,
        "x" * 4_001,
    ],
)
def test_a_text_that_says_more_than_prose_is_read_anew(text: str) -> None:
    document = sampled("SEED", "TEXT")
    for number in range(3):
        find_alike(written(filled(document, 10**9 + number, f"a red fox in the snow, number {number}")))
    assert find_alike(written(filled(document, 10**9, text))) is None


@pytest.mark.parametrize(
    "seed", ["0", "7", "123456", "-5000000000", "18446744073709551616", "1234567890.5", "1e12", "01234567"]
)
def test_a_seed_that_may_choose_something_or_is_none_is_read_anew(seed: str) -> None:
    document = json.dumps(sampled("SEED", "a red fox in the snow at night"))
    for number in range(3):
        find_alike(document.replace('"SEED"', str(10**9 + number)).encode())
    assert find_alike(document.replace('"SEED"', seed).encode()) is None


def test_a_seed_that_is_also_a_setting_is_never_taken_for_a_mere_seed() -> None:
    document = sampled(["20", 0], "TEXT", **{"20": {"class_type": "PrimitiveInt", "inputs": {"value": "SEED"}}})
    document["5"]["inputs"]["cfg"] = ["20", 0]
    chance = random.Random(3)
    for _ in range(4):
        _agrees(written(filled(document, _seed(chance), _text(chance))), chance)


def test_a_text_that_chooses_a_branch_is_read_anew() -> None:
    document = sampled("SEED", ["20", 0])
    document["20"] = {
        "class_type": "ImpactSwitch",
        "inputs": {"select": ["21", 0], "input1": "first of the two prompts", "input2": "second of the two prompts"},
    }
    document["21"] = {"class_type": "PrimitiveString", "inputs": {"value": "TEXT"}}
    chance = random.Random(5)
    for number in (1, 2, 1, 2):
        _agrees(written(filled(document, _seed(chance), f"take the input number {number} of the two, please")), chance)


def test_the_last_of_two_members_with_one_name_counts_here_too() -> None:
    raw = written(sampled(123456789, "a red fox in the snow at night")).decode()
    doubled = raw.replace('"seed": 123456789', '"seed": 987654321, "seed": 123456789')
    chance = random.Random(5)
    for number in range(4):
        _agrees(doubled.replace("987654321", str(900_000_000 + number)).encode(), chance)


def test_a_quote_inside_a_text_is_no_place() -> None:
    chance, document = random.Random(5), sampled(10**9, "TEXT")
    for number in range(4):
        text = f'say "seed": {10**9 + number}, "text": "a long text inside of a text {number}", and no more'
        assert _agrees(written(filled(document, 0, text)), chance) == (number > 0)


def test_a_text_among_what_a_server_offers_is_read_anew() -> None:
    options: tuple[str, ...] = ("a style that has a long name", "tiny.safetensors", "another style that has a name")
    specs = NodeSpecs(
        {
            "CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [["tiny.safetensors"]]}}},
            "Stylist": {"input": {"required": {"text": [[*options]]}}, "output": ["CONDITIONING"]},
        }
    )
    document = sampled("SEED", "TEXT")
    document["2"] = {"class_type": "Stylist", "inputs": {"text": "TEXT", "clip": ["1", 1]}}
    chance = random.Random(5)
    for text in (*("a red fox in the snow at night", "a blue fox in the snow at night"), *options[::2]):
        _agrees(written(filled(document, _seed(chance), text)), chance, specs)


def test_a_document_with_an_overwritten_byte_is_read_anew() -> None:
    document = written(sampled(10**9, "a red fox in the snow at night"))
    for _ in range(3):
        assert find_alike(document.replace(b'"Note"', b'"N\0te"')) is None


def test_no_more_is_remembered_than_told() -> None:
    for number in range(3 * alike.REMEMBERED_DOCUMENTS):
        find_alike(written(sampled(10**9 + number, "a red fox in the snow at night")))
    assert len(alike._documents._new) + len(alike._documents._old) <= 2 * alike.REMEMBERED_DOCUMENTS


def _agrees(raw: bytes, chance: random.Random, specs: NodeSpecs | None = None) -> bool:
    graph, findings = parse_graph(raw)
    found = find_alike(raw)
    if found is None:
        return False
    assert (found.graph, ()) == (graph, findings)
    assert graph is not None
    assert [list(node.inputs) for node in found.graph.nodes.values()] == [
        list(node.inputs) for node in graph.nodes.values()
    ]
    assert identify(found.graph, nodes=found.nodes) == identify(graph)
    for known, anew in zip(found.nodes, spelled_nodes(graph), strict=True):
        assert all(known.at_workflow(mark) == Spelled(anew.node).at_workflow(mark) for mark in (None, *Instance))
        assert (known.literals, known.links, known.number) == (anew.literals, anew.links, anew.number)
    name = chance.choice(NAMES)
    assert found.parameters(name, specs) == read_parameters(graph, filename=name, specs=specs)
    return True


def _seed(chance: random.Random) -> int:
    return chance.choice(
        (10**6, 10**9, 2**31, 2**53 + 1, 2**63, 2**64 - 1, chance.getrandbits(50), chance.getrandbits(64))
    )


def _text(chance: random.Random) -> str:
    words = [
        "fox",
        "snow",
        "(night:1.3)",
        "\u96ea\u306e\u4e2d",
        "\U0001f98a",
        'a "quoted" word',
        "back\\slash",
        "new\nline",
        "1girl,",
    ]
    text = " ".join(chance.choices(words, k=chance.choice((3, 12, 300))))
    return text if chance.random() < 0.9 else f" {text} "


def some_graph(chance: random.Random) -> Document:
    document = sampled("SEED", "TEXT")
    nodes = document["5"]["inputs"]
    if chance.random() < 0.4:
        document["20"] = {
            "class_type": chance.choice(("PrimitiveInt", "Seed (rgthree)", "SeedNode")),
            "inputs": {"seed": "SEED"},
        }
        nodes["seed"] = ["20", 0]
    if chance.random() < 0.5:
        joins = chance.choice(
            ("StringConcatenate", "Text Concatenate", "ConcatText", "SomebodysJoin", "Text Find and Replace")
        )
        document["21"] = {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "TEXT"}}
        document["22"] = {
            "class_type": joins,
            "inputs": {"text_a": ["21", 0], "text_b": "masterpiece of a painting", "delimiter": ", "},
        }
        document["2"]["inputs"]["text"] = ["22", 0]
    if chance.random() < 0.3:
        document["23"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "final", "images": ["6", 0]}}
    if chance.random() < 0.3:
        document["24"] = {
            "class_type": "ImageSwitchBoolean",
            "inputs": {"on_true": ["6", 0], "on_false": ["6", 0], "boolean": True},
        }
        document["7"]["inputs"]["images"] = ["24", 0]
    if chance.random() < 0.3:
        document["25"] = {
            "class_type": "CLIPTextEncodeSDXL",
            "inputs": {"text_g": "TEXT", "text_l": "TEXT", "width": 1024, "height": 1024, "clip": ["1", 1]},
        }
        nodes["positive"] = ["25", 0]
    if chance.random() < 0.3:
        document["26"] = {"class_type": "SomebodysSampler", "inputs": {**nodes, "noise_seed": "SEED", "prompt": "TEXT"}}
        document["6"]["inputs"]["samples"] = ["26", 0]
    if chance.random() < 0.2:
        nodes["steps"] = ["20", 0] if "20" in document else 12
    return document
