"""Graphs as packs of nodes make them: switches, pipes, stacks, video, and classes that no table knows."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from memoryd.comfyui.specs import NodeSpecs
from memoryd.plugin_api.facts import Confidence
from memoryd.workflows.facts import Graph, Parameters, Polarity, Source
from memoryd.workflows.parameters import read_parameters
from memoryd.workflows.saving_output import find_saving_output

Make = Callable[[dict[str, Any]], Graph]


def texts(parameters: Parameters, polarity: Polarity = Polarity.POSITIVE) -> list[str]:
    return [use.text for use in parameters.prompts if use.polarity is polarity]


def names(parameters: Parameters, role: str) -> list[str]:
    return [use.name for use in parameters.models if use.role == role]


@pytest.mark.parametrize(
    ("switch", "text"),
    [
        (("ComfySwitchNode", {"switch": ["31", 0], "on_true": ["20", 0], "on_false": ["21", 0]}), "yes"),
        (("ImpactSwitch", {"select": 2, "input1": ["20", 0], "input2": ["21", 0], "sel_mode": False}), "no"),
        (("CR Text Input Switch", {"Input": 1, "text1": ["20", 0], "text2": ["21", 0]}), "yes"),
        (("Any Switch (rgthree)", {"any_02": ["21", 0], "any_03": ["20", 0]}), "no"),
        (("easy anythingIndexSwitch", {"index": 1, "value0": ["20", 0], "value1": ["21", 0]}), "no"),
        (("Text Input Switch", {"text_a": ["20", 0], "text_b": ["21", 0], "boolean": ["31", 0]}), "yes"),
        (("ImpactConditionalBranch", {"cond": False, "tt_value": ["20", 0], "ff_value": ["21", 0]}), "no"),
        (("easy ifElse", {"boolean": True, "on_true": ["20", 0], "on_false": ["21", 0]}), "yes"),
    ],
)
def test_of_a_switch_the_branch_that_is_let_through_counts(
    graph_of: Make, txt2img: dict[str, Any], switch: tuple[str, dict[str, Any]], text: str
) -> None:
    txt2img["20"] = ("PrimitiveString", {"value": "yes"})
    txt2img["21"] = ("PrimitiveString", {"value": "no"})
    txt2img["31"] = ("PrimitiveBoolean", {"value": True})
    txt2img["30"] = switch
    txt2img["6"][1]["text"] = ["30", 0]
    use = next(use for use in read_parameters(graph_of(txt2img)).prompts if use.polarity is Polarity.POSITIVE)
    assert (use.text, use.confidence) == (text, Confidence.HIGH)


def test_a_switch_whose_position_is_not_known_leaves_all_texts_as_guesses(
    graph_of: Make, txt2img: dict[str, Any]
) -> None:
    txt2img["20"] = ("CLIPTextEncode", {"text": "by day", "clip": ["4", 1]})
    txt2img["31"] = ("MathExpression", {"a": 1, "b": 2, "expression": "a>b"})
    txt2img["30"] = ("ComfySwitchNode", {"switch": ["31", 0], "on_true": ["6", 0], "on_false": ["20", 0]})
    txt2img["3"][1]["positive"] = ["30", 0]
    found = [use for use in read_parameters(graph_of(txt2img)).prompts if use.polarity is Polarity.POSITIVE]
    assert {use.text for use in found} == {"a red fox", "by day"}
    assert {use.confidence for use in found} == {Confidence.LOW}


def test_what_a_switch_did_not_let_through_says_nothing(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("LoraLoaderModelOnly", {"lora_name": "fast.safetensors", "strength_model": 1.0, "model": ["4", 0]})
    txt2img["30"] = ("ComfySwitchNode", {"switch": False, "on_true": ["20", 0], "on_false": ["4", 0]})
    txt2img["3"][1]["model"] = ["30", 0]
    parameters = read_parameters(graph_of(txt2img))
    assert names(parameters, "loras") == []
    assert parameters.rest_of_run is None


def test_a_pipe_carries_prompts_and_seed_to_the_sampler(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("ToBasicPipe", {"model": ["4", 0], "clip": ["4", 1], "vae": ["4", 2], "positive": ["6", 0],
                                     "negative": ["7", 0]})  # fmt: skip
    txt2img["21"] = ("FromBasicPipe", {"basic_pipe": ["20", 0]})
    txt2img["22"] = ("Context (rgthree)", {"seed": 77})
    txt2img["23"] = ("Context Big (rgthree)", {"base_ctx": ["22", 0], "steps": 31})
    txt2img["3"][1].update(positive=["21", 3], negative=["21", 4], seed=["23", 8], steps=["23", 9])
    parameters = read_parameters(graph_of(txt2img))
    assert (texts(parameters), texts(parameters, Polarity.NEGATIVE)) == (["a red fox"], ["blurry"])
    assert (parameters.samplers[0].seed, parameters.samplers[0].steps) == (77, 31)


def test_a_sampler_that_takes_one_pipe_is_read_through_it(graph_of: Make) -> None:
    parameters = read_parameters(
        graph_of(
            {
                "1": (
                    "easy fullLoader",
                    {
                        "ckpt_name": "m.safetensors",
                        "vae_name": "Baked VAE",
                        "lora_name": "None",
                        "resolution": "832 x 1216",
                        "positive": "a fox",
                        "positive_weight_interpretation": "A1111",
                        "positive_token_normalization": "none",
                        "negative": "blurry",
                        "batch_size": 1,
                    },
                ),
                "2": (
                    "easy preSampling",
                    {
                        "pipe": ["1", 0],
                        "steps": 22,
                        "cfg": 5.5,
                        "sampler_name": "euler",
                        "scheduler": "karras",
                        "denoise": 1.0,
                        "seed": 99,
                    },
                ),
                "3": ("easy kSampler", {"pipe": ["2", 0], "image_output": "Hide", "save_prefix": "x"}),
                "4": ("SaveImage", {"images": ["3", 1], "filename_prefix": "x"}),
            }
        )
    )
    (sampler,) = parameters.samplers
    assert (sampler.seed, sampler.steps, sampler.cfg, sampler.sampler, sampler.scheduler) == (
        99,
        22,
        5.5,
        "euler",
        "karras",
    )
    assert (texts(parameters), texts(parameters, Polarity.NEGATIVE)) == (["a fox"], ["blurry"])
    assert [(use.role, use.name) for use in parameters.models] == [("checkpoints", "m.safetensors")]
    assert (parameters.width, parameters.height) == (832, 1216)


def test_a_context_without_prompts_hands_on_those_of_the_one_before(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("Context (rgthree)", {"positive": ["6", 0], "negative": ["7", 0]})
    txt2img["21"] = ("Context (rgthree)", {"base_ctx": ["20", 0], "latent": ["5", 0]})
    txt2img["3"][1].update(positive=["21", 4], negative=["21", 5])
    parameters = read_parameters(graph_of(txt2img))
    assert (texts(parameters), texts(parameters, Polarity.NEGATIVE)) == (["a red fox"], ["blurry"])


def test_settings_that_travel_in_a_stream_are_the_pass_where_nothing_is_called_a_sampler(graph_of: Make) -> None:
    parameters = read_parameters(
        graph_of(
            {
                "1": ("StreamPrompts", {"main_prompt": "a ghost", "negative_main_prompt": "mud"}),
                "2": ("StreamModels", {"base_checkpoint": "base.safetensors", "data": ["1", 0]}),
                "3": (
                    "StreamParameters",
                    {
                        "seed": 5,
                        "steps": 30,
                        "cfg": 7,
                        "sampler_preset": "1 - DPM++ 2M Karras",
                        "sampler_name": "euler",
                        "scheduler": "normal",
                        "data": ["2", 0],
                    },
                ),
                "4": ("StreamStage", {"stage": "sampling", "data": ["3", 0]}),
                "5": ("StreamPreview", {"images": ["4", 0]}),
            }
        )
    )
    (sampler,) = parameters.samplers
    assert (sampler.seed, sampler.steps, sampler.cfg, sampler.sampler) == (5, 30, 7.0, "DPM++ 2M Karras")
    assert sampler.confidence is Confidence.MEDIUM
    assert (texts(parameters), texts(parameters, Polarity.NEGATIVE)) == (["a ghost"], ["mud"])
    assert names(parameters, "checkpoints") == ["base.safetensors"]


def test_a_video_model_is_read_with_all_its_files(graph_of: Make) -> None:
    parameters = read_parameters(
        graph_of(
            {
                "1": (
                    "WanVideoModelLoader",
                    {"model": "wan_14B.safetensors", "quantization": "disabled", "lora": ["2", 0]},
                ),
                "2": ("WanVideoLoraSelect", {"lora": "WanVideo\\motion.safetensors", "strength": 0.7}),
                "3": ("LoadWanVideoT5TextEncoder", {"model_name": "umt5.safetensors"}),
                "4": ("WanVideoTextEncode", {"positive_prompt": "a walk", "negative_prompt": "static", "t5": ["3", 0]}),
                "5": ("WanVideoEmptyEmbeds", {"width": 832, "height": 480, "num_frames": 81}),
                "6": (
                    "WanVideoSampler",
                    {
                        "model": ["1", 0],
                        "text_embeds": ["4", 0],
                        "image_embeds": ["5", 0],
                        "steps": 6,
                        "cfg": 1.0,
                        "shift": 5.0,
                        "seed": 11,
                        "scheduler": "unipc",
                    },
                ),
                "7": ("WanVideoDecode", {"samples": ["6", 0], "vae": ["8", 0]}),
                "8": ("WanVideoVAELoader", {"model_name": "wan_vae.safetensors"}),
                "9": ("VHS_VideoCombine", {"images": ["7", 0], "filename_prefix": "Wan", "frame_rate": 16}),
            }
        ),
        filename="Wan_00001.mp4",
    )
    (sampler,) = parameters.samplers
    assert (sampler.seed, sampler.steps, sampler.sampler, sampler.confidence) == (11, 6, "unipc", Confidence.HIGH)
    assert (texts(parameters), texts(parameters, Polarity.NEGATIVE)) == (["a walk"], ["static"])
    assert {(use.role, use.name) for use in parameters.models} == {
        ("diffusion_models", "wan_14B.safetensors"), ("loras", "WanVideo\\motion.safetensors"),
        ("text_encoders", "umt5.safetensors"), ("vae", "wan_vae.safetensors"),
    }  # fmt: skip
    assert (parameters.width, parameters.height) == (832, 480)


def test_one_text_of_a_sampler_without_sides_is_no_negative(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("FilmTextEncode", {"prompt": "a film", "text_encoders": ["4", 1]})
    txt2img["3"] = ("FilmSampler", {"model": ["4", 0], "film_embeds": ["20", 0], "seed": 1, "steps": 2})
    parameters = read_parameters(graph_of(txt2img))
    assert (texts(parameters), texts(parameters, Polarity.NEGATIVE)) == (["a film"], [])


def test_a_class_that_nobody_knows_is_read_by_rules_and_said_to_be(graph_of: Make) -> None:
    parameters = read_parameters(
        graph_of(
            {
                "1": ("Zorg Model Picker", {"zorg_unet": "zorg\\big.gguf", "zorg_lora_file": "style.safetensors"}),
                "2": (
                    "Zorg Render",
                    {
                        "zorg_model": ["1", 0],
                        "zorg_prompt": "a fox",
                        "zorg_negative_prompt": "mud",
                        "seed": 3,
                        "steps": 9,
                        "model": ["1", 0],
                    },
                ),
                "3": ("Zorg Writer", {"pictures": ["2", 0], "file_name": "zorg"}),
            }
        )
    )
    assert parameters.node == "3"
    (sampler,) = parameters.samplers
    assert (sampler.seed, sampler.steps, sampler.confidence) == (3, 9, Confidence.MEDIUM)
    assert (texts(parameters), texts(parameters, Polarity.NEGATIVE)) == (["a fox"], ["mud"])
    assert [(use.role, use.name, use.evidence, use.confidence) for use in parameters.models] == [
        ("diffusion_models", "zorg\\big.gguf", "heuristic", Confidence.MEDIUM),
        ("loras", "style.safetensors", "heuristic", Confidence.MEDIUM),
    ]


def test_the_lists_of_a_server_tell_the_folder_of_an_unknown_loader(graph_of: Make, txt2img: dict[str, Any]) -> None:
    def listed(*options: str) -> dict[str, Any]:
        return {"input": {"required": {"ckpt_name": [list(options)], "zorg_thing": [list(options)]}}, "output": []}

    specs = NodeSpecs({"CheckpointLoaderSimple": listed("base.safetensors", "z.safetensors"),
                       "ZorgLoader": listed("base.safetensors", "z.safetensors")})  # fmt: skip
    txt2img["4"] = ("ZorgLoader", {"zorg_thing": "z.safetensors"})
    (model,) = read_parameters(graph_of(txt2img), specs=specs).models
    assert (model.role, model.evidence, model.confidence) == ("checkpoints", "object_info", Confidence.HIGH)


@pytest.mark.parametrize(
    ("stack", "used"),
    [
        ({"lora_count": 1, "lora_name_1": "a.ckpt", "lora_name_2": "b.ckpt", "lora_wt_1": 0.5}, ["a.ckpt"]),
        ({"toggle": False, "num_loras": 1, "lora_1_name": "a.safetensors"}, []),
        ({"lora_01": "a.safetensors", "strength_01": 0.3, "lora_02": "None"}, ["a.safetensors"]),
        ({"switch_1": "Off", "lora_name_1": "a.safetensors", "switch_2": "On", "lora_name_2": "b"}, ["b"]),
        ({"loras": {"__value__": [{"name": "a", "strength": 0.5, "active": True}, {"name": "b", "active": False}]}}, ["a"]),
        ({"lora_1": {"on": True, "lora": "a.ckpt", "strength": 0.5}, "lora_2": {"on": False, "lora": "b"}}, ["a.ckpt"]),
        ({"lora_name": "urn:air:sdxl:lora:civitai:1@2"}, ["urn:air:sdxl:lora:civitai:1@2"]),
    ],
)  # fmt: skip
def test_of_a_stack_the_loras_that_are_on_count(
    graph_of: Make, txt2img: dict[str, Any], stack: dict[str, Any], used: list[str]
) -> None:
    txt2img["20"] = ("Some LoRA Stack", stack)
    txt2img["21"] = ("Apply LoRA Stack", {"model": ["4", 0], "lora_stack": ["20", 0]})
    txt2img["3"][1]["model"] = ["21", 0]
    assert names(read_parameters(graph_of(txt2img)), "loras") == used


def test_a_civitai_name_is_kept_and_known_as_one(graph_of: Make, txt2img: dict[str, Any]) -> None:
    air = "urn:air:sdxl:checkpoint:civitai:827184@2514310"
    txt2img["4"][1]["ckpt_name"] = air
    (model,) = read_parameters(graph_of(txt2img)).models
    assert (model.role, model.name, model.air) == ("checkpoints", air, air)


def test_a_model_that_is_handed_on_is_told_of_once(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("UpscaleModelLoader", {"model_name": "4x.pth"})
    txt2img["21"] = ("ImageUpscaleWithModel", {"upscale_model": ["20", 0], "image": ["8", 0]})
    txt2img["9"][1]["images"] = ["21", 0]
    assert names(read_parameters(graph_of(txt2img)), "upscale_models") == ["4x.pth"]


def test_what_a_saver_is_told_to_write_is_a_guess(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["9"] = ("Save Image w/Metadata", {"images": ["8", 0], "modelname": "other.safetensors", "seed_value": 0,
                    "positive": "unknown", "steps": 1, "width": 1, "height": 1})  # fmt: skip
    parameters = read_parameters(graph_of(txt2img))
    assert (parameters.width, parameters.height) == (512, 768)
    assert [(use.role, use.confidence) for use in parameters.models] == [
        ("checkpoints", Confidence.HIGH), ("unknown", Confidence.LOW),
    ]  # fmt: skip
    assert texts(parameters) == ["a red fox"]
    assert [use.seed for use in parameters.samplers] == [42]


def test_sigmas_that_are_typed_in_count_the_steps(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["3"] = (
        "SamplerCustomAdvanced",
        {"noise": ["20", 0], "guider": ["21", 0], "sampler": ["22", 0], "sigmas": ["23", 0], "latent_image": ["5", 0]},
    )
    txt2img["20"] = ("DisableNoise", {})
    txt2img["21"] = ("CFGGuider", {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "cfg": 3.0})
    txt2img["22"] = ("KSamplerSelect", {"sampler_name": "lcm"})
    txt2img["23"] = ("ManualSigmas", {"sigmas": "1.0, 0.75, 0.5, 0.25, 0.0"})
    (sampler,) = read_parameters(graph_of(txt2img)).samplers
    assert (sampler.seed, sampler.steps, sampler.cfg, sampler.sampler) == (None, 4, 3.0, "lcm")


def test_a_text_out_of_a_picture_is_not_invented(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("SDPromptReader", {"image": "old.png", "parameter_index": "image"})
    txt2img["6"][1]["text"] = ["20", 2]
    assert texts(read_parameters(graph_of(txt2img))) == []


def test_texts_that_a_node_shows_and_replaces_are_templates(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("Text Find and Replace", {"text": "a __kind__ fox", "find": "__kind__", "replace": "red"})
    txt2img["21"] = ("ShowText|pysssss", {"text": ["20", 0], "text_0": "what was shown the last time"})
    txt2img["6"][1]["text"] = ["21", 0]
    (use, _) = read_parameters(graph_of(txt2img)).prompts
    assert (use.text, use.is_template) == ("a __kind__ fox", True)


def test_of_wildcards_only_what_they_became_counts(graph_of: Make, txt2img: dict[str, Any]) -> None:
    wildcards = {
        "wildcard_text": "a {fox|cat} <lora:cat:1>",
        "populated_text": "a fox <lora:fox:0.5>",
        "mode": "populate",
    }
    txt2img["6"] = ("ImpactWildcardEncode", {**wildcards, "Select to add LoRA": "Select the LoRA to add to the text"})
    parameters = read_parameters(graph_of(txt2img))
    use = next(use for use in parameters.prompts if use.polarity is Polarity.POSITIVE)
    assert (use.text, use.is_template) == ("a fox <lora:fox:0.5>", False)
    assert names(parameters, "loras") == ["fox"]


def test_regions_are_followed_whatever_they_are_called(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("CLIPTextEncode", {"text": "a campus", "clip": ["4", 1]})
    txt2img["21"] = (
        "Regional",
        {"mask_type": "boolean", "conditioning_masked": ["6", 0], "conditioning_unmasked": ["20", 0]},
    )
    txt2img["3"][1]["positive"] = ["21", 0]
    assert texts(read_parameters(graph_of(txt2img))) == ["a red fox", "a campus"]


def test_what_an_algorithm_draws_is_no_seed_of_the_picture(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["3"] = (
        "SamplerCustomAdvanced",
        {"noise": ["20", 0], "guider": ["21", 0], "sampler": ["22", 0], "sigmas": ["23", 0], "latent_image": ["5", 0]},
    )
    txt2img["20"] = ("RandomNoise", {"noise_seed": ["24", 0]})
    txt2img["21"] = ("BasicGuider", {"model": ["4", 0], "conditioning": ["6", 0]})
    txt2img["22"] = ("StrangeSampler", {"seed": 5})
    txt2img["23"] = ("BasicScheduler", {"scheduler": "simple", "steps": 4, "denoise": 1.0, "model": ["4", 0]})
    txt2img["24"] = ("easy seed", {"seed": 2**60})
    (sampler,) = read_parameters(graph_of(txt2img)).samplers
    assert sampler.seed == 2**60


def test_a_detail_pass_is_a_pass_of_its_own(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("FaceDetailer", {"image": ["8", 0], "model": ["4", 0], "clip": ["4", 1], "vae": ["4", 2],
                     "positive": ["6", 0], "negative": ["7", 0], "bbox_detector": ["21", 0], "seed": 8, "steps": 10, "cfg": 6,
                     "sampler_name": "euler", "scheduler": "normal", "denoise": 0.4, "wildcard": ""})  # fmt: skip
    txt2img["21"] = ("UltralyticsDetectorProvider", {"model_name": "bbox/face.pt"})
    txt2img["9"][1]["images"] = ["20", 0]
    parameters = read_parameters(graph_of(txt2img))
    assert [(use.seed, use.final) for use in parameters.samplers] == [(42, False), (8, True)]
    assert names(parameters, "ultralytics") == ["bbox/face.pt"]
    assert texts(parameters) == ["a red fox"]


def test_what_the_run_made_beside_the_picture_is_told_apart(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = copy.deepcopy(txt2img["3"])
    txt2img["20"][1].update(seed=43, model=["21", 0])
    txt2img["21"] = ("LoraLoaderModelOnly", {"lora_name": "try.safetensors", "strength_model": 1.0, "model": ["4", 0]})
    txt2img["22"] = ("VAEDecode", {"samples": ["20", 0], "vae": ["4", 2]})
    txt2img["23"] = ("PreviewImage", {"images": ["22", 0]})
    parameters = read_parameters(graph_of(txt2img))
    assert [use.seed for use in parameters.samplers] == [42]
    assert names(parameters, "loras") == []
    assert parameters.rest_of_run is not None
    assert [use.seed for use in parameters.rest_of_run.samplers] == [43]
    assert names(parameters.rest_of_run, "loras") == ["try.safetensors"]


def test_where_the_file_may_be_of_several_outputs_what_they_do_not_share_is_less_sure(
    graph_of: Make, txt2img: dict[str, Any]
) -> None:
    txt2img["20"] = copy.deepcopy(txt2img["3"])
    txt2img["20"][1].update(seed=43, latent_image=["3", 0])
    txt2img["21"] = ("VAEDecode", {"samples": ["20", 0], "vae": ["4", 2]})
    txt2img["22"] = ("SaveImage", {"images": ["21", 0], "filename_prefix": "fox"})
    parameters = read_parameters(graph_of(txt2img), filename="renamed.png")
    assert (parameters.node, parameters.certain) == ("22", False)  # it came through most passes
    assert [(use.seed, use.confidence) for use in parameters.samplers] == [
        (42, Confidence.HIGH),
        (43, Confidence.MEDIUM),
    ]


def test_no_fact_of_a_drawn_graph_is_surer_than_medium(graph_of: Make, txt2img: dict[str, Any]) -> None:
    parameters = read_parameters(graph_of(txt2img), source=Source.EDITOR)
    for uses in (parameters.samplers, parameters.prompts, parameters.models):
        assert uses
        assert {(use.source, use.confidence) for use in uses} == {(Source.EDITOR, Confidence.MEDIUM)}


@pytest.mark.parametrize(
    ("filename", "node"),
    [("clip_00001.mp4", "2"), ("clip_00001-audio.mp4", "2"), ("clip_00001_.png", "3"), ("song_00001_.flac", "4")],
)
def test_the_kind_of_a_file_tells_which_node_wrote_it(graph_of: Make, filename: str, node: str) -> None:
    graph = graph_of(
        {
            "1": ("EmptyImage", {}),
            "2": ("VHS_VideoCombine", {"images": ["1", 0], "filename_prefix": "clip"}),
            "3": ("SaveImage", {"images": ["1", 0], "filename_prefix": "clip"}),
            "4": ("SaveAudio", {"audio": ["1", 0], "filename_prefix": "song"}),
        }
    )
    found = find_saving_output(graph, filename)
    assert found is not None
    assert (found.node, found.certain) == (node, True)


@pytest.mark.parametrize(
    ("prefix", "filename"),
    [
        ("%Y-%m-%d_fox", "2026-11-21_fox_00001_.png"),
        ("[time(%Y-%m-%d)]_fox", "2026-11-21_fox_0001.png"),
        ("{seed}_fox", "42_fox.png"),
        ("out/%date:yyyy-MM-dd%/fox_%KSampler.seed%", "fox_42_00001_.png"),
    ],
)
def test_dates_and_numbers_in_a_prefix_are_filled_in(graph_of: Make, prefix: str, filename: str) -> None:
    graph = graph_of(
        {
            "1": ("EmptyImage", {}),
            "2": ("SaveImage", {"images": ["1", 0], "filename_prefix": "other"}),
            "3": ("SaveImage", {"images": ["1", 0], "filename_prefix": prefix}),
        }
    )
    found = find_saving_output(graph, filename)
    assert found is not None
    assert (found.node, found.certain) == ("3", True)


def test_loras_in_a_text_count_where_a_loader_reads_it(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["6"][1]["text"] = "a fox <lora:unread:1>"
    txt2img["20"] = ("LoraLoader", {"lora_name": "real.safetensors", "model": ["4", 0], "clip": ["4", 1]})
    txt2img["6"][1]["clip"] = ["20", 1]
    txt2img["3"][1]["model"] = ["20", 0]
    assert names(read_parameters(graph_of(txt2img)), "loras") == ["real.safetensors"]
    txt2img["21"] = ("PrimitiveString", {"value": "a fox <lora:tagged:0.5>"})
    txt2img["20"] = ("LoraTagLoader", {"text": ["21", 0], "model": ["4", 0], "clip": ["4", 1]})
    assert names(read_parameters(graph_of(txt2img)), "loras") == ["tagged"]


def test_of_loras_that_are_typed_and_listed_the_list_says_which_are_on(graph_of: Make, txt2img: dict[str, Any]) -> None:
    rows = [{"name": "kept", "strength": 1, "active": True}, {"name": "left", "strength": 1, "active": False}]
    txt2img["20"] = (
        "Lora Loader (LoraManager)",
        {"text": "<lora:kept:1> <lora:left:1>", "loras": {"__value__": rows}, "model": ["4", 0], "clip": ["4", 1]},
    )
    txt2img["3"][1]["model"] = ["20", 0]
    assert names(read_parameters(graph_of(txt2img)), "loras") == ["kept"]


def test_what_a_helper_calls_its_checkpoint_is_no_model_of_the_picture(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["20"] = ("DepthAnythingV2Preprocessor", {"image": ["8", 0], "ckpt_name": "depth_vitl.pth"})
    txt2img["21"] = ("RIFE VFI", {"frames": ["20", 0], "ckpt_name": "rife47.pth"})
    txt2img["9"][1]["images"] = ["21", 0]
    found = read_parameters(graph_of(txt2img))
    assert (names(found, "annotators"), names(found, "frame_interpolation")) == (["depth_vitl.pth"], ["rife47.pth"])
    assert len(names(found, "checkpoints")) == 1


def test_a_node_that_makes_a_picture_of_a_text_by_itself_is_a_pass(graph_of: Make) -> None:
    graph: dict[str, Any] = {
        "1": ("OddModelLoader", {"model_name": "odd/Pro-7B"}),
        "2": ("OddImageGeneration", {"model": ["1", 0], "prompt": "a fox", "seed": 7, "cfg_weight": 5}),
        "3": ("SaveImage", {"images": ["2", 0]}),
    }
    found = read_parameters(graph_of(graph))
    assert (texts(found), [use.seed for use in found.samplers]) == (["a fox"], [7])
    graph["2"] = ("OddTxt2ImgPromptGenerator", graph["2"][1])
    assert read_parameters(graph_of(graph)).samplers == ()


def test_passes_and_their_settings_by_less_usual_names(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["3"] = (
        "OddGenerate",
        {"random_seed": 4, "base_steps": 33, "guidance_scale": 4.5, "sampling_method": "odd", **txt2img["3"][1]},
    )
    for name in ("seed", "steps", "cfg", "sampler_name"):
        del txt2img["3"][1][name]
    (use,) = read_parameters(graph_of(txt2img)).samplers
    assert (use.seed, use.steps, use.cfg, use.sampler) == (4, 33, 4.5, "odd")


def test_words_to_switch_on_and_off_are_joined_as_they_are_switched(graph_of: Make, txt2img: dict[str, Any]) -> None:
    words = [{"text": "inked", "active": True}, {"text": "gothic", "active": False}, {"text": "old", "active": True}]
    loras = [{"name": "ink", "strength": 1, "active": True}]
    txt2img["20"] = ("Lora Loader (LoraManager)", {"text": "<lora:ink:1>", "loras": loras, "model": ["4", 0]})
    txt2img["21"] = ("TriggerWord Toggle (LoraManager)", {"toggle_trigger_words": words, "trigger_words": ["20", 2]})
    txt2img["22"] = ("StringConstantMultiline", {"string": "a fox"})
    txt2img["23"] = ("JoinStrings", {"string1": ["21", 0], "string2": ["22", 0], "delimiter": ", "})
    txt2img["6"][1]["text"] = ["23", 0]
    assert texts(read_parameters(graph_of(txt2img))) == ["inked, old, a fox"]


def test_a_shown_picture_counts_before_one_that_leads_nowhere(graph_of: Make, txt2img: dict[str, Any]) -> None:
    txt2img["9"] = ("PreviewImage", {"images": ["8", 0]})
    txt2img["20"] = ("LoadImage", {"image": "a.png"})
    txt2img["21"] = ("ImageCrop", {"image": ["20", 0], "width": 8, "height": 8})
    found = find_saving_output(graph_of(txt2img), "a.png")
    assert found is not None
    assert (found.node, found.certain) == ("9", True)
