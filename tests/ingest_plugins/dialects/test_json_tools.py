from __future__ import annotations

import json

from memoryd.plugin_api.dialect_trials import DialectTrials
from memoryd.plugin_api.facts import Carrier, FileTexts
from memoryd_ingest_plugins.dialects import (
    civitai,
    draw_things,
    easy_diffusion,
    fooocus,
    plain_json,
    stability_matrix,
    swarmui,
    tensorart,
)
from tests.ingest_plugins.dialects.said import as_json, comment, names, negative, png, positive, understood

SWARM = as_json(
    sui_image_params={
        "prompt": "a harbour",
        "negativeprompt": "",
        "model": "shore/harbour_v1",
        "seed": 7,
        "steps": 20,
        "cfgscale": 4.5,
        "sampler": "euler",
        "scheduler": "karras",
        "width": 64,
        "height": 96,
        "loras": ["boats"],
        "loraweights": ["0.5"],
        "vae": "None",
        "swarm_version": "0.9.7",
    },
    sui_extra_data={"date": "2026-01-03", "original_prompt": "a <random:harbour|bay>"},
    sui_models=[{"name": "shore/harbour_v1.safetensors", "param": "model", "hash": "0x22d8"}],
)
FOOOCUS = as_json(
    prompt="a smiling goldfish",
    negative_prompt="",
    full_prompt=["a smiling goldfish", "deep focus"],
    base_model="fish_v8",
    base_model_hash="aeb7e9e689",
    loras=[["detail.safetensors", 0.1, "4852686128"]],
    seed="6952411511246972928",
    steps=30,
    guidance_scale=4,
    sampler="dpmpp_2m_sde_gpu",
    scheduler="karras",
    resolution="(768, 1280)",
    styles="['Fooocus V2']",
    metadata_scheme="fooocus",
    version="Fooocus v2.5.3",
)
RUINED = as_json(
    Prompt="a fox",
    Negative="text",
    steps=30,
    cfg=8,
    width=64,
    height=64,
    seed=20,
    sampler_name="dpmpp_2m",
    scheduler="karras",
    base_model_name="fox.safetensors",
    base_model_hash="BEFC",
    loras=[["0123456789ab", "0.5 - tails.safetensors"]],
    software="RuinedFooocus",
)
SPACE = json.dumps(
    {
        "prompt": "a bay",
        "negative_prompt": "fog",
        "resolution": "64 x 32",
        "guidance_scale": 5.5,
        "num_inference_steps": 24,
        "seed": 44,
        "sampler": "DPM++ 2M Karras",
        "Model": "Bay v1",
        "Model hash": "BDB5",
        "use_upscaler": None,
    }
)
MATRIX = json.dumps(
    {
        "PositivePrompt": "a quay\r\n",
        "NegativePrompt": "rain",
        "Steps": 20,
        "Sampler": "Euler Ancestral Karras",
        "CfgScale": 5,
        "Seed": 39,
        "Height": 64,
        "Width": 32,
        "ModelHash": "A5F5",
        "ModelName": "quay.safetensors",
    }
)
TENSOR = as_json(
    prompt="a mole",
    negativePrompt="sun",
    width=64,
    height=64,
    steps=25,
    cfgScale=7,
    seed="-1",
    baseModel={"label": "v16", "modelFileName": "Mole-16", "hash": "A5F5"},
    models=[{"type": "LORA", "modelFileName": "Boats", "weight": 0.6}],
    ksamplerName="euler_ancestral",
    schedule="karras",
)
ONSITE = json.dumps(
    {
        "6": {"class_type": "KSampler", "inputs": {}},
        "extra": {"airs": ["urn:air:sdxl:checkpoint:civitai:827184@2514310", "urn:air:sdxl:lora:civitai:5@77"]},
        "extraMetadata": json.dumps(
            {
                "prompt": "a pier",
                "negativePrompt": "people",
                "steps": 25,
                "cfgScale": 5,
                "sampler": "Euler a",
                "seed": 13,
                "resources": [{"modelVersionId": 77, "strength": 0.4}],
            }
        ),
    }
)
EASY = png(
    prompt="a buoy",
    negative_prompt="None",
    seed="12",
    use_stable_diffusion_model="models/sd/buoy.safetensors",
    sampler_name="euler_a",
    num_inference_steps="25",
    guidance_scale="7.5",
    width="64",
    height="96",
    use_lora_model="waves",
    lora_alpha="0.5",
)
DRAWN = FileTexts(
    carriers=(
        Carrier(
            place="png:xmp",
            key="XML:com.adobe.xmp",
            raw=(
                b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmp:CreatorTool="Draw Things">'
                b"<exif:UserComment><rdf:Alt><rdf:li xml:lang='x-default'>"
                b"{&quot;c&quot;:&quot;a cove&quot;,&quot;uc&quot;:&quot;crowd&quot;,&quot;model&quot;:&quot;cove.ckpt&quot;,"
                b"&quot;lora&quot;:[{&quot;model&quot;:&quot;waves.ckpt&quot;,&quot;weight&quot;:0.6}],"
                b"&quot;sampler&quot;:&quot;DPM++ 2M AYS&quot;,&quot;scale&quot;:7.5,&quot;seed&quot;:4294967295,"
                b"&quot;seed_mode&quot;:&quot;Scale Alike&quot;,&quot;size&quot;:&quot;512x768&quot;,&quot;steps&quot;:20}"
                b"</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></rdf:RDF></x:xmpmeta>"
            ),
        ),
    ),
    name="cove.png",
)


class TestSwarmUI(DialectTrials):
    dialect = swarmui.dialect
    spoken = (png(parameters=SWARM), comment(SWARM))


class TestFooocus(DialectTrials):
    dialect = fooocus.dialect
    spoken = (png(parameters=FOOOCUS, fooocus_scheme="fooocus"), comment(FOOOCUS), png(parameters=RUINED))


class TestPlainJson(DialectTrials):
    dialect = plain_json.dialect
    spoken = (png(parameters=SPACE), comment(SPACE))


class TestStabilityMatrix(DialectTrials):
    dialect = stability_matrix.dialect
    spoken = (png(parameters__json=MATRIX, parameters="a quay"),)


class TestTensorArt(DialectTrials):
    dialect = tensorart.dialect
    spoken = (png(generation_data=TENSOR + "\x00 "),)


class TestCivitai(DialectTrials):
    dialect = civitai.dialect
    spoken = (comment(ONSITE),)


class TestEasyDiffusion(DialectTrials):
    dialect = easy_diffusion.dialect
    spoken = (EASY,)


class TestDrawThings(DialectTrials):
    dialect = draw_things.dialect
    spoken = (DRAWN,)


def test_swarm_tells_its_models_with_hashes_and_keeps_what_it_made_the_prompt_from() -> None:
    recipe = understood(swarmui.dialect, comment(SWARM))
    assert (positive(recipe), negative(recipe)) == (["a harbour"], [])
    assert [(m.role, m.name, m.claimed_hash, m.strength_model) for m in recipe.models] == [
        ("checkpoints", "shore/harbour_v1", "0x22d8", None),
        ("loras", "boats", None, 0.5),
    ]
    assert (recipe.width, recipe.height, recipe.tool_version) == (64, 96, "0.9.7")
    assert ("original_prompt", "a <random:harbour|bay>") in recipe.settings


def test_fooocus_keeps_the_prompt_that_was_typed_and_seeds_of_any_size() -> None:
    recipe = understood(fooocus.dialect, png(parameters=FOOOCUS))
    assert (positive(recipe), negative(recipe)) == (["a smiling goldfish"], [])
    assert recipe.passes[0].seed == 6952411511246972928
    assert ("full_prompt", "a smiling goldfish\ndeep focus") in recipe.settings
    (lora,) = (model for model in recipe.models if model.role == "loras")
    assert (lora.name, lora.strength_model, lora.claimed_hash) == ("detail.safetensors", 0.1, "4852686128")
    assert (recipe.width, recipe.height, recipe.tool_version) == (768, 1280, "v2.5.3")


def test_a_fork_of_fooocus_writes_weights_before_names() -> None:
    recipe = understood(fooocus.dialect, png(parameters=RUINED))
    assert recipe.tool == "ruinedfooocus"
    (lora,) = (model for model in recipe.models if model.role == "loras")
    assert (lora.name, lora.strength_model, lora.claimed_hash) == ("tails.safetensors", 0.5, "0123456789ab")


def test_a_space_is_known_by_the_names_of_its_parts() -> None:
    recipe = understood(plain_json.dialect, png(parameters=SPACE))
    assert (recipe.tool, recipe.width, recipe.height) == ("hf-space", 64, 32)
    assert names(recipe, "checkpoints") == ["Bay v1"]
    assert plain_json.dialect.understand(comment('{"prompt": "a button", "width": 3}')) is None


def test_placeholders_are_unknown() -> None:
    recipe = understood(tensorart.dialect, png(generation_data=TENSOR))
    assert recipe.passes[0].seed is None
    assert names(recipe, "checkpoints") == ["Mole-16"]
    assert names(recipe, "loras") == ["Boats"]
    assert negative(understood(easy_diffusion.dialect, EASY)) == []


def test_names_at_the_model_site_are_kept_as_such() -> None:
    recipe = understood(civitai.dialect, comment(ONSITE))
    assert positive(recipe) == ["a pier"]
    lora = next(model for model in recipe.models if model.role == "loras")
    assert (lora.air, lora.strength_model) == ("urn:air:sdxl:lora:civitai:5@77", 0.4)


def test_fields_of_easy_diffusion_are_read_by_program_names_and_by_labels() -> None:
    labels = "Prompt: a buoy\nSeed: 12\nStable Diffusion model: buoy\nSampler: euler_a\nNumber of inference steps: 25\n"
    beside = FileTexts(carriers=(Carrier(place="sidecar:text", key="a.txt", raw=labels.encode()),), name="a.jpg")
    for file in (EASY, beside):
        recipe = understood(easy_diffusion.dialect, file)
        assert (positive(recipe), recipe.passes[0].seed, recipe.passes[0].steps) == (["a buoy"], 12, 25)


def test_draw_things_is_read_from_its_packet() -> None:
    recipe = understood(draw_things.dialect, DRAWN)
    assert (positive(recipe), negative(recipe)) == (["a cove"], ["crowd"])
    assert (recipe.passes[0].seed, recipe.width, recipe.height) == (4294967295, 512, 768)
    assert names(recipe, "loras") == ["waves.ckpt"]


def test_slots_that_were_left_empty_are_no_models() -> None:
    told = json.loads(RUINED) | {"loras": "<None:1>,<tails:0.5>", "Negative": ", "}
    recipe = understood(fooocus.dialect, png(parameters=json.dumps(told)))
    assert names(recipe, "loras") == ["tails"]
    assert negative(recipe) == []
