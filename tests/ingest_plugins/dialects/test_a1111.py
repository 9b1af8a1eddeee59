from __future__ import annotations

import pytest

from memoryd.plugin_api.dialect_trials import DialectTrials
from memoryd.plugin_api.facts import Confidence
from memoryd_ingest_plugins.dialects.a1111 import dialect
from memoryd_ingest_plugins.dialects.a1111_text import read_settings_text
from tests.ingest_plugins.dialects.said import comment, names, negative, png, positive, understood

PLAIN = (
    "a lighthouse, <lora:storm:0.8>\nNegative prompt: blurry\n"
    "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 18446744073709551615, Size: 512x768, "
    "Model hash: 6ce0161689, Model: shore_v2, VAE: shore.vae.pt, Clip skip: 2, "
    'Lora hashes: "storm: 7c6bad76eb54", TI hashes: "drawn: 0123456789ab", Version: v1.6.0'
)
HIRES = (
    "a ship\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 6, Seed: 5, Size: 64x64, Model: m, "
    "Denoising strength: 0.4, Hires upscale: 2, Hires steps: 10, Hires upscaler: 4x-sharp, Hires CFG Scale: 3, "
    'ADetailer model: face.pt, ADetailer prompt: "a face, smiling", ADetailer denoising strength: 0.3, '
    "ADetailer model 2nd: hand.pt, ADetailer steps 2nd: 8, Version: f2.0.1v1.10.1-previous-1"
)
CONTROL = (
    "x\nSteps: 4, Sampler: LCM, CFG scale: 1, Seed: 1, Size: 8x8, Model: m, "
    'ControlNet 0: "Module: canny, Model: control_canny [d14c016b], Weight: 0.5, Resize Mode: Crop", '
    "Module 1: ae, Module 2: clip_l, Module 3: t5xxl_fp8, Version: neo"
)
SDNEXT = (
    '{"subject": "a JSON prompt"}\nNegative prompt: dark\nTemplate: {"subject": "__any__"}\n'
    "Steps: 8, Size: 1024x1024, Scheduler: FlowMatch, Seed: 24, CFG scale: 1, App: SD.Next, Version: 5f04d47, "
    "Operations: txt2img, Model: z-image"
)
CIVITAI = (
    "a fox\nNegative prompt: text\n\nSteps: 25, Sampler: Euler a, CFG scale: 5, Seed: 13, Size: 64x64, Clip skip: 2, "
    'Created Date: 2026-01-04T01:27:21.2717070Z, Civitai resources: [{"type":"checkpoint","modelVersionId":1,'
    '"modelName":"Fox, the model"},{"type":"lora","weight":0.7,"modelVersionId":2,"modelName":"Tails"}], Civitai metadata: {}'
)


class TestA1111(DialectTrials):
    dialect = dialect
    spoken = (*(png(parameters=text) for text in (PLAIN, HIRES, CONTROL, SDNEXT, CIVITAI)), comment(PLAIN))


@pytest.mark.parametrize("file", [png(parameters=PLAIN), comment(PLAIN)])
def test_the_settings_line_is_read_in_every_carrier(file: object) -> None:
    recipe = understood(dialect, file)  # type: ignore[arg-type]
    (one,) = recipe.passes
    assert (one.seed, one.steps, one.cfg, one.sampler, one.scheduler) == (
        2**64 - 1,
        20,
        7.0,
        "DPM++ 2M Karras",
        "Karras",
    )
    assert (recipe.width, recipe.height) == (512, 768)
    assert positive(recipe) == ["a lighthouse, <lora:storm:0.8>"]
    assert negative(recipe) == ["blurry"]
    assert (recipe.tool, recipe.tool_version) == ("automatic1111", "v1.6.0")
    assert ("Clip skip", "2") in recipe.settings


def test_models_come_with_their_hashes_and_weights() -> None:
    recipe = understood(dialect, png(parameters=PLAIN))
    told = {model.role: model for model in recipe.models}
    assert (told["checkpoints"].name, told["checkpoints"].claimed_hash) == ("shore_v2", "6ce0161689")
    assert (told["loras"].name, told["loras"].claimed_hash) == ("storm", "7c6bad76eb54")
    assert (told["loras"].strength_model, told["loras"].strength_clip) == (0.8, 0.8)
    assert told["vae"].name == "shore.vae.pt"
    assert (told["embeddings"].name, told["embeddings"].claimed_hash) == ("drawn", "0123456789ab")


def test_hires_and_detail_passes_are_passes_of_their_own() -> None:
    recipe = understood(dialect, png(parameters=HIRES))
    assert [one.place for one in recipe.passes] == ["parameters", "adetailer 1", "adetailer 2", "hires"]
    first, face, hand, last = recipe.passes
    assert (first.denoise, last.denoise, last.steps, last.cfg, last.final) == (None, 0.4, 10, 3.0, True)
    assert (face.denoise, face.seed, hand.steps) == (0.3, None, 8)
    assert positive(recipe) == ["a ship", "a face, smiling"]
    assert names(recipe, "ultralytics") == ["face.pt", "hand.pt"]
    assert names(recipe, "upscale_models") == ["4x-sharp"]
    assert recipe.tool == "forge"


def test_control_units_and_modules_are_models() -> None:
    recipe = understood(dialect, png(parameters=CONTROL))
    (unit,) = (model for model in recipe.models if model.role == "controlnet")
    assert (unit.name, unit.claimed_hash, unit.strength_model) == ("control_canny", "d14c016b", 0.5)
    assert names(recipe, "vae") == ["ae"]
    assert names(recipe, "text_encoders") == ["clip_l", "t5xxl_fp8"]
    assert recipe.tool == "forge-neo"


def test_a_template_line_is_no_part_of_the_negative_prompt_and_a_json_prompt_is_a_prompt() -> None:
    recipe = understood(dialect, png(parameters=SDNEXT))
    assert positive(recipe) == ['{"subject": "a JSON prompt"}']
    assert negative(recipe) == ["dark"]
    assert ("Template", '{"subject": "__any__"}') in recipe.settings
    assert (recipe.tool, recipe.passes[0].sampler, recipe.passes[0].scheduler) == ("sdnext", None, "FlowMatch")


def test_resources_of_the_model_site_are_models_and_its_date_is_the_time_of_making() -> None:
    recipe = understood(dialect, comment(CIVITAI))
    assert names(recipe, "checkpoints") == ["Fox, the model"]
    assert names(recipe, "loras") == ["Tails"]
    assert recipe.tool == "civitai"
    assert recipe.made_at is not None
    assert recipe.made_at.year == 2026
    assert negative(recipe) == ["text"]


def test_the_last_settings_line_counts_and_minus_one_is_unknown() -> None:
    read = read_settings_text("Steps: 5 to heaven\nSteps: 7, a staircase\nSteps: 20, Sampler: Euler, Seed: -1")
    assert read.prompt == "Steps: 5 to heaven\nSteps: 7, a staircase"
    assert understood(dialect, png(parameters="x\nSteps: 2, Sampler: Euler, Seed: -1")).passes[0].seed is None


def test_line_breaks_may_be_lost() -> None:
    recipe = understood(dialect, comment("a cat Negative prompt: dog Steps: 20, Sampler: Euler, Seed: 3, Size: 8x8"))
    assert (positive(recipe), negative(recipe), recipe.passes[0].seed) == (["a cat"], ["dog"], 3)


def test_a_text_without_a_settings_line_is_a_prompt_with_low_confidence_only_under_its_own_key() -> None:
    recipe = understood(dialect, png(parameters="only words"))
    assert recipe.texts[0].confidence is Confidence.LOW
    assert recipe.findings[0].code == "no-settings-line"
    assert dialect.understand(comment("only words")) is None
    assert dialect.understand(comment("Steps: 3 to a better picture")) is None


@pytest.mark.parametrize(
    ("version", "tool"),
    [
        ("v1.10.1", "automatic1111"),
        ("f1.0.0v2-v1.10.1RC-latest-2498", "reforge"),
        ("f2.0.1v1.10.1", "forge"),
        ("classic", "forge-classic"),
        ("neo", "forge-neo"),
        ("ComfyUI", "comfyui"),
    ],
)
def test_the_version_tells_the_tool(version: str, tool: str) -> None:
    assert understood(dialect, png(parameters=f"x\nSteps: 2, Sampler: Euler, Version: {version}")).tool == tool


def test_a_saver_that_was_told_nothing_is_hardly_believed() -> None:
    text = "unknown\nNegative prompt: unknown\nSteps: 20, Sampler: euler_simple, Seed: 0, Version: ComfyUI"
    recipe = understood(dialect, png(parameters=text))
    assert {(said.text, said.confidence) for said in recipe.texts} == {("unknown", Confidence.LOW)}
    assert {one.confidence for one in recipe.passes} == {Confidence.LOW}


def test_a_text_with_a_heading_for_each_prompt_and_a_setting_a_line() -> None:
    text = (
        "Positive prompt:\na stamp, a dog\nNegative prompt:\ncat, photo\nModel: base_1.0\nSeed: 391450666467552\n"
        "Steps: 20\nCFG scale: 7.0\nSampler: dpmpp_sde"
    )
    recipe = understood(dialect, png(parameters=text))
    assert (positive(recipe), negative(recipe)) == (["a stamp, a dog"], ["cat, photo"])
    assert (recipe.passes[0].seed, recipe.passes[0].steps) == (391450666467552, 20)
    without_steps = understood(dialect, png(parameters=text[: text.index("Steps")]))
    assert (negative(without_steps), without_steps.passes[0].seed) == (["cat, photo"], 391450666467552)
    assert [model.name for model in without_steps.models] == ["base_1.0"]


def test_sdnext_names_networks_and_hashes_in_two_lists() -> None:
    text = (
        "a fox\nNegative prompt: \nTemplate: a __animal__\nNegative template: __bad__\nSteps: 4, Seed: 1, App: SD.Next, "
        'LoRA networks: "tails, storm", LoRA hashes: "0123456789, abcdef0123", TE: t5_fp8, Detailer: face-yolo8n, '
        "Detailer steps: 5, Detailer strength: 0.3, Operations: txt2img; detailer, Model: m"
    )
    recipe = understood(dialect, png(parameters=text))
    assert [(m.name, m.claimed_hash) for m in recipe.models if m.role == "loras"] == [
        ("tails", "0123456789"),
        ("storm", "abcdef0123"),
    ]
    assert (negative(recipe), names(recipe, "text_encoders")) == ([], ["t5_fp8"])
    assert [(one.place, one.steps, one.final) for one in recipe.passes] == [
        ("detailer", 5, False),
        ("parameters", 4, True),
    ]


def test_fooocus_says_the_models_own_vae_in_words() -> None:
    text = (
        "x\nSteps: 30, Sampler: DPM++ 2M, Seed: 5, Size: 8x8, Model: m, VAE: Default (model), Version: Fooocus v2.5.5"
    )
    assert names(understood(dialect, png(parameters=text)), "vae") == []


def test_a_service_of_civitai_has_its_seed_in_what_was_sent() -> None:
    text = 'x\nSteps: 0, Sampler: GPT, CFG scale: 0, Seed: -1, Size: 8x8, Civitai metadata: {"seed": 1349613481}'
    assert understood(dialect, png(parameters=text)).passes[0].seed == 1349613481
