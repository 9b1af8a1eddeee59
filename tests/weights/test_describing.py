"""What is kept about one model file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from memoryd.weights import describing
from memoryd.weights.describing import describe_model
from memoryd.weights.kinds import ModelKind

WriteModel = Callable[..., Path]


def test_a_file_states_its_licence_and_its_aliases(write_model: WriteModel) -> None:
    metadata = {"modelspec.license": " CC-BY-4.0\n", "sshs_model_hash": "0xABCDEF0123", "sshs_legacy_hash": "0" * 8}
    facts = describe_model(write_model({"a": [1]}, metadata), "loras/a.safetensors")
    assert (facts.licence, dict(facts.aliases)) == ("CC-BY-4.0", {"sshs": "abcdef0123"})
    assert facts.kind is ModelKind.LORA
    assert facts.findings == ()


def test_a_file_that_states_nothing_has_no_licence(write_model: WriteModel) -> None:
    facts = describe_model(write_model({"a": [3, 4]}, {"modelspec.license": "  "}), "a.safetensors")
    assert facts.licence is None
    assert facts.stated["parameters"] == 12


def test_stated_texts_are_shortened_storable_and_without_captions(write_model: WriteModel) -> None:
    metadata = {f"key{i}": "x" for i in range(200)}
    metadata |= {"modelspec.title": "a\0b\ud800" + "x" * 10_000, "ss_tag_frequency": "private captions"}
    stated = describe_model(write_model({}, metadata), "a.safetensors").stated["metadata"]
    assert isinstance(stated, dict)
    assert len(stated) == describing.STATED_ENTRIES_LIMIT
    assert "ss_tag_frequency" not in stated
    title = stated["modelspec.title"]
    assert isinstance(title, str)
    assert title.startswith("a\ufffdb\ufffd")
    assert len(title) == describing.STATED_TEXT_LIMIT


def test_damage_is_a_finding_and_not_an_error(write_model: WriteModel, tmp_path: Path) -> None:
    cut = describe_model(write_model({"a": [10]}, cut=5), "a.safetensors")
    assert [finding.code for finding in cut.findings] == ["model-incomplete"]
    (tmp_path / "b.safetensors").write_bytes(b"not a header")
    broken = describe_model(tmp_path / "b.safetensors", "checkpoints/b.safetensors")
    assert [finding.code for finding in broken.findings] == ["not-safetensors"]
    assert broken.kind is ModelKind.CHECKPOINT
