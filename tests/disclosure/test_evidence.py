from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from memoryd.disclosure.evidence import evidence_in_file, evidence_in_prompt, with_memory
from memoryd.disclosure.facts import Deed, Evidence, InputPart, SourceType, Statement, Undecided
from memoryd.disclosure.statement import what_to_say
from tests.reports.conftest import view

TXT2IMG = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "3": {"class_type": "KSampler", "inputs": {"seed": 1, "model": ["4", 0], "latent_image": ["5", 0]}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "fox"}},
}
LOADED = {
    "20": {"class_type": "LoadImage", "inputs": {"image": "photo.png"}},
    "21": {"class_type": "SaveImage", "inputs": {"images": ["20", 0], "filename_prefix": "photo"}},
}


@pytest.mark.parametrize(
    ("name", "source_type", "deed"),
    [
        ("txt2img_basic", SourceType.TRAINED, Deed.CREATED),
        ("txt2img_seed_u64max", SourceType.TRAINED, Deed.CREATED),
        ("txt2img_sampler_custom_advanced", SourceType.TRAINED, Deed.CREATED),
        ("txt2img_hires_two_samplers", SourceType.TRAINED, Deed.CREATED),
        ("txt2img_two_saves_and_preview_1", SourceType.TRAINED, Deed.CREATED),
        ("img2img_from_upload", SourceType.COMPOSITE_TRAINED, Deed.EDITED),
        ("img2img_from_output_annotated", SourceType.COMPOSITE_TRAINED, Deed.EDITED),
        ("modelfree_minimal_no_meta_titles", SourceType.ALGORITHMIC, Deed.CREATED),
    ],
)
def test_real_pictures_say_what_their_graphs_prove(
    fixtures: Path, name: str, source_type: SourceType, deed: Deed
) -> None:
    said = what_to_say(evidence_in_file(fixtures / "images" / f"{name}.png"))
    assert isinstance(said, Statement), said
    assert said.source_type is source_type
    assert said.deed is deed


@pytest.mark.parametrize("name", ["no_metadata", "modelfree_blend_invert"])
def test_real_pictures_that_prove_nothing_are_undecided(fixtures: Path, name: str) -> None:
    assert isinstance(what_to_say(evidence_in_file(fixtures / "images" / f"{name}.png")), Undecided)


def test_the_continued_picture_is_known_by_its_content(fixtures: Path) -> None:
    evidence = evidence_in_file(fixtures / "images" / "img2img_from_upload.png")
    (use,) = evidence.inputs
    assert use.part is InputPart.BASE
    assert use.sha256
    assert use.sha256.hex().startswith("ac59fd8d")


def test_a_graph_that_saves_a_photo_and_a_generation_does_not_say_which_a_renamed_file_is() -> None:
    raw = json.dumps({**TXT2IMG, **LOADED}).encode()
    renamed = evidence_in_prompt(raw, name="final_v2.png")
    assert isinstance(what_to_say(renamed), Undecided)
    generated = what_to_say(evidence_in_prompt(raw, name="fox_00001_.png"))
    assert isinstance(generated, Statement)
    assert generated.source_type is SourceType.TRAINED
    assert isinstance(what_to_say(evidence_in_prompt(raw, name="photo_00001_.png")), Undecided)


def test_a_graph_that_nothing_could_have_executed_proves_nothing() -> None:
    for raw in (b"", b"{", b"[]", b'{"1": {"class_type": "KSampler", "inputs": {"model": ["1", 0]}}}'):
        assert isinstance(what_to_say(evidence_in_prompt(raw, name="a.png")), Undecided)


def test_a_file_that_the_stand_in_marked_is_never_a_trained_models() -> None:
    raw = json.dumps(TXT2IMG).encode()
    said = what_to_say(evidence_in_prompt(raw, name="fox_00001_.png", stand_in=True))
    assert isinstance(said, Statement)
    assert said.source_type is SourceType.ALGORITHMIC


def test_what_a_job_of_the_stand_in_made_is_never_a_trained_models_whatever_the_file_says() -> None:
    in_file = evidence_in_prompt(json.dumps(TXT2IMG).encode(), name="fox_00001_.png")
    known = view()
    (run,) = known.generations
    for version, source_type in (("0.29.0", SourceType.TRAINED), ("0.29.0-stand-in", SourceType.ALGORITHMIC)):
        made = dataclasses.replace(known, generations=(dataclasses.replace(run, comfyui_version=version),))
        said = what_to_say(with_memory(in_file, made, {}))
        assert isinstance(said, Statement)
        assert said.source_type is source_type
        assert said.evidence.engine.version == version


def test_a_run_that_the_memory_knows_speaks_for_a_file_without_texts() -> None:
    known = view()
    (run,) = known.generations
    bare = dataclasses.replace(known, generations=(dataclasses.replace(run, inputs=()),))
    said = what_to_say(with_memory(Evidence(parameters=None), bare, {}))
    assert isinstance(said, Statement)
    assert said.source_type is SourceType.TRAINED


def test_a_file_that_is_no_picture_has_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    assert evidence_in_file(tmp_path / "a.txt").parameters is None
