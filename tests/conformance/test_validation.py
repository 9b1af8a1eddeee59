"""What we say about a graph is what the engine itself says: the same kinds of errors, on the same nodes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from memoryd.comfyui.specs import NodeSpecs
from memoryd.comfyui.validation import Judged, NoGraph, judge_graph
from memoryd.comfyui.validation_rules import Rulebook
from tests.conformance.test_protocol import painting

Graph = dict[str, Any]
Change = Callable[[Graph], object]


def set_input(node: str, name: str, value: object) -> Change:
    return lambda graph: graph[node]["inputs"].__setitem__(name, value)


def drop_input(node: str, name: str) -> Change:
    return lambda graph: graph[node]["inputs"].pop(name)


def add(**nodes: Any) -> Change:
    return lambda graph: graph.update({name.lstrip("n"): node for name, node in nodes.items()})


def chain(length: int) -> Change:
    def lengthen(graph: Graph) -> None:
        for place in range(length):
            above = ["8", 0] if place == 0 else [f"c{place - 1}", 0]
            graph[f"c{place}"] = {"class_type": "ImageInvert", "inputs": {"image": above}}
        graph["9"]["inputs"]["images"] = [f"c{length - 1}", 0]

    return lengthen


SAVE = {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "second"}}

CHANGES: dict[str, tuple[Change, ...]] = {
    "a checkpoint that is not there": (set_input("4", "ckpt_name", "nowhere.safetensors"),),
    "a checkpoint of another kind": (set_input("4", "ckpt_name", 7),),
    "a checkpoint that is nothing": (set_input("4", "ckpt_name", None),),
    "a sampler of a long list": (set_input("3", "sampler_name", "bogus"),),
    "a scheduler of a short list": (set_input("3", "scheduler", "bogus"),),
    "steps below": (set_input("3", "steps", 0),),
    "steps above": (set_input("3", "steps", 10_001),),
    "a seed of 2^64": (set_input("3", "seed", 2**64),),
    "the greatest seed": (set_input("3", "seed", 2**64 - 1),),
    "a seed below zero": (set_input("3", "seed", -1),),
    "a seed as text": (set_input("3", "seed", "12"),),
    "a seed as words": (set_input("3", "seed", "twelve"),),
    "a seed as a fraction": (set_input("3", "seed", 12.7),),
    "a seed as a fraction in text": (set_input("3", "seed", "12.7"),),
    "a seed that is nothing": (set_input("3", "seed", None),),
    "a seed that is an object": (set_input("3", "seed", {"a": 1}),),
    "a seed that is wrapped": (set_input("3", "seed", {"__value__": 3}),),
    "a scale as text": (set_input("3", "cfg", "7.5"),),
    "a scale as words": (set_input("3", "cfg", "much"),),
    "a scale beyond": (set_input("3", "cfg", 100.5),),
    "no denoise": (drop_input("3", "denoise"),),
    "no model": (drop_input("3", "model"),),
    "several things missing": (drop_input("3", "model"), drop_input("3", "seed"), drop_input("6", "text")),
    "no prefix": (drop_input("9", "filename_prefix"),),
    "no pictures": (drop_input("9", "images"),),
    "a text that is a number": (set_input("6", "text", 42),),
    "a text that is a link": (set_input("6", "text", ["4", 0]),),
    "a link of another type": (set_input("3", "model", ["4", 1]),),
    "a link to a slot beyond": (set_input("3", "model", ["4", 9]),),
    "a link to a slot from the end": (set_input("8", "vae", ["4", -1]),),
    "a link by a text slot": (set_input("3", "model", ["4", "0"]),),
    "a link by a fraction": (set_input("3", "model", ["4", 0.0]),),
    "a link to nowhere": (set_input("3", "model", ["99", 0]),),
    "a link of the output to nowhere": (set_input("9", "images", ["99", 0]),),
    "a link too long": (set_input("3", "model", ["4", 0, 1]),),
    "a link too short": (set_input("3", "model", ["4"]),),
    "an empty link": (set_input("3", "model", []),),
    "a literal where a link belongs": (set_input("3", "model", "sd15"),),
    "a number where a link belongs": (set_input("8", "samples", 3),),
    "nothing where a link belongs": (set_input("8", "samples", None),),
    "a node without inputs": (lambda graph: graph["6"].pop("inputs"),),
    "an output without inputs": (lambda graph: graph["9"].pop("inputs"),),
    "a node without class": (lambda graph: graph["6"].pop("class_type"),),
    "a class that nobody has": (lambda graph: graph["6"].update(class_type="NobodyHasThis", _meta={"title": "Mine"}),),
    "a class that nobody has, aside": (add(n77={"class_type": "NobodyHasThis", "inputs": {}}),),
    "no output": (lambda graph: graph.pop("9"),),
    "an output that runs beside one that does not": (add(n10=SAVE), drop_input("9", "images")),
    "two outputs of one wrong node": (add(n10=SAVE), set_input("3", "steps", 0)),
    "two wrong nodes of two outputs": (add(n10=SAVE), set_input("3", "steps", 0), drop_input("9", "filename_prefix")),
    "a wrong node that nothing needs": (
        add(n77={"class_type": "EmptyImage", "inputs": {"width": "wide"}}),
        set_input("3", "seed", 5),
    ),
    "a ring of two": (
        add(
            n20={"class_type": "ImageInvert", "inputs": {"image": ["21", 0]}},
            n21={"class_type": "ImageInvert", "inputs": {"image": ["20", 0]}},
        ),
        set_input("9", "images", ["20", 0]),
    ),
    "a ring of one": (
        add(n20={"class_type": "ImageInvert", "inputs": {"image": ["20", 0]}}),
        set_input("9", "images", ["20", 0]),
    ),
    "a ring with a fault in it": (
        add(
            n20={"class_type": "ImageBlend", "inputs": {"image1": ["21", 0], "blend_mode": "no such mode"}},
            n21={"class_type": "ImageInvert", "inputs": {"image": ["20", 0]}},
        ),
        set_input("9", "images", ["20", 0]),
    ),
    "a picture that is not there": (
        add(n20={"class_type": "LoadImage", "inputs": {"image": "nowhere.png"}}),
        set_input("9", "images", ["20", 0]),
    ),
    "a mask where a picture belongs": (
        add(n20={"class_type": "LoadImage", "inputs": {"image": "nowhere.png"}}),
        set_input("9", "images", ["20", 1]),
    ),
    "inputs that nobody knows": (set_input("3", "nonsense", 1), set_input("9", "more", "x")),
    "a long chain": (chain(200),),
}

ONLY_REAL: dict[str, tuple[Change, ...]] = {
    "a choice that brings inputs": (
        add(
            n30={
                "class_type": "SaveImageAdvanced",
                "inputs": {"images": ["8", 0], "filename_prefix": "x", "format": "png", "format.bit_depth": "9-bit"},
            }
        ),
    ),
    "a choice without its inputs": (
        add(
            n30={
                "class_type": "SaveImageAdvanced",
                "inputs": {"images": ["8", 0], "filename_prefix": "x", "format": "png"},
            }
        ),
    ),
    "a choice that is none": (
        add(
            n30={
                "class_type": "SaveImageAdvanced",
                "inputs": {"images": ["8", 0], "filename_prefix": "x", "format": "bmp"},
            }
        ),
        set_input("3", "steps", 0),
    ),
    "a list that grows, too short": (
        add(n30={"class_type": "BatchImagesNode", "inputs": {}}),
        set_input("9", "images", ["30", 0]),
    ),
    "a list that grows, of another type": (
        add(n30={"class_type": "BatchImagesNode", "inputs": {"images.image0": ["3", 0], "images.image1": ["8", 0]}}),
        set_input("9", "images", ["30", 0]),
    ),
    "a list that grows": (
        add(n30={"class_type": "BatchImagesNode", "inputs": {"images.image0": ["8", 0], "images.image1": ["8", 0]}}),
        set_input("9", "images", ["30", 0]),
        set_input("3", "steps", 0),
    ),
    "several types": (
        add(
            n30={
                "class_type": "ResizeImageMaskNode",
                "inputs": {
                    "input": ["3", 0],
                    "resize_type": "scale dimensions",
                    "resize_type.width": -1,
                    "resize_type.height": 8,
                    "resize_type.crop": "sideways",
                    "scale_method": "area",
                },
            }
        ),
        set_input("9", "images", ["30", 0]),
    ),
}


def test_an_engine_and_we_say_the_same(http: httpx.Client) -> None:
    book = Rulebook(NodeSpecs(http.get("/object_info").json()))
    checkpoint = book.rules_of("CheckpointLoaderSimple").inputs_for({})[0].type[0]
    different = {}
    for name, changes in _cases(book):
        graph = painting(checkpoint)
        for change in changes:
            change(graph)
        ours, theirs = _ours(graph, book), _theirs(http, graph)
        for node_id, node in theirs["nodes"].items():
            # It also names outputs that it happened to judge later, in an order that changes with each start.
            mine = ours["nodes"].get(node_id, {}).get("outputs", [])
            node["outputs"] = [output for output in node["outputs"] if output in mine]
        if ours != theirs:
            different[name] = {"ours": ours, "theirs": theirs}
    assert not different, json.dumps(different, indent=1)


def test_a_chain_beyond_what_the_engine_walks_is_refused_alike(http: httpx.Client) -> None:
    book = Rulebook(NodeSpecs(http.get("/object_info").json()))
    graph = painting(book.rules_of("CheckpointLoaderSimple").inputs_for({})[0].type[0])
    chain(1_100)(graph)
    for said in (_ours(graph, book), _theirs(http, graph)):
        # Which node it is depends on how deep the engine's own stack was.
        assert said["error"] == "prompt_outputs_failed_validation"
        (node,) = said["nodes"].values()
        assert [tuple(error) for error in node["errors"]] == [("exception_during_inner_validation", "image")]


def _cases(book: Rulebook) -> Iterator[tuple[str, tuple[Change, ...]]]:
    yield from CHANGES.items()
    if "SaveImageAdvanced" in book:
        yield from ONLY_REAL.items()


def _ours(graph: Graph, book: Rulebook) -> Any:
    return _words(judge_graph(copy.deepcopy(graph), book))


def _words(judged: Judged) -> Any:
    return _shape(judged.error, judged.node_errors)


def _theirs(http: httpx.Client, graph: Graph) -> Any:
    answer = http.post("/prompt", json={"prompt": graph})
    body = answer.json()
    if answer.status_code == 200:
        http.post("/queue", json={"delete": [body["prompt_id"]]})
        http.post("/interrupt", json={"prompt_id": body["prompt_id"]})
    return _shape(body.get("error"), body["node_errors"])


def _shape(error: Any, node_errors: Any) -> Any:
    kind = None if error is None else "missing_node_type" if error["type"] == "invalid_prompt" else error["type"]
    return {
        "error": kind,
        "nodes": {
            node_id: {
                "class_type": node["class_type"],
                "outputs": sorted(node["dependent_outputs"]),
                "errors": sorted((each["type"], each["extra_info"].get("input_name", "")) for each in node["errors"]),
            }
            for node_id, node in sorted(node_errors.items())
        },
    }


def test_words_and_details_are_the_recorded_ones(fixtures: Any) -> None:
    recorded = json.loads((fixtures / "errors" / "prompt_validation.json").read_text())
    book = Rulebook(_recorded_specs(fixtures))
    compared = 0
    for name, case in recorded.items():
        request = case.get("request")
        body = case.get("response", {}).get("body")
        if not isinstance(request, dict) or not isinstance(request.get("prompt"), dict) or not isinstance(body, dict):
            continue
        if "prompt_id" in name or "prompt_id" in request:
            continue
        judged = judge_graph(copy.deepcopy(request["prompt"]), book)
        assert judged.error == body.get("error") or "exception" in str(body), name
        for node_id, node in body["node_errors"].items():
            said: Any = judged.node_errors[node_id]
            assert said["class_type"] == node["class_type"]
            assert [each["type"] for each in said["errors"]] == [each["type"] for each in node["errors"]], name
            assert [each["message"] for each in said["errors"]] == [each["message"] for each in node["errors"]], name
            if "exception" not in str(node):
                assert [each["details"] for each in said["errors"]] == [each["details"] for each in node["errors"]]
        compared += 1
    assert compared >= 15


def _recorded_specs(fixtures: Any) -> NodeSpecs:
    import gzip

    info = json.loads(gzip.decompress((fixtures / "object_info.json.gz").read_bytes()))
    info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] = ["tiny-sd15-random.safetensors"]
    info["LoraLoader"]["input"]["required"]["lora_name"][0] = ["style/tiny-random-lora.safetensors"]
    return NodeSpecs(info)


@pytest.mark.parametrize("shape", [[], {"nodes": [], "links": []}, "text", None, {"1": 5}])
def test_what_is_no_graph_is_said_to_be_none(shape: object) -> None:
    with pytest.raises(NoGraph):
        judge_graph(shape, NodeSpecs({}))


def test_a_class_whose_inputs_are_not_known_is_taken_to_be_right(fixtures: Any) -> None:
    graph = {"1": {"class_type": "Theirs", "inputs": {}}, **painting("x")}
    graph["3"]["inputs"]["latent_image"] = ["1", 3]
    judged = judge_graph(graph, _recorded_specs(fixtures), unspecified={"Theirs"})
    assert judged.error is None
    assert list(judged.node_errors) == ["4"]
