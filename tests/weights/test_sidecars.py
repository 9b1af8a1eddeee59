"""What lies beside a model: believed only about this model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memoryd.weights import sidecars
from memoryd.weights.describing import MODEL_SUFFIXES, describe_model
from memoryd.weights.hashing import hash_file
from memoryd.weights.model_cards import read_head
from memoryd.weights.sidecars import Permissions, Sidecar, read_sidecars
from tests.weights.model_files import safetensors_file

INFO: dict[str, Any] = {
    "id": 2514310,
    "modelId": 827184,
    "name": "v16.0",
    "baseModel": "Illustrious",
    "air": "urn:air:sdxl:checkpoint:civitai:827184@2514310",
    "trainedWords": ["sks fox ", "", 7, "ink\u0000"],
    "model": {"name": "WAI", "allowNoCredit": False, "allowCommercialUse": "{Image,RentCivit}"},
    "allowDerivatives": True,
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "ink.safetensors"
    path.write_bytes(safetensors_file({"a": (1,)}))
    return path


def beside(model: Path, name: str, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (model.parent / name).write_text(text, encoding="utf-8")


def read(model: Path) -> tuple[Sidecar | None, list[str]]:
    said, findings = read_sidecars(model, sha256=hash_file(model).sha256, suffixes=MODEL_SUFFIXES)
    return said, [finding.code for finding in findings]


def test_nothing_beside_it_says_nothing(model: Path) -> None:
    assert read(model) == (None, [])


def test_civitais_own_answer_is_read(model: Path) -> None:
    own = hash_file(model).sha256.hex()
    beside(model, "ink.civitai.info", {**INFO, "files": [{"hashes": {"SHA256": own.upper()}}, {"hashes": 3}, 7]})
    said, codes = read(model)
    assert said is not None
    assert codes == []
    assert (said.source, said.model_id, said.version_id) == ("civitai", "827184", "2514310")
    assert said.triggers == ("sks fox", "ink\ufffd")
    assert said.sha256s == (own,)
    assert said.url == "https://civitai.com/models/827184?modelVersionId=2514310"
    assert said.permissions == Permissions(
        allow_no_credit=False, allow_commercial_use=("Image", "RentCivit"), allow_derivatives=True
    )
    assert describe_model(model, "loras/ink.safetensors").triggers == ("sks fox", "ink\ufffd")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ink.civitai.info", {**INFO, "files": [{"hashes": {"SHA256": "ab" * 32}}]}),
        ("ink.metadata.json", {"sha256": "ab" * 32, "base_model": "SDXL", "civitai": INFO}),
        ("ink.cm-info.json", {"ModelId": 1, "Hashes": {"SHA256": "ab" * 32}}),
        ("metadata.json", {"sha256": "ab" * 32, "base_model": "SDXL"}),
    ],
)
def test_one_that_names_another_file_is_not_believed(model: Path, name: str, content: object) -> None:
    beside(model, name, content)
    assert read(model) == (None, ["sidecar-of-another-file"])


def test_lora_manager_stability_matrix_and_notes_are_read(model: Path) -> None:
    own = hash_file(model).sha256.hex()
    beside(model, "ink.metadata.json", {"sha256": own, "base_model": "SDXL 1.0", "model_name": "Ink", "civitai": {}})
    beside(model, "ink.cm-info.json", {"ModelId": 5, "VersionId": 6, "BaseModel": "Pony", "TrainedWords": ["wet"]})
    beside(model, "ink.json", {"activation text": "ink, dry", "sd version": "SDXL"})
    said, codes = read(model)
    assert said is not None
    assert codes == []
    assert (said.model_name, said.base_model, said.model_id, said.source) == ("Ink", "SDXL 1.0", "5", "civitai")
    assert said.triggers == ("wet", "ink", "dry")
    assert said.files == ("ink.metadata.json", "ink.cm-info.json", "ink.json")


def test_the_settings_of_its_own_training_say_that_it_was_trained_here(model: Path) -> None:
    beside(model, "ink.json", {"output_name": "ink", "pretrained_model_name_or_path": "/models/sdxl.safetensors"})
    said, _ = read(model)
    assert said is not None
    assert (said.source, said.base_model) == ("trained-here", "/models/sdxl.safetensors")
    beside(model, "ink.json", {"output_name": "other", "pretrained_model_name_or_path": "x"})
    assert read(model) == (None, [])


CARD = """---
license: other  # see below
license_name: flux-1-dev-non-commercial-license
license_link: "https://example.org/LICENSE.md"
base_model:
  - black-forest-labs/FLUX.1-dev
  - 'it''s/one'
base_model_relation: adapter
tags: [lora, "two, words"]
instance_prompt: a sks fox
model-index:
- name: x
  results:
  - task: {type: y}
---
# Ink
"""


def test_a_model_card_is_read(model: Path) -> None:
    beside(model, "README.md", CARD)
    said, codes = read(model)
    assert said is not None
    assert codes == []
    assert (said.source, said.licence, said.relation) == ("huggingface", "flux-1-dev-non-commercial-license", "adapter")
    assert said.parents == ("black-forest-labs/FLUX.1-dev", "it's/one")
    assert said.triggers == ("a sks fox",)


def test_a_card_among_several_models_speaks_of_those_it_names(model: Path) -> None:
    beside(model, "README.md", CARD)
    (model.parent / "another.safetensors").write_bytes(b"")
    assert read(model) == (None, ["sidecar-ambiguous"])
    beside(model, "README.md", CARD + "Load `ink.safetensors`.")
    assert read(model)[0] is not None


def test_the_cache_of_hugging_face_names_the_repository(tmp_path: Path) -> None:
    folder = tmp_path / "models--org--my--name" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "m.safetensors").write_bytes(b"")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    said, _ = read(folder / "m.safetensors")
    assert said is not None
    assert (said.model_id, said.licence) == ("org/my--name", "mit")


def test_yaml_that_refers_or_runs_is_not_followed() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{n}: &{n} [*{m}, *{m}]\n" for m, n in zip("abcdefgh", "bcdefghi", strict=True))
    head = read_head(f"---\n{bomb}license: !!python/object/apply:os.system ['touch x']\ntags: {{a: b}}\n<<: *a\n---\n")
    assert head == {}
    assert read_head("---\nlicense: mit\nlicense: apache-2.0\n---")["license"] == ("mit",)
    assert read_head("no head\n---\nlicense: mit\n---") == {}
    assert read_head("---\nlicense: mit\n") == {}
    assert read_head("---\nlicense: |\n  mit\n---") == {}


@pytest.mark.parametrize(
    "content", ["{", "[]", "7", "[" * 5_000, '{"model": 7, "files": {}, "id": [], "baseModel": {}}']
)
@pytest.mark.parametrize("name", ["ink.civitai.info", "ink.metadata.json", "ink.cm-info.json", "ink.json", "README.md"])
def test_hostile_sidecars_are_facts_or_findings(model: Path, name: str, content: str) -> None:
    beside(model, name, content)
    said, codes = read(model)
    assert set(codes) <= {"sidecar-unreadable"}
    assert said is None or said.model_id is None


def test_a_large_one_is_not_read(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside(model, "ink.civitai.info", INFO)
    monkeypatch.setattr(sidecars, "SIDECAR_LIMIT", 20)
    assert read(model) == (None, ["sidecar-too-large"])
