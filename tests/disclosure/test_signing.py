from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
from c2pa import Reader  # type: ignore[import-untyped]
from PIL import Image

from memoryd.disclosure.containers import CannotCarry
from memoryd.disclosure.facts import (
    Evidence,
    FileVerdict,
    GeneratedByAi,
    InputEvidence,
    InputPart,
    Kept,
    State,
    Statement,
    Trust,
)
from memoryd.disclosure.pki import Anchors, SigningIdentity
from memoryd.disclosure.signing import CannotSign, WouldOverwrite, sign_file, statement_digest
from memoryd.disclosure.statement import what_to_say
from memoryd.disclosure.verifying import verify_file

from .conftest import SECRET_PROMPT, SEED


def chunks_of(path: Path, kind: bytes) -> list[bytes]:
    content, found, place = path.read_bytes(), [], 8
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        if content[place + 4 : place + 8] == kind:
            found.append(content[place + 8 : place + 8 + size])
        place += size + 12
    return found


def detailed(path: Path) -> dict[str, object]:
    with path.open("rb") as file, Reader("image/png", file) as reader:
        store = json.loads(reader.detailed_json())
    manifest: dict[str, object] = store["manifests"][store["active_manifest"]]
    return manifest


def test_a_signed_copy_verifies_and_says_who_and_what(
    png: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity, anchors: Anchors
) -> None:
    signed = sign_file(png, tmp_path / "signed.png", statement, identity)
    verdict = verify_file(tmp_path / "signed.png", anchors)
    assert verdict.state is State.VALID
    assert verdict.signer
    assert verdict.signer.trust is Trust.INSTALLATION
    assert "development certificate" in verdict.headline
    assert verdict.generated_by_ai is GeneratedByAi.YES
    assert verdict.software == "ComfyUI 0.29.0"
    assert verdict.sha256 == signed.sha256 == hashlib.sha256((tmp_path / "signed.png").read_bytes()).digest()
    assert verdict.manifest_id == signed.manifest_id


def test_the_original_is_untouched_and_everything_of_it_is_kept(
    png: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity
) -> None:
    before = png.read_bytes()
    signed = sign_file(png, tmp_path / "signed.png", statement, identity)
    assert png.read_bytes() == before
    assert signed.kept is Kept.BYTES
    for kind in (b"tEXt", b"IDAT", b"IHDR"):
        assert chunks_of(tmp_path / "signed.png", kind) == chunks_of(png, kind)
    assert Image.open(tmp_path / "signed.png").tobytes() == Image.open(png).tobytes()


def test_actions_are_among_what_the_signer_vouches_for(
    png: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity
) -> None:
    sign_file(png, tmp_path / "signed.png", statement, identity)
    claim = detailed(tmp_path / "signed.png")["claim"]
    assert isinstance(claim, dict)
    created = {entry["url"].rsplit("/", 1)[-1] for entry in claim["created_assertions"]}
    assert {"c2pa.actions.v2", "c2pa.ai-disclosure", "org.memoryd.generation", "c2pa.hash.data"} <= created
    assert not claim.get("gathered_assertions")
    assert not any("thumbnail" in label for label in created)


def test_no_secret_of_the_studio_is_in_the_manifest(
    png: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity
) -> None:
    sign_file(png, tmp_path / "signed.png", statement, identity)
    (manifest,) = chunks_of(tmp_path / "signed.png", b"caBX")
    for secret in (SECRET_PROMPT, "Zweig", png.name, str(tmp_path)):
        assert secret.encode() not in manifest


def test_the_largest_seed_is_kept_exactly_as_text(
    png: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity
) -> None:
    sign_file(png, tmp_path / "signed.png", statement, identity)
    generation = verify_file(tmp_path / "signed.png").generation
    assert generation is not None
    samplers = generation["samplers"]
    assert isinstance(samplers, list)
    assert isinstance(samplers[0], dict)
    assert samplers[0]["seed"] == str(SEED)


def test_signing_a_signed_file_keeps_what_was_said_before(
    png: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity
) -> None:
    first = sign_file(png, tmp_path / "first.png", statement, identity)
    second = sign_file(tmp_path / "first.png", tmp_path / "second.png", statement, identity)
    assert second.parent_kept
    verdict = verify_file(tmp_path / "second.png")
    assert verdict.good
    assert [manifest.label for manifest in verdict.manifests] == [second.manifest_id, first.manifest_id]
    assert verdict.generated_by_ai is GeneratedByAi.YES


def test_the_continued_picture_is_the_parent_with_its_own_history(
    png: Path, tmp_path: Path, evidence: Evidence, statement: Statement, identity: SigningIdentity
) -> None:
    base = sign_file(png, tmp_path / "base.png", statement, identity)
    continued = what_to_say(
        dataclasses.replace(
            evidence,
            inputs=(
                InputEvidence(name="base.png", sha256=base.sha256, part=InputPart.BASE),
                InputEvidence(name="pose.png", sha256=b"\x07" * 32, part=InputPart.GUIDE),
            ),
        )
    )
    assert isinstance(continued, Statement)
    files = {base.sha256: (tmp_path / "base.png", "image/png")}
    sign_file(png, tmp_path / "signed.png", continued, identity, input_files=files)
    verdict = verify_file(tmp_path / "signed.png")
    assert verdict.good
    assert [action.action for action in verdict.manifests[0].actions] == ["c2pa.opened", "c2pa.edited"]
    assert {manifest.relationship for manifest in verdict.manifests} == {None, "parentOf", "inputTo"}
    assert base.manifest_id in {manifest.label for manifest in verdict.manifests}


def save_as(png: Path, path: Path) -> Path:
    Image.open(png).save(path, lossless=path.name.startswith("lossless"))
    return path


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("photo.jpg", Kept.BYTES),
        ("small.webp", Kept.BYTES),
        ("lossless.webp", Kept.BYTES),
        ("scan.tiff", Kept.PIXELS),
        ("loop.gif", Kept.PIXELS),
        ("modern.avif", Kept.PIXELS),
    ],
)
def test_other_containers_are_signed_and_compared(
    png: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity, name: str, kept: Kept
) -> None:
    source = save_as(png, tmp_path / name)
    signed = sign_file(source, tmp_path / f"signed-{name}", statement, identity)
    assert signed.kept is kept
    assert verify_file(tmp_path / f"signed-{name}").good
    with Image.open(tmp_path / f"signed-{name}") as after, Image.open(source) as before:
        assert after.tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("head", "word"), [(b"\x1aE\xdf\xa3", "WebM"), (b"OggS", "Ogg"), (b"PK\x03\x04", "octet-stream")]
)
def test_what_cannot_carry_a_manifest_is_refused_in_words(
    tmp_path: Path, statement: Statement, identity: SigningIdentity, head: bytes, word: str
) -> None:
    (tmp_path / "clip").write_bytes(head + bytes(500))
    with pytest.raises(CannotCarry, match=word):
        sign_file(tmp_path / "clip", tmp_path / "signed", statement, identity)
    assert not (tmp_path / "signed").exists()


def test_a_truncated_file_is_refused_and_leaves_nothing(
    png: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity
) -> None:
    png.write_bytes(png.read_bytes()[:200])
    with pytest.raises(CannotSign):
        sign_file(png, tmp_path / "signed.png", statement, identity)
    assert [path.name for path in tmp_path.iterdir()] == [png.name]


def test_a_file_that_is_there_is_not_overwritten(
    png: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity
) -> None:
    (tmp_path / "signed.png").write_text("mine")
    with pytest.raises(WouldOverwrite):
        sign_file(png, tmp_path / "signed.png", statement, identity)
    assert (tmp_path / "signed.png").read_text() == "mine"


def test_equal_statements_have_equal_digests_at_any_time(statement: Statement, evidence: Evidence) -> None:
    assert statement_digest(statement, b"\x01" * 32) == statement_digest(statement, b"\x01" * 32)
    other = what_to_say(dataclasses.replace(evidence, exact=b"\x09" * 32))
    assert isinstance(other, Statement)
    assert statement_digest(other, b"\x01" * 32) != statement_digest(statement, b"\x01" * 32)


def test_real_pictures_of_comfyui_are_signed_with_their_texts_kept(
    fixtures: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity
) -> None:
    for name in (
        "txt2img_seed_u64max",
        "txt2img_unicode_zh_emoji",
        "save_image_advanced_16bit",
        "modelfree_extra_chunks",
    ):
        source = fixtures / "images" / f"{name}.png"
        signed = sign_file(source, tmp_path / f"{name}.png", statement, identity)
        assert signed.kept is Kept.BYTES
        assert chunks_of(tmp_path / f"{name}.png", b"tEXt") == chunks_of(source, b"tEXt")
        assert isinstance(verify_file(tmp_path / f"{name}.png"), FileVerdict)
