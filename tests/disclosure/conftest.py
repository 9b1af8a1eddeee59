"""What the tests of disclosure share: a signer of their own, and evidence of an ordinary generation."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from memoryd.disclosure.facts import EngineEvidence, Evidence, ModelEvidence, Statement
from memoryd.disclosure.pki import Anchors, SigningIdentity, load_anchors, signing_identity
from memoryd.disclosure.statement import what_to_say
from memoryd.workflows.facts import Parameters, Polarity, PromptUse, SamplerUse

SECRET_PROMPT = "the unreleased hero of client Zweig"
SEED = 2**64 - 1


@pytest.fixture(scope="session")
def pki_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pki folder with a development chain."""
    folder = tmp_path_factory.mktemp("keys") / "pki"
    signing_identity(folder)
    return folder


@pytest.fixture(scope="session")
def identity(pki_folder: Path) -> SigningIdentity:
    """The development signer."""
    return signing_identity(pki_folder)


@pytest.fixture(scope="session")
def anchors(pki_folder: Path) -> Anchors:
    """The anchors of the same installation."""
    return load_anchors(pki_folder)


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    """Evidence of an ordinary generation by a trained model, with the largest seed there is."""
    sampler = SamplerUse(
        node="3",
        class_type="KSampler",
        seed=SEED,
        steps=3,
        cfg=7.0,
        sampler="euler",
        scheduler="normal",
        denoise=1.0,
        final=True,
    )
    prompt = PromptUse(node="6", input="text", polarity=Polarity.POSITIVE, text=SECRET_PROMPT)
    return Evidence(
        parameters=Parameters(node="9", samplers=(sampler,), prompts=(prompt,), generates=True),
        models=(ModelEvidence(role="checkpoints", name="Zweig/hero.safetensors", sha256=b"\x01" * 32),),
        engine=EngineEvidence(version="0.29.0"),
        recipe="v1",
        exact=b"\x02" * 32,
        workflow=b"\x03" * 32,
        structure=b"\x04" * 32,
    )


@pytest.fixture(scope="session")
def statement(evidence: Evidence) -> Statement:
    """What must be said of that generation."""
    said = what_to_say(evidence)
    assert isinstance(said, Statement)
    return said


@pytest.fixture
def png(tmp_path: Path) -> Path:
    """A PNG as ComfyUI writes it: two texts, then the pixels."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("prompt", '{"3": {"class_type": "KSampler", "inputs": {"seed": 18446744073709551615}}}')
    texts.add_text("workflow", '{"nodes": [], "extra": {"ds": "\\u72d0"}}')
    path = tmp_path / "ComfyUI_00001_.png"
    Image.effect_noise((64, 48), 60).convert("RGB").save(path, pnginfo=texts)
    return path
