from __future__ import annotations

import json

import pytest

from memoryd.plugin_api.dialect_trials import DialectTrials
from memoryd.plugin_api.facts import Carrier, FileTexts
from memoryd_ingest_plugins.dialects import invokeai, labels, midjourney, novelai
from tests.ingest_plugins.dialects.said import as_json, comment, names, negative, png, positive, understood

THIRD = as_json(
    generation_mode="sdxl_txt2img",
    positive_prompt="a reef",
    negative_prompt="",
    width=64,
    height=32,
    seed=18,
    cfg_scale=6.0,
    steps=24,
    scheduler="euler_a",
    model={"key": "k", "hash": "blake3:7c", "name": "reef_v1", "base": "sdxl", "type": "main"},
    loras=[{"model": {"name": "coral"}, "weight": 0.75}],
    vae={"model_name": "reef.vae", "base_model": "sdxl"},
    app_version="6.10.0",
)
SECOND = as_json(
    model="stable diffusion",
    model_weights="reef-1.5",
    model_hash="cafe",
    app_version="v2.2.5",
    image={
        "prompt": [{"prompt": "a reef [fish, (sharks)]", "weight": 1}],
        "steps": 50,
        "cfg_scale": 5,
        "seed": 29,
        "sampler": "k_lms",
        "width": 64,
        "height": 96,
    },
)
DREAM = '"a \\"reef\\" [fish] [sharks]" -s 50 -S 2980747362 -W 512 -H 768 -C 5.0 -A k_lms -I start.png -f 0.7'
NOVEL = as_json(
    prompt="two girls",
    uc="old words",
    steps=28,
    scale=5.0,
    seed=170,
    sampler="k_euler_ancestral",
    noise_schedule="karras",
    width=64,
    height=64,
    v4_prompt={"caption": {"base_caption": "two girls", "char_captions": [{"char_caption": "a hat"}]}},
    v4_negative_prompt={"caption": {"base_caption": "lowres", "char_captions": [{"char_caption": ""}]}},
    request_type="PromptGenerateRequest",
    signed_hash="x",
)
NOVEL_PNG = png(Software="NovelAI", Description="two girls", Source="NovelAI Diffusion V4.5 4BDE2A90", Comment=NOVEL)
NOVEL_HIDDEN = FileTexts(
    carriers=(
        Carrier(
            place="png:stealth",
            key="stealth_pngcomp",
            raw=json.dumps({"Software": "NovelAI", "Description": "d", "Source": "S", "Comment": NOVEL}).encode(),
        ),
    )
)
JOB = "0a1b2c3d-1111-2222-3333-444455556666"
JOURNEY = png(
    name=f"ann_a_red_boat_{JOB}_2.png",
    Creation_S_Time="Sun, 21 Jan 2024 13:17:47 GMT",
    Description=f"https://a.example/b.png a red boat --no people, cars --ar 16:9 --seed 77 --v 6.1 --style raw Job ID: {JOB}",
)
PACKET = (
    "<rdf:Description Iptc4xmpExt:DigitalSourceType='http://cv.iptc.org/newscodes/digitalsourcetype/{}'"
    " xmp:CreatorTool='Adobe Firefly'/>"
)


def packet(word: str) -> FileTexts:
    return FileTexts(
        carriers=(Carrier(place="jpeg:xmp", key="XML:com.adobe.xmp", raw=PACKET.format(word).encode()),), name="a.jpg"
    )


def store(*source_types: str, status: str = "") -> FileTexts:
    manifests = {
        f"urn:{index}": {
            "claim_generator_info": [{"name": "Made by OpenAI"}],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [{"digitalSourceType": kind}]}}],
        }
        for index, kind in enumerate(source_types)
    }
    told: dict[str, object] = {"active_manifest": "urn:0", "manifests": manifests}
    if status:
        told["validation_status"] = [{"code": status}]
    return FileTexts(carriers=(Carrier(place="c2pa:store", key="c2pa", raw=json.dumps(told).encode()),), name="a.jpg")


AIGC = json.dumps(json.dumps({"Label": "1", "ContentProducer": "001191", "ProduceID": "z"}))


class TestInvokeAI(DialectTrials):
    dialect = invokeai.dialect
    spoken = (png(invokeai_metadata=THIRD), png(sd__metadata=SECOND, Dream=DREAM), png(Dream=DREAM))


class TestNovelAI(DialectTrials):
    dialect = novelai.dialect
    spoken = (NOVEL_PNG, NOVEL_HIDDEN, comment(NOVEL))


class TestMidjourney(DialectTrials):
    dialect = midjourney.dialect
    spoken = (JOURNEY,)


class TestSourceType(DialectTrials):
    dialect = labels.source_type
    spoken = (packet("trainedAlgorithmicMedia"),)


class TestAigcLabel(DialectTrials):
    dialect = labels.aigc_label
    spoken = (png(AIGC=AIGC),)


class TestContentCredentials(DialectTrials):
    dialect = labels.content_credentials
    spoken = (store("http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"),)


class TestGeneratorName(DialectTrials):
    dialect = labels.generator_name
    spoken = (png(Software="Adobe Firefly"),)


def test_invokeai_third_generation() -> None:
    recipe = understood(invokeai.dialect, png(invokeai_metadata=THIRD))
    assert (positive(recipe), negative(recipe), recipe.tool_version) == (["a reef"], [], "6.10.0")
    assert [(m.role, m.name, m.claimed_hash, m.strength_model) for m in recipe.models] == [
        ("checkpoints", "reef_v1", "blake3:7c", None),
        ("vae", "reef.vae", None, None),
        ("loras", "coral", None, 0.75),
    ]


@pytest.mark.parametrize("file", [png(sd__metadata=SECOND), png(Dream=DREAM)])
def test_invokeai_second_generation_keeps_what_is_unwanted_in_brackets(file: FileTexts) -> None:
    recipe = understood(invokeai.dialect, file)
    assert positive(recipe)[0].startswith("a ")
    assert negative(recipe)[0].startswith("fish")
    assert (recipe.passes[0].steps, recipe.passes[0].sampler) == (50, "k_lms")


def test_a_dream_names_its_first_picture() -> None:
    recipe = understood(invokeai.dialect, png(Dream=DREAM))
    assert recipe.inputs[0].name == "start.png"
    assert (recipe.passes[0].seed, recipe.passes[0].denoise, recipe.width, recipe.height) == (2980747362, 0.7, 512, 768)


@pytest.mark.parametrize("file", [NOVEL_PNG, NOVEL_HIDDEN, comment(NOVEL)])
def test_novelai_says_its_captions_one_by_one(file: FileTexts) -> None:
    recipe = understood(novelai.dialect, file)
    assert (positive(recipe), negative(recipe)) == (["two girls", "a hat"], ["lowres"])
    assert (recipe.passes[0].seed, recipe.passes[0].scheduler) == (170, "karras")


def test_a_director_tool_has_no_prompt() -> None:
    recipe = understood(novelai.dialect, png(Software="NovelAI", Comment='{"req_type": "sketch"}'))
    assert (recipe.texts, recipe.passes, recipe.generated) == ((), (), True)


def test_midjourney_says_words_options_and_its_job() -> None:
    recipe = understood(midjourney.dialect, JOURNEY)
    assert (positive(recipe), negative(recipe)) == (["a red boat"], ["people, cars"])
    assert (recipe.tool_version, recipe.passes[0].seed) == ("6.1", 77)
    assert recipe.links == (("grid", JOB),)
    assert recipe.made_at is not None
    assert recipe.made_at.isoformat() == "2024-01-21T13:17:47+00:00"
    assert recipe.inputs[0].name == "https://a.example/b.png"
    assert ("--ar", "16:9") in recipe.settings


def test_a_name_of_midjourney_gives_no_prompt() -> None:
    recipe = understood(midjourney.dialect, FileTexts(carriers=(), name=f"ann_a_red_boat_{JOB}.png"))
    assert (recipe.texts, recipe.generated) == ((), None)
    assert ("job", JOB) in recipe.settings


@pytest.mark.parametrize(
    ("word", "generated"),
    [("trainedAlgorithmicMedia", True), ("compositeWithTrainedAlgorithmicMedia", True), ("digitalCapture", False)],
)
def test_the_source_type_says_whether_ai_made_it(word: str, generated: bool) -> None:
    recipe = understood(labels.source_type, packet(word))
    assert (recipe.generated, recipe.tool) == (generated, "firefly")
    assert labels.source_type.understand(packet("digitalArt")) is None


def test_content_credentials_say_ai_in_any_manifest_of_the_store() -> None:
    trained = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    assert understood(labels.content_credentials, store("x/digitalArt", trained)).generated is True
    assert understood(labels.content_credentials, store("x/algorithmicMedia")).generated is False
    assert understood(labels.content_credentials, store(trained)).tool == "openai"
    broken = understood(labels.content_credentials, store("x/y", status="assertion.dataHash.mismatch"))
    assert broken.generated is None
    assert broken.findings[0].code == "manifest-not-valid"


def test_the_chinese_label_is_unwrapped() -> None:
    recipe = understood(labels.aigc_label, png(AIGC=AIGC))
    assert recipe.generated is True
    assert ("AIGC ContentProducer", "001191") in recipe.settings


def test_other_programs_are_nobody() -> None:
    assert labels.generator_name.understand(png(Software="Adobe Photoshop 25.0")) is None
    assert names(understood(invokeai.dialect, png(invokeai_metadata=THIRD)), "upscale_models") == []
