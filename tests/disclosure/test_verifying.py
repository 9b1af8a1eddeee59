from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from c2pa import Builder, C2paSignerInfo, C2paSigningAlg, Context, Signer  # type: ignore[import-untyped]
from PIL import Image

from memoryd.disclosure import pki
from memoryd.disclosure.facts import GeneratedByAi, State, Statement, Trust
from memoryd.disclosure.pki import Anchors, SigningIdentity
from memoryd.disclosure.signing import sign_file
from memoryd.disclosure.verifying import FileMissing, NotAFile, verify_file


@pytest.fixture
def signed(png: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity) -> Path:
    """A signed copy."""
    sign_file(png, tmp_path / "signed.png", statement, identity)
    return tmp_path / "signed.png"


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_file_without_a_manifest_proves_nothing(png: Path) -> None:
    verdict = verify_file(png)
    assert verdict.state is State.NONE
    assert "proves nothing" in verdict.headline
    assert verdict.generated_by_ai is GeneratedByAi.SILENT


def test_one_bit_of_the_pixels_is_noticed(signed: Path, anchors: Anchors) -> None:
    flip(signed, signed.read_bytes().index(b"IDAT") + 40)
    verdict = verify_file(signed, anchors)
    assert verdict.state is State.INVALID
    assert "changed after it was signed" in verdict.headline
    assert verdict.trusted_by is None


def test_an_edited_text_is_noticed(signed: Path) -> None:
    content = signed.read_bytes()
    signed.write_bytes(content.replace(b"18446744073709551615", b"18446744073709551614", 1))
    assert verify_file(signed).state is State.INVALID


def test_bytes_put_at_the_end_are_noticed(signed: Path) -> None:
    with signed.open("ab") as file:
        file.write(b"more")
    assert verify_file(signed).state is State.INVALID


def test_a_changed_statement_is_noticed(signed: Path) -> None:
    content = signed.read_bytes()
    assert b"trainedAlgorithmicMedia" in content
    signed.write_bytes(content.replace(b"trainedAlgorithmicMedia", b"trainedAlgorithmicMedja"))
    assert verify_file(signed).state in (State.INVALID, State.UNREADABLE)


def test_a_stripped_file_is_without_manifest(signed: Path) -> None:
    Image.open(signed).save(signed)
    assert verify_file(signed).state is State.NONE


def test_every_bit_of_the_manifest_flipped_gives_a_verdict_that_is_not_trust(signed: Path, anchors: Anchors) -> None:
    content = signed.read_bytes()
    start = content.index(b"caBX")
    end = content.index(b"tEXt")
    for place in range(start, end, 97):
        changed = bytearray(content)
        changed[place] ^= 0x10
        signed.write_bytes(changed)
        verdict = verify_file(signed, anchors)
        if verdict.good:
            # Padding that nothing signs may change; what the file says must not have.
            assert verdict.generated_by_ai is GeneratedByAi.YES


def test_a_file_of_another_installation_is_valid_and_vouched_for_by_nobody(signed: Path, tmp_path: Path) -> None:
    pki.signing_identity(tmp_path / "other")
    verdict = verify_file(signed, pki.load_anchors(tmp_path / "other"))
    assert verdict.state is State.VALID
    assert verdict.signer
    assert verdict.signer.trust is Trust.NOBODY
    assert "some other installation" in verdict.headline


def test_the_development_root_is_never_an_operators_anchor(signed: Path, anchors: Anchors) -> None:
    verdict = verify_file(signed, anchors)
    assert verdict.state is State.VALID
    assert verdict.trusted_by
    assert "not a public identity" in verdict.trusted_by


def test_an_anchor_of_the_operator_makes_it_trusted(signed: Path, anchors: Anchors) -> None:
    verdict = verify_file(signed, Anchors(operator_pem=anchors.development_pem))
    assert verdict.state is State.TRUSTED
    assert verdict.signer
    assert verdict.signer.trust is Trust.OPERATOR


def test_a_broken_parent_is_found_although_the_file_itself_verifies(
    signed: Path, tmp_path: Path, statement: Statement, identity: SigningIdentity, anchors: Anchors
) -> None:
    flip(signed, signed.read_bytes().index(b"IDAT") + 40)
    again = sign_file(signed, tmp_path / "again.png", statement, identity)
    assert again.parent_kept
    verdict = verify_file(tmp_path / "again.png", anchors)
    assert verdict.state is State.HISTORY_BROKEN
    assert not verdict.good
    assert any(reason.bad and reason.layer.startswith("history") for reason in verdict.reasons)


def test_actions_that_are_only_gathered_are_told(png: Path, tmp_path: Path, identity: SigningIdentity) -> None:
    definition = {
        "claim_generator_info": [{"name": "somebody"}],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {
                    "actions": [
                        {
                            "action": "c2pa.created",
                            "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
                        }
                    ]
                },
            }
        ],
    }
    info = C2paSignerInfo(C2paSigningAlg.ES256, identity.chain_pem, identity.key_pem, None)
    context = Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
    with png.open("rb") as source, (tmp_path / "theirs.png").open("w+b") as copy:
        Builder(definition, context=context).sign(Signer.from_info(info), "image/png", source, copy)
    verdict = verify_file(tmp_path / "theirs.png")
    assert verdict.state is State.VALID
    assert verdict.generated_by_ai is GeneratedByAi.NO
    assert any(reason.code == "actions-only-gathered" for reason in verdict.reasons)


def test_a_manifest_that_lies_elsewhere_is_not_fetched(
    png: Path, tmp_path: Path, identity: SigningIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/manifest"
        info = C2paSignerInfo(C2paSigningAlg.ES256, identity.chain_pem, identity.key_pem, None)
        context = Context.from_dict(
            {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}
        )
        action = {
            "action": "c2pa.created",
            "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCreation",
        }
        definition = json.dumps({"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}]})
        builder = Builder(definition, context=context)
        builder.set_no_embed()
        builder.set_remote_url(address)
        with png.open("rb") as source, (tmp_path / "away.png").open("w+b") as copy:
            builder.sign(Signer.from_info(info), "image/png", source, copy)
        verdict = verify_file(tmp_path / "away.png")
        assert verdict.state is State.NONE
        assert verdict.reasons[0].code == "manifest-elsewhere"
        listening.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffcaBX" + bytes(40),
        b"\xff\xd8\xff\xeb\x00\x10JP" + bytes(20),
        b"RIFF\xff\xff\xff\xffWEBPC2PA\xff\xff\xff\xff",
        b"\x00\x00\x00\x20ftypavif" + b"\xff" * 64,
        b"GIF89a" + b"\xff" * 20,
        b"<svg xmlns='http://www.w3.org/2000/svg'>" + b"<a>" * 1000,
        b"%PDF-1.7" + bytes(100),
        b"just text",
    ],
)
def test_a_hostile_file_has_a_verdict_and_never_a_crash(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hostile"
    path.write_bytes(content)
    assert verify_file(path).state in (State.NONE, State.UNREADABLE, State.INVALID)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAFile):
        verify_file(tmp_path)
    with pytest.raises(FileMissing):
        verify_file(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotAFile):
        verify_file(tmp_path / "pipe")


def test_a_file_of_somebody_else_is_read_and_its_signer_is_vouched_for_by_nobody(fixtures: Path) -> None:
    path = fixtures.parent / "corpus/files/contentauth__c2pa-rs/sdk/tests/fixtures/C.jpg"
    if not path.is_file():
        pytest.skip("the sample file of c2pa-rs is not at hand")
    verdict = verify_file(path)
    assert verdict.state is State.VALID
    assert verdict.signer
    assert verdict.signer.name == "C2PA Signer"
    assert verdict.signer.trust is Trust.NOBODY
    assert verdict.signer.signed_at
    assert verdict.generated_by_ai is GeneratedByAi.NO
