from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from memoryd.disclosure import pki
from memoryd.disclosure.facts import SealState
from memoryd.disclosure.pki import Anchors, SigningIdentity
from memoryd.disclosure.sealing import seal, verify_seal
from memoryd.foundation.canonical_json import canonical_bytes

CONTENT = b'{"assets":[],"format":"memoryd.lineage-report/1"}\n'


def test_sealed_content_is_intact_and_names_its_signer(identity: SigningIdentity, anchors: Anchors) -> None:
    verdict = verify_seal(CONTENT, seal(CONTENT, identity), anchors)
    assert verdict.state is SealState.INTACT
    assert verdict.signer
    assert "development" in verdict.signer
    assert verdict.trusted_by
    assert "not a public identity" in verdict.trusted_by


def test_any_changed_byte_of_the_content_is_found(identity: SigningIdentity, anchors: Anchors) -> None:
    sealed = seal(CONTENT, identity)
    for place in range(len(CONTENT)):
        changed = bytearray(CONTENT)
        changed[place] ^= 1
        assert verify_seal(bytes(changed), sealed, anchors).state is SealState.CHANGED
    assert verify_seal(CONTENT + b" ", sealed, anchors).state is SealState.CHANGED
    assert verify_seal(CONTENT[:-1], sealed, anchors).state is SealState.CHANGED


def test_any_changed_byte_of_the_signature_is_found(identity: SigningIdentity, anchors: Anchors) -> None:
    sealed = seal(CONTENT, identity)
    for place in range(0, len(sealed), 5):
        changed = bytearray(sealed)
        changed[place] ^= 1
        state = verify_seal(CONTENT, bytes(changed), anchors).state
        assert state in (SealState.CHANGED, SealState.UNREADABLE), place


def test_bits_that_base64_drops_are_no_way_to_change_a_signature(identity: SigningIdentity, anchors: Anchors) -> None:
    padded = next(each for each in (seal(CONTENT, identity) for _ in range(1_000)) if b'=","signed_at' in each)
    place = padded.index(b'=","signed_at') - 1
    while padded[place] == ord("="):
        place -= 1
    found = set()
    for other in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/":
        if other != padded[place]:
            changed = bytearray(padded)
            changed[place] = other
            found.add(verify_seal(CONTENT, bytes(changed), anchors).state)
    assert found <= {SealState.CHANGED, SealState.UNREADABLE}


def test_the_time_cannot_be_exchanged(identity: SigningIdentity, anchors: Anchors) -> None:
    parsed = json.loads(seal(CONTENT, identity))
    parsed["signed_at"] = "2020-01-01T00:00:00Z"
    assert verify_seal(CONTENT, canonical_bytes(parsed) + b"\n", anchors).state is SealState.CHANGED


def test_a_signer_of_another_installation_is_vouched_for_by_nobody(identity: SigningIdentity, tmp_path: Path) -> None:
    pki.signing_identity(tmp_path)
    for anchors in (Anchors(), pki.load_anchors(tmp_path)):
        verdict = verify_seal(CONTENT, seal(CONTENT, identity), anchors)
        assert verdict.state is SealState.INTACT_UNKNOWN_SIGNER
        assert verdict.trusted_by is None


def test_an_anchor_of_the_operator_is_named_as_such(identity: SigningIdentity, anchors: Anchors) -> None:
    verdict = verify_seal(CONTENT, seal(CONTENT, identity), Anchors(operator_pem=anchors.development_pem))
    assert verdict.trusted_by
    assert "operator" in verdict.trusted_by


def test_what_was_signed_outside_the_certificates_time_is_not_trusted(
    identity: SigningIdentity, anchors: Anchors
) -> None:
    late = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=pki.DEVELOPMENT_DAYS + 1)
    assert verify_seal(CONTENT, seal(CONTENT, identity, now=late), anchors).trusted_by is None


@pytest.mark.parametrize(
    "sealed", [b"", b"{}", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"format":"memoryd.detached-signature/1"}\n']
)
def test_a_signature_that_is_none_has_a_verdict_and_never_a_crash(sealed: bytes, anchors: Anchors) -> None:
    assert verify_seal(CONTENT, sealed, anchors).state in (SealState.UNREADABLE, SealState.CHANGED)
