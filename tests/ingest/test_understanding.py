from __future__ import annotations

import json
from typing import Any

from memoryd.ingest.understanding import Understood, understand
from memoryd.plugin_api.facts import Carrier, Confidence, Reading
from memoryd.workflows.facts import Polarity, Source
from tests.ingest.pictures import prompt

SETTINGS = (
    "a red fox\nNegative prompt: blurry\nSteps: 3, Sampler: euler, CFG scale: 7, Seed: {seed}, Size: 64x64, "
    "Model hash: 6ce0161689, Model: {model}, Version: ComfyUI"
)


def reading(*, graph: object = None, editor: object = None, **texts: str) -> Reading:
    carriers = []
    if graph is not None:
        carriers.append(Carrier(place="png:tEXt", key="prompt", raw=json.dumps(graph).encode()))
    if editor is not None:
        carriers.append(Carrier(place="png:tEXt", key="workflow", raw=json.dumps(editor).encode()))
    carriers += [Carrier(place="png:tEXt", key=key, raw=text.encode()) for key, text in texts.items()]
    return Reading(
        plugin="test",
        version="1",
        media_type="image/png",
        carriers=tuple(carriers),
        prompt=0 if graph is not None else None,
        workflow=None if editor is None else int(graph is not None),
    )


def codes(understood: Understood) -> list[str]:
    return [finding.code for finding in understood.findings]


def test_a_text_alone_is_understood_with_its_source() -> None:
    understood = understand(reading(parameters=SETTINGS.format(seed=9, model="shore")), "a.png")
    assert understood.parameters is not None
    assert understood.parameters.node is None
    assert understood.parameters.samplers[0].seed == 9
    assert {use.source for use in understood.parameters.prompts} == {Source.TEXT}
    assert understood.parameters.generates
    assert understood.ai_generated is True
    assert understood.read.graph is None


def test_the_graph_counts_and_the_text_gives_its_models_their_hashes() -> None:
    understood = understand(reading(graph=prompt(9), parameters=SETTINGS.format(seed=9, model="tiny")), "a.png")
    assert understood.parameters is not None
    assert (understood.parameters.tool, understood.parameters.tool_version) == ("comfyui", None)
    (model,) = understood.parameters.models
    assert (model.name, model.claimed_hash, model.source) == ("tiny.safetensors", "6ce0161689", Source.EXECUTED)
    assert "carriers-disagree" not in codes(understood)


def test_carriers_that_disagree_are_both_named() -> None:
    understood = understand(reading(graph=prompt(9), parameters=SETTINGS.format(seed=10, model="other")), "a.png")
    found = {finding.where: finding.detail for finding in understood.findings if finding.code == "carriers-disagree"}
    assert set(found) == {"seed", "model"}
    assert "9" in found["seed"]
    assert "10" in found["seed"]
    assert understood.parameters is not None
    assert understood.parameters.samplers[0].seed == 9


def test_where_comfyui_served_another_tool_the_words_typed_there_come_first() -> None:
    told = {"PositivePrompt": "a red fox # by day", "NegativePrompt": "", "Steps": 3, "Seed": 9, "ModelName": "tiny"}
    understood = understand(reading(graph=prompt(9), **{"parameters-json": json.dumps(told)}), "a.png")
    assert understood.parameters is not None
    texts = [use.text for use in understood.parameters.prompts if use.polarity is Polarity.POSITIVE]
    assert texts[0] == "a red fox # by day"
    assert "a red fox" not in texts[1:]


def test_a_graph_that_says_nothing_leaves_the_word_to_the_text() -> None:
    scaled = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "width": 8, "height": 8}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    understood = understand(reading(graph=scaled, parameters=SETTINGS.format(seed=4, model="shore")), "a.png")
    assert understood.parameters is not None
    assert [use.seed for use in understood.parameters.samplers] == [4]
    assert [use.name for use in understood.parameters.models] == ["shore"]
    assert [use.name for use in understood.parameters.inputs] == ["a.png"]


def test_an_editors_graph_alone_is_converted_and_said_to_be_one() -> None:
    editor = {
        "nodes": [
            {
                "id": 1,
                "type": "CheckpointLoaderSimple",
                "mode": 0,
                "outputs": [
                    {"name": "MODEL", "type": "MODEL", "links": [1]},
                    {"name": "CLIP", "type": "CLIP", "links": [2, 3]},
                    {"name": "VAE", "type": "VAE", "links": [4]},
                ],
                "widgets_values": ["tiny.safetensors"],
            },
            {
                "id": 2,
                "type": "CLIPTextEncode",
                "mode": 0,
                "inputs": [{"name": "clip", "type": "CLIP", "link": 2}],
                "outputs": [{"name": "CONDITIONING", "type": "CONDITIONING", "links": [5]}],
                "widgets_values": ["a red fox"],
            },
            {
                "id": 3,
                "type": "CLIPTextEncode",
                "mode": 0,
                "inputs": [{"name": "clip", "type": "CLIP", "link": 3}],
                "outputs": [{"name": "CONDITIONING", "type": "CONDITIONING", "links": [6]}],
                "widgets_values": ["blurry"],
            },
            {
                "id": 4,
                "type": "EmptyLatentImage",
                "mode": 0,
                "outputs": [{"name": "LATENT", "type": "LATENT", "links": [7]}],
                "widgets_values": [64, 64, 1],
            },
            {
                "id": 5,
                "type": "KSampler",
                "mode": 0,
                "inputs": [
                    {"name": "model", "type": "MODEL", "link": 1},
                    {"name": "positive", "type": "CONDITIONING", "link": 5},
                    {"name": "negative", "type": "CONDITIONING", "link": 6},
                    {"name": "latent_image", "type": "LATENT", "link": 7},
                ],
                "outputs": [{"name": "LATENT", "type": "LATENT", "links": [8]}],
                "widgets_values": [77, "randomize", 3, 7.0, "euler", "normal", 1.0],
            },
            {
                "id": 6,
                "type": "VAEDecode",
                "mode": 0,
                "inputs": [
                    {"name": "samples", "type": "LATENT", "link": 8},
                    {"name": "vae", "type": "VAE", "link": 4},
                ],
                "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [9]}],
            },
            {
                "id": 7,
                "type": "SaveImage",
                "mode": 0,
                "inputs": [{"name": "images", "type": "IMAGE", "link": 9}],
                "widgets_values": ["ComfyUI"],
            },
        ],
        "links": [
            [1, 1, 0, 5, 0, "MODEL"],
            [2, 1, 1, 2, 0, "CLIP"],
            [3, 1, 1, 3, 0, "CLIP"],
            [4, 1, 2, 6, 1, "VAE"],
            [5, 2, 0, 5, 1, "CONDITIONING"],
            [6, 3, 0, 5, 2, "CONDITIONING"],
            [7, 4, 0, 5, 3, "LATENT"],
            [8, 5, 0, 6, 0, "LATENT"],
            [9, 6, 0, 7, 0, "IMAGE"],
        ],
        "version": 0.4,
    }
    understood = understand(reading(editor=editor), "a.png")
    assert understood.parameters is not None
    (sampler,) = understood.parameters.samplers
    assert (sampler.seed, sampler.steps, sampler.source) == (77, 3, Source.EDITOR)
    assert sampler.confidence is not Confidence.HIGH
    assert [use.text for use in understood.parameters.prompts if use.polarity is Polarity.POSITIVE] == ["a red fox"]
    assert not understood.parameters.certain
    # That an editor shows a graph does not say that it was executed.
    assert understood.ai_generated is None


def test_a_file_that_says_nothing_stays_empty() -> None:
    assert understand(reading(Comment="Created with GIMP"), "a.png").parameters is None
    assert understand(reading(), "a.png") == understand(reading(Software="Adobe Photoshop 25.0"), "a.png")


def test_a_label_alone_tells_that_ai_made_it() -> None:
    understood = understand(reading(AIGC='"{\\"Label\\": \\"1\\"}"'), "a.png")
    assert understood.ai_generated is True
    assert understood.parameters is not None
    assert understood.parameters.generates


def test_a_template_is_a_finding() -> None:
    swarm = {"sui_image_params": {"prompt": "a <random:fox|owl>", "seed": 1, "steps": 2, "model": "m"}}
    assert "template-prompt" in codes(understand(reading(parameters=json.dumps(swarm)), "a.png"))


def test_what_cannot_be_stored_is_replaced() -> None:
    understood = understand(reading(parameters="a\x00fox\nSteps: 2, Sampler: Euler, Seed: 1"), "a.png")
    assert understood.parameters is not None
    assert understood.parameters.prompts[0].text == "a\ufffdfox"


def test_a_graph_too_large_to_be_compared_is_read_and_says_so() -> None:
    asked: dict[str, Any] = dict(prompt(9))
    asked |= {f"a{n}": {"class_type": "A", "inputs": {"a": [f"a{n - 1}", 0]} if n else {}} for n in range(5_000)}
    asked |= {f"s{n}": {"class_type": "SaveImage", "inputs": {"images": ["a4999", 0]}} for n in range(50)}
    understood = understand(reading(graph=asked), "a.png")
    assert understood.read.graph is not None
    assert understood.read.prepared is None
    assert "too-many-outputs" in codes(understood) + [finding.code for finding in understood.read.findings]
    assert understood.parameters is not None
