from __future__ import annotations

import datetime
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from memoryd.disclosure import pki


def test_the_development_chain_says_plainly_what_it_is(pki_folder: Path) -> None:
    leaf, intermediate = x509.load_pem_x509_certificates((pki_folder / "development" / "chain.pem").read_bytes())
    root = x509.load_pem_x509_certificate((pki_folder / "development" / "root.pem").read_bytes())
    assert "not a public identity" in leaf.subject.rfc4514_string()
    assert "not a public identity" in root.subject.rfc4514_string()
    leaf.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(root)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.content_commitment
    usages = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert usages == {ExtendedKeyUsageOID.EMAIL_PROTECTION, pki.CLAIM_SIGNING}
    leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)


def test_keys_are_readable_by_their_owner_alone(pki_folder: Path) -> None:
    for file in (pki_folder / "development").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((pki_folder / "development").stat().st_mode) == 0o700


def test_only_the_leafs_key_is_kept(pki_folder: Path) -> None:
    assert {file.name for file in (pki_folder / "development").iterdir()} == {"chain.pem", "key.pem", "root.pem"}


def test_the_key_never_shows_in_a_repr(identity: pki.SigningIdentity) -> None:
    assert "PRIVATE" not in repr(identity)


def test_two_processes_that_begin_at_once_use_one_chain(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from memoryd.disclosure.pki import signing_identity; "
        "print(signing_identity(pathlib.Path(sys.argv[1])).fingerprint.hex())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "pki")], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(answers) == 1
    assert not list((tmp_path / "pki").glob(".development*"))


def test_a_renewed_chain_leaves_the_old_root_as_an_anchor(tmp_path: Path) -> None:
    first = pki.signing_identity(tmp_path)
    pki.make_development_chain(tmp_path, renew=True)
    assert pki.signing_identity(tmp_path).fingerprint != first.fingerprint
    assert pki.load_anchors(tmp_path).development_pem.count("BEGIN CERTIFICATE") == 2


def test_an_operators_own_chain_is_used_first(tmp_path: Path) -> None:
    made = pki.make_development_chain(tmp_path / "elsewhere")
    operator = tmp_path / "pki" / "operator"
    operator.parent.mkdir()
    made.rename(operator)
    identity = pki.signing_identity(tmp_path / "pki")
    assert not identity.development
    assert not (tmp_path / "pki" / "development").exists()


def test_an_expired_certificate_is_refused_with_the_next_step(pki_folder: Path) -> None:
    late = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=pki.DEVELOPMENT_DAYS + 1)
    with pytest.raises(pki.SignerExpired) as caught:
        pki.signing_identity(pki_folder, now=late)
    assert "pki init" in str(caught.value.hint)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    folder = pki.make_development_chain(tmp_path)
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(other)
    with pytest.raises(pki.BadSigner, match="not the key of"):
        pki.signing_identity(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_a_chain_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = pki.make_development_chain(tmp_path)
    (folder / "chain.pem").write_bytes(content)
    with pytest.raises(pki.BadSigner):
        pki.signing_identity(tmp_path)


def test_a_missing_key_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "operator").mkdir()
    with pytest.raises(pki.NoSigner) as caught:
        pki.signing_identity(tmp_path)
    assert "pki init" in str(caught.value.hint)


def test_garbage_among_the_anchors_is_named(tmp_path: Path) -> None:
    (tmp_path / "anchors").mkdir()
    (tmp_path / "anchors" / "trust.pem").write_text("nothing")
    with pytest.raises(pki.BadAnchors, match=r"trust\.pem"):
        pki.load_anchors(tmp_path)
