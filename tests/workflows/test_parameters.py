from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memoryd.workflows.difference import diff_graphs
from memoryd.workflows.facts import Graph, Parameters, Polarity
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.parameters import read_parameters
from memoryd.workflows.preparing import prepare_graph
from memoryd.workflows.saving_output import find_saving_output
from tests.thoroughness import tries

Make = Callable[[dict[str, Any]], Graph]
Real = Callable[[str], Graph]

CHECKPOINT = ("checkpoints", "tiny-sd15-random.safetensors", None, None)
LORA = "style/tiny-random-lora.safetensors"


def texts(parameters: Parameters, polarity: Polarity) -> list[str]:
    return [use.text for use in parameters.prompts if use.polarity is polarity]


def models(parameters: Parameters) -> list[tuple[str, str, float | None, float | None]]:
    return [(use.role, use.name, use.strength_model, use.strength_clip) for use in parameters.models]


SEEDS = {
    "txt2img_basic": 42,
    "txt2img_cached_rerun": 42,
    "txt2img_prompt_only": 42,
    "txt2img_lora": 1001,
    "txt2img_seed_u64max": 18446744073709551615,
    "txt2img_batch4": 7,
    "txt2img_batch4_3": 7,
    "txt2img_unicode_zh_emoji": 8,
    "txt2img_very_long_prompt": 9,
    "txt2img_dpmpp_sde_karras_128x96": 10,
    "txt2img_two_saves_and_preview": 11,
    "txt2img_two_saves_and_preview_1": 11,
    "txt2img_sampler_custom_advanced": 14,
    "txt2img_orphan_lora": 15,
    "img2img_from_upload": 100,
    "img2img_from_output_annotated": 101,
    "img2img_lora": 102,
}


@pytest.mark.parametrize(("name", "seed"), SEEDS.items())
def test_every_generated_fixture_reads_as_expected(real: Real, name: str, seed: int) -> None:
    parameters = read_parameters(real(name))
    (sampler,) = parameters.samplers
    assert sampler.seed == seed
    assert sampler.final
    assert parameters.generates
    negative = "模糊，低质量" if "unicode" in name else "blurry"
    assert texts(parameters, Polarity.NEGATIVE) == [negative]
    assert models(parameters)[0] == CHECKPOINT
    if name.startswith("txt2img"):
        expected = {"dpmpp": (4, 3.5, "dpmpp_2m_sde", "karras"), "custom": (2, 5.0, "euler", "simple")}
        wanted = next((value for key, value in expected.items() if key in name), (3, 7.0, "euler", "normal"))
        assert (sampler.steps, sampler.cfg, sampler.sampler, sampler.scheduler) == wanted
        assert sampler.denoise == 1.0
        assert (parameters.width, parameters.height) == ((128, 96) if "128x96" in name else (64, 64))
    assert (len(parameters.models) == 2) == (name in ("txt2img_lora", "img2img_lora"))


def test_a_lora_is_read_with_both_strengths(real: Real) -> None:
    parameters = read_parameters(real("txt2img_lora"))
    assert models(parameters) == [CHECKPOINT, ("loras", LORA, 0.8, 0.6)]
    assert texts(parameters, Polarity.POSITIVE) == ["lora test, watercolor"]


def test_a_chinese_prompt_is_read_whole(real: Real) -> None:
    expected = "一只红色的狐狸在雪地里，水墨画风格，杰作 🦊❄️ — “引号” café ñ"
    assert texts(read_parameters(real("txt2img_unicode_zh_emoji")), Polarity.POSITIVE) == [expected]


def test_a_very_long_prompt_is_read_whole(real: Real) -> None:
    (text,) = texts(read_parameters(real("txt2img_very_long_prompt")), Polarity.POSITIVE)
    assert len(text) == 46688


def test_of_two_samplers_the_one_that_made_the_picture_is_the_last(real: Real) -> None:
    parameters = read_parameters(real("txt2img_hires_two_samplers"))
    assert [(use.node, use.seed, use.final) for use in parameters.samplers] == [("3", 12, False), ("31", 13, True)]
    assert (parameters.width, parameters.height) == (96, 96)


def test_inputs_are_linked_by_the_content_that_comfyui_hashed(real: Real, files: Path) -> None:
    images = files / "comfyui" / "images"
    (upload,) = read_parameters(real("img2img_from_upload")).inputs
    assert (upload.name, upload.sha256) == (
        "fox_src.png",
        hashlib.sha256((images / "txt2img_basic.png").read_bytes()).digest(),
    )
    (output,) = read_parameters(real("img2img_from_output_annotated")).inputs
    assert output.name == "fx/lora_00001_.png [output]"
    assert output.sha256 == hashlib.sha256((images / "txt2img_lora.png").read_bytes()).digest()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("modelfree_blend_invert", (96, 64)),
        ("modelfree_minimal_no_meta_titles", (32, 32)),
        ("modelfree_extra_chunks", (32, 32)),
        ("modelfree_float_and_bool_coercion", (48, 48)),
        ("save_image_advanced_16bit", (40, 40)),
    ],
)
def test_a_picture_without_a_sampler_is_not_generated(real: Real, name: str, size: tuple[int, int]) -> None:
    parameters = read_parameters(real(name))
    assert not parameters.generates
    assert not any((parameters.samplers, parameters.prompts, parameters.models))
    assert (parameters.width, parameters.height) == size


@pytest.mark.parametrize(
    ("filename", "node", "certain"),
    [
        ("multi_00001_.png", "9", True),
        ("multi_inv_00001_.png", "21", True),
        ("/data/fx/multi_inv_00012_.png", "21", True),
        (r"C:\out\multi_00003_.png", "9", True),
        ("ComfyUI_temp_abcde_00001_.png", "22", True),
        ("renamed.png", "9", False),
        (None, "9", False),
    ],
)
def test_the_file_name_tells_which_node_saved(real: Real, filename: str | None, node: str, certain: bool) -> None:
    parameters = read_parameters(real("txt2img_two_saves_and_preview"), filename=filename)
    assert (parameters.node, parameters.certain) == (node, certain)
    assert ("several-outputs" in [finding.code for finding in parameters.findings]) == (not certain)


@pytest.mark.parametrize(
    ("prefix", "filename", "fits"),
    [
        ("a/%year%-%month%/b_%width%x", "b_512x_00001_.png", True),
        ("%date:yyyy%_x", "2026_x_00001.png", True),
        ("%a%%b%", "anything_00001_.png", True),
        ("x%a%x", "x_00001_.png", False),
        ("x%a%x", "x12x_00001_.png", True),
        ("x%a%y%b%z", "x1y2z_00001_.webp", True),
        ("x", "x_1_.png", False),
    ],
)
def test_tokens_in_a_prefix_stand_for_anything(graph_of: Make, prefix: str, filename: str, fits: bool) -> None:
    graph = graph_of(
        {
            "1": ("EmptyImage", {}),
            "2": ("SaveImage", {"images": ["1", 0], "filename_prefix": "other"}),
            "3": ("SaveImage", {"images": ["1", 0], "filename_prefix": prefix}),
        }
    )
    found = find_saving_output(graph, filename)
    assert found is not None
    assert (found.node, found.certain) == (("3", True) if fits else ("2", False))


def test_a_literal_behind_primitives_is_followed(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["3"][1].update(seed=["20", 0], steps=["21", 0], cfg=["22", 0])
    txt2img["20"] = ("Seed (rgthree)", {"seed": 2**63})
    txt2img["21"] = ("Reroute", {"": ["23", 0]})
    txt2img["22"] = ("MathExpression", {"a": ["23", 0], "b": 2, "expression": "a*b"})
    txt2img["23"] = ("PrimitiveInt", {"value": 33})
    (sampler,) = read_parameters(graph_of(txt2img)).samplers
    assert (sampler.seed, sampler.steps) == (2**63, 33)
    assert sampler.cfg is None  # computed: not known, never guessed


@pytest.mark.parametrize(
    ("inputs", "seed"),
    [({"seed": -1}, None), ({"seed": 2**64}, None), ({"seed": "12"}, 12), ({"seed": 5.0}, 5), ({"seed": True}, None)],
)
def test_a_seed_is_whole_and_in_range_or_unknown(
    graph_of: Make, txt2img: dict[str, Any], inputs: dict[str, Any], seed: int | None
) -> None:
    txt2img["3"][1].update(inputs)
    assert read_parameters(graph_of(txt2img)).samplers[0].seed == seed


def test_a_sampler_that_adds_no_noise_uses_no_seed(graph_of: Make, txt2img: dict[str, Any]) -> None:
    inputs = txt2img["3"][1]
    del inputs["seed"], inputs["denoise"]
    refiner = inputs | {"noise_seed": 6, "add_noise": "disable", "latent_image": ["3", 0], "start_at_step": 10}
    txt2img["3"] = ("KSamplerAdvanced", inputs | {"noise_seed": 5, "add_noise": "enable", "end_at_step": 10})
    txt2img["10"] = ("KSamplerAdvanced", refiner)
    txt2img["8"][1]["samples"] = ["10", 0]
    samplers = read_parameters(graph_of(txt2img)).samplers
    assert [(use.node, use.seed, use.final) for use in samplers] == [("3", 5, False), ("10", None, True)]


def test_sampler_custom_hands_its_settings_in_by_links(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["3"] = (
        "SamplerCustom",
        {
            "add_noise": True, "noise_seed": 9, "cfg": 3.5, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0],
            "sampler": ["20", 0], "sigmas": ["22", 0], "latent_image": ["5", 0],
        },
    )  # fmt: skip
    txt2img["20"] = ("SamplerEulerAncestral", {"eta": 1.0})
    txt2img["21"] = ("BasicScheduler", {"scheduler": "karras", "steps": 12, "denoise": 0.5, "model": ["4", 0]})
    txt2img["22"] = ("SplitSigmas", {"sigmas": ["21", 0], "step": 4})
    (sampler,) = read_parameters(graph_of(txt2img)).samplers
    assert (sampler.seed, sampler.cfg, sampler.sampler, sampler.scheduler, sampler.steps, sampler.denoise) == (
        9, 3.5, "euler_ancestral", "karras", 12, 0.5,
    )  # fmt: skip


def test_a_basic_guider_gives_a_positive_only(graph_of: Make, txt2img: dict[str, Any]) -> None:
    del txt2img["7"]
    txt2img["3"] = (
        "SamplerCustomAdvanced",
        {"noise": ["20", 0], "guider": ["21", 0], "sampler": ["22", 0], "sigmas": ["23", 0], "latent_image": ["5", 0]},
    )
    txt2img["20"] = ("RandomNoise", {"noise_seed": 2**64 - 1})
    txt2img["21"] = ("BasicGuider", {"model": ["4", 0], "conditioning": ["24", 0]})
    txt2img["22"] = ("KSamplerSelect", {"sampler_name": "euler"})
    txt2img["23"] = ("BasicScheduler", {"scheduler": "simple", "steps": 4, "denoise": 1.0, "model": ["4", 0]})
    txt2img["24"] = ("FluxGuidance", {"guidance": 3.5, "conditioning": ["6", 0]})
    parameters = read_parameters(graph_of(txt2img))
    assert texts(parameters, Polarity.POSITIVE) == ["a red fox"]
    assert texts(parameters, Polarity.NEGATIVE) == []
    assert parameters.samplers[0].seed == 2**64 - 1
    assert parameters.samplers[0].cfg is None


def test_polarity_is_kept_through_nodes_that_take_both(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = (
        "ControlNetApplyAdvanced",
        {"positive": ["6", 0], "negative": ["7", 0], "control_net": ["21", 0], "image": ["22", 0], "strength": 1.0},
    )
    txt2img["21"] = ("ControlNetLoader", {"control_net_name": "canny.pth"})
    txt2img["22"] = ("LoadImage", {"image": "pose.png"})
    txt2img["3"][1].update(positive=["20", 0], negative=["20", 1])
    parameters = read_parameters(graph_of(txt2img))
    assert texts(parameters, Polarity.POSITIVE) == ["a red fox"]
    assert texts(parameters, Polarity.NEGATIVE) == ["blurry"]
    assert ("controlnet", "canny.pth", None, None) in models(parameters)
    assert [use.name for use in parameters.inputs] == ["pose.png"]


def test_combined_conditionings_give_all_their_texts(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("CLIPTextEncode", {"text": "in snow", "clip": ["4", 1]})
    txt2img["21"] = ("ConditioningCombine", {"conditioning_1": ["6", 0], "conditioning_2": ["20", 0]})
    txt2img["22"] = ("ConditioningZeroOut", {"conditioning": ["7", 0]})
    txt2img["3"][1].update(positive=["21", 0], negative=["22", 0])
    parameters = read_parameters(graph_of(txt2img))
    assert texts(parameters, Polarity.POSITIVE) == ["a red fox", "in snow"]
    assert texts(parameters, Polarity.NEGATIVE) == []


def test_a_text_joined_from_nodes_is_one_text(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["6"][1]["text"] = ["20", 0]
    txt2img["20"] = ("StringConcatenate", {"string_a": ["21", 0], "string_b": "in snow", "delimiter": ", "})
    txt2img["21"] = ("PrimitiveString", {"value": "a red fox"})
    parameters = read_parameters(graph_of(txt2img))
    (use, _) = parameters.prompts
    assert (use.node, use.input, use.text, use.is_template) == ("6", "text", "a red fox, in snow", False)


def test_a_text_made_at_run_time_is_a_template(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["6"][1]["text"] = ["20", 0]
    txt2img["20"] = ("Text Random Line", {"text": "fox\ncat", "seed": 3})
    (use, _) = read_parameters(graph_of(txt2img)).prompts
    assert (use.text, use.is_template) == ("fox\ncat", True)


def test_texts_that_double_at_every_node_come_to_an_end(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["6"][1]["text"] = ["t60", 0]
    txt2img["t0"] = ("PrimitiveString", {"value": "fox"})
    for number in range(1, 61):
        source = [f"t{number - 1}", 0]
        txt2img[f"t{number}"] = ("StringConcatenate", {"string_a": source, "string_b": source, "delimiter": " "})
    parameters = read_parameters(graph_of(txt2img))
    assert [finding.code for finding in parameters.findings] == ["prompt-not-whole"]
    assert texts(parameters, Polarity.NEGATIVE) == ["blurry"]


def test_models_are_found_by_table_by_ending_and_in_texts(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["6"][1]["text"] = "a fox, (embedding:nice_style:1.2) <lora:ignored:1>"
    txt2img["10"] = (
        "Power Lora Loader (rgthree)",
        {
            "lora_1": {"on": True, "lora": "a.safetensors", "strength": 0.5, "strengthTwo": 0.25},
            "lora_2": {"on": False, "lora": "off.safetensors", "strength": 1},
            "model": ["11", 0], "clip": ["4", 1],
        },
    )  # fmt: skip
    txt2img["11"] = ("StrangeThing", {"model": ["12", 0], "motion_file": "m.ckpt", "mode": "none"})
    txt2img["12"] = ("CR LoRA Stack", {"switch_1": "On", "lora_name_1": "on.safetensors", "model_weight_1": 0.7,
        "clip_weight_1": 0.6, "switch_2": "Off", "lora_name_2": "no.safetensors", "lora_name_3": "None"})  # fmt: skip
    txt2img["3"][1]["model"] = ["10", 0]
    found = read_parameters(graph_of(txt2img)).models
    assert {(use.role, use.name, use.strength_model, use.strength_clip, use.evidence) for use in found} == {
        ("checkpoints", "base.safetensors", None, None, "table"),
        ("loras", "a.safetensors", 0.5, 0.25, "table"),
        ("loras", "on.safetensors", 0.7, 0.6, "table"),
        ("animatediff_models", "m.ckpt", None, None, "heuristic"),
        ("embeddings", "nice_style", None, None, "text"),
    }


def test_only_ancestors_of_the_saving_node_count(real: Real) -> None:
    assert models(read_parameters(real("txt2img_orphan_lora"))) == [CHECKPOINT]


def test_a_sampler_that_only_steers_does_not_lend_its_prompt(graph_of: Make, txt2img: dict[str, Any]) -> None:
    guide = copy.deepcopy(txt2img["3"])
    guide[1].update(seed=1, positive=["30", 0])
    txt2img["30"] = ("CLIPTextEncode", {"text": "a pose", "clip": ["4", 1]})
    txt2img["31"] = guide
    txt2img["32"] = ("VAEDecode", {"samples": ["31", 0], "vae": ["4", 2]})
    txt2img["33"] = ("ControlNetApply", {"conditioning": ["6", 0], "image": ["32", 0], "control_net": ["34", 0]})
    txt2img["34"] = ("ControlNetLoader", {"control_net_name": "pose.pth"})
    txt2img["3"][1]["positive"] = ["33", 0]
    parameters = read_parameters(graph_of(txt2img))
    assert [(use.seed, use.final) for use in parameters.samplers] == [(1, False), (42, True)]
    assert texts(parameters, Polarity.POSITIVE) == ["a red fox"]


CLASSES = (
    "KSampler", "SamplerCustomAdvanced", "CLIPTextEncode", "StringConcatenate", "LoraLoader", "SaveImage", "PreviewImage",
    "Context (rgthree)", "ComfySwitchNode", "BasicGuider", "FaceDetailer", "LoadImage", "Reroute", "ImpactWildcardProcessor",
    "Any Switch (rgthree)", "ImpactSwitch", "Text Input Switch", "Efficient Loader", "easy preSampling", "easy kSampler",
    "LoRA Stacker", "Mystery", "VHS_VideoCombine", "Text Find and Replace",
)  # fmt: skip
NAMES = (
    "positive", "negative", "model", "seed", "steps", "text", "guider", "sigmas", "switch", "on_true", "on_false", "lora_1",
    "lora_name", "latent_image", "images", "base_ctx", "width", "height", "filename_prefix", "string_a", "populated_text", "",
    "select", "input1", "input2", "any_01", "pipe", "lora_count", "lora_name_1", "toggle", "image_output", "conditioning",
    "boolean", "text_a", "text_b", "resolution", "noise", "add_noise", "sampler_name", "loras", "negative_prompt",
)  # fmt: skip


@st.composite
def strange_prompts(draw: st.DrawFn) -> dict[str, Any]:
    literal = st.one_of(
        st.none(), st.booleans(), st.integers(-1, 2**70), st.floats(), st.text(max_size=8), st.just("a.safetensors")
    )
    nested = st.recursive(
        literal,
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("lora", "on", "__value__")), inner)
        ),
    )
    ids = [str(number) for number in range(draw(st.integers(1, 7)))]
    link = st.tuples(st.sampled_from(ids), st.integers(0, 2)).map(list)
    inputs = st.dictionaries(st.sampled_from(NAMES), link | nested, max_size=5)
    return {id_: {"class_type": draw(st.sampled_from(CLASSES)), "inputs": draw(inputs)} for id_ in ids}


@given(strange_prompts())
@settings(max_examples=tries(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_graph_holds_is_read_without_an_error(prompt: dict[str, Any]) -> None:
    graph, findings = parse_graph(json.dumps(prompt).encode())
    if graph is None:
        assert findings
        return
    parameters = read_parameters(graph, filename="x_00001_.png")
    assert all(use.seed is None or 0 <= use.seed < 2**64 for use in parameters.samplers)
    assert sum(use.final for use in parameters.samplers) <= 1
    prepare_graph(graph)
    assert diff_graphs(graph, graph).same


def test_a_graph_of_nothing_known_says_nothing(graph_of: Make) -> None:
    parameters = read_parameters(graph_of({"1": ("Mystery", {"a": 1})}))
    assert parameters.node == "1"
    assert not parameters.generates
    assert not any((parameters.samplers, parameters.prompts, parameters.models, parameters.inputs))
