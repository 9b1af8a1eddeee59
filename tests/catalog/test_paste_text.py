from __future__ import annotations

import dataclasses
import hashlib
import uuid
from typing import Any

import pytest

from memoryd.catalog import paste_text
from memoryd.catalog.asset_view import AssetView, GenerationView, ModelView, PromptView, SamplerView
from memoryd.catalog.facts import GenerationOrigin
from memoryd.catalog.recording import record_assets
from memoryd.catalog.showing import show_asset
from memoryd.foundation.database import Session
from memoryd.foundation.ids import GenerationId
from memoryd.plugin_api.facts import DocumentKind
from memoryd.workflows.documents import keep_documents
from memoryd.workflows.facts import Polarity, PreparedDocument, Source
from tests.catalog.records import record

CARRIED = "a fox\nSteps: 2, Sampler: Euler"


def model(role: str, name: str, **more: Any) -> ModelView:
    return ModelView(
        node="4",
        class_type="",
        role=role,
        name=name,
        sha256=None,
        identified=None,
        strength_model=None,
        strength_clip=None,
        evidence="table",
        source=Source.EXECUTED,
        **more,
    )


def prompt(polarity: Polarity, text: str) -> PromptView:
    return PromptView(node="6", input="text", polarity=polarity, text=text, is_template=False, source=Source.EXECUTED)


def run(**more: Any) -> GenerationView:
    sampler = SamplerView(
        node="3",
        class_type="KSampler",
        seed=2**64 - 1,
        steps=20,
        cfg=7.5,
        sampler="dpmpp_2m",
        scheduler="karras",
        denoise=0.5,
        source=Source.EXECUTED,
        final=True,
    )
    whole = GenerationView(
        id=GenerationId(uuid.UUID(int=1)),
        run_key="",
        origin=GenerationOrigin.FILE,
        exact=None,
        node="9",
        output="images",
        batch_index=None,
        certain=True,
        generates=True,
        width=512,
        height=768,
        environment=None,
        comfyui_version=None,
        gpu=None,
        job_id=None,
        project_id=None,
        person_id=None,
        person=None,
        attribution_source=None,
        started_at=None,
        ended_at=None,
        cached=False,
        samplers=(sampler,),
        prompts=(prompt(Polarity.POSITIVE, "a fox"), prompt(Polarity.NEGATIVE, "text, logo")),
        models=(
            dataclasses.replace(
                model("checkpoints", "sub/shore.safetensors"), sha256=bytes.fromhex("6ce0161689" + "00" * 27)
            ),
            dataclasses.replace(model("loras", "storm.safetensors"), strength_model=0.8),
        ),
        inputs=(),
        documents=(),
    )
    return dataclasses.replace(whole, **more)


def test_a_graphs_facts_become_a_text_in_the_other_programs_words() -> None:
    assert paste_text.text_of_facts(run()) == (
        "a fox <lora:storm:0.8>\n"
        "Negative prompt: text, logo\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 18446744073709551615, Size: 512x768, "
        "Model hash: 6ce0161689, Model: shore, Denoising strength: 0.5"
    )


def test_what_is_unknown_is_left_out() -> None:
    nothing = SamplerView(
        node="3",
        class_type="Strange",
        seed=None,
        steps=None,
        cfg=None,
        sampler="own_sampler",
        scheduler=None,
        denoise=None,
        source=Source.EXECUTED,
        final=True,
    )
    told = paste_text.text_of_facts(run(samplers=(nothing,), models=(), width=None, height=None, prompts=()))
    assert told == "\nSampler: own_sampler"
    assert paste_text.text_of_facts(run(samplers=(), models=(), width=None, height=None, prompts=())) is None


def test_a_tag_that_stands_in_the_prompt_is_not_written_twice() -> None:
    told = paste_text.text_of_facts(run(prompts=(prompt(Polarity.POSITIVE, "a fox <lora:storm:0.50>"),)))
    assert told is not None
    assert told.count("<lora:") == 1


def _recorded(session: Session, key: str, text: str) -> AssetView:
    raw = text.encode()
    document = PreparedDocument(sha256=hashlib.sha256(raw).digest(), kind=DocumentKind.EXTRA, key=key, raw=raw)
    keep_documents(session, [document])
    picture = record("pic")
    assert picture.generation is not None
    told = dataclasses.replace(picture.generation, extra_documents=((key, document.sha256),))
    (recorded,) = record_assets(session, [dataclasses.replace(picture, generation=told)])
    return show_asset(session, recorded.asset_id, None)


@pytest.mark.parametrize(("key", "text"), [("parameters", CARRIED), ("UserComment", CARRIED)])
def test_what_the_file_carries_is_given_verbatim(session: Session, key: str, text: str) -> None:
    found = paste_text.paste_text(session, _recorded(session, key, text))
    assert (found.text, found.verbatim) == (CARRIED, True)


def test_other_texts_under_the_same_key_are_not(session: Session) -> None:
    found = paste_text.paste_text(session, _recorded(session, "parameters", '{"sui_image_params": {}}'))
    assert not found.verbatim
    assert found.text.startswith("a red fox")
