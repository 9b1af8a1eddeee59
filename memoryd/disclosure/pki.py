"""Who signs: an operator's own certificate, or a development chain that says plainly what it is.

Layout of the folder (mode 700, files 600), `<home>/keys/pki`:

    operator/chain.pem        an operator's own certificates, leaf first; used before the development chain
    operator/key.pem          its private key, PKCS#8, without a password
    development/chain.pem     made by us: leaf, intermediate
    development/key.pem
    development/root.pem      an anchor for this installation's own verifying, and nobody else's
    development-<time>/       a chain that was replaced; its root still verifies what it signed
    anchors/*.pem             roots (or a published trust list) that the operator trusts when verifying

The keys of the development root and intermediate are never written: nobody can ever issue under them again.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from memoryd.foundation.errors import Conflict, NotAcceptable, NotFound
from memoryd.foundation.ids import new_id
from memoryd.foundation.settings import SECRET_FOLDER_MODE, write_secret

CLAIM_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""c2pa-kp-claimSigning. Source: C2PA conformance programme 0.2, certificate profile AL1."""

DEVELOPMENT_NAME = "memoryd development signer - not a public identity"
DEVELOPMENT_ROOT_NAME = "memoryd development root - not a public identity"
DEVELOPMENT_INTERMEDIATE_NAME = "memoryd development intermediate - not a public identity"
DEVELOPMENT_ORGANISATION = "memoryd development (no organisation)"

DEVELOPMENT_DAYS = 3_650
"""A manifest without a trusted time-stamp stops verifying when its leaf expires, so that this one lives long.

Source: measured with c2pa-rs 0.91; public leaves live 366 days at most and need a time-stamp.
"""

PEM_LIMIT = 1_000_000
"""Bytes of one PEM file. The published C2PA trust lists are below 100 kB."""

PRIVATE_ALGORITHMS = "ES256, ES384, ES512, Ed25519 or PS256"


class BadSigner(NotAcceptable):
    """This certificate chain or key cannot sign."""


class SignerExpired(Conflict):
    """The signing certificate is outside its time of validity."""


class NoSigner(NotFound):
    """There is no signing certificate here."""


class BadAnchors(NotAcceptable):
    """This file holds no certificates."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SigningIdentity:
    """A chain (leaf first) and its private key, both PEM, ready to sign. The key never shows in a repr or a log."""

    chain_pem: bytes
    key_pem: bytes = dataclasses.field(repr=False)
    algorithm: str
    """`es256`, `es384`, `es512`, `ed25519` or `ps256`."""
    name: str
    fingerprint: bytes
    """SHA-256 of the leaf, DER."""
    not_after: datetime.datetime
    development: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Roots that verifying may end in: this installation's own (never publicly trusted), and the operator's."""

    development_pem: str = ""
    operator_pem: str = ""


def signing_identity(folder: Path, *, now: datetime.datetime | None = None) -> SigningIdentity:
    """Return who signs here: the operator's chain if there is one, else the development chain, made if absent.

    `folder` is the `pki` folder. Raises: BadSigner, SignerExpired.
    """
    operator = folder / "operator"
    if operator.is_dir():
        return load_identity(operator, development=False, now=now)
    return load_identity(make_development_chain(folder), development=True, now=now)


def make_development_chain(folder: Path, *, renew: bool = False) -> Path:
    """Return the folder of the development chain, made now if it is absent, or in any case with `renew`.

    Two processes may do this at once: both return the chain of the one that was first. A chain that is renewed is kept
    beside the new one, so that what it signed still verifies.
    """
    folder.mkdir(mode=SECRET_FOLDER_MODE, parents=True, exist_ok=True)
    final = folder / "development"
    if final.is_dir() and not renew:
        return final
    unfinished = folder / f".development-{new_id().hex}"
    unfinished.mkdir(mode=SECRET_FOLDER_MODE)
    try:
        for name, content in _development_files().items():
            write_secret(unfinished / name, content)
        if renew and final.is_dir():
            final.rename(folder / f"development-{new_id().hex[:12]}")
        try:
            # A rename onto a folder that is not empty fails: the other process was first, and its chain is ours too.
            unfinished.rename(final)
        except OSError:
            if not final.is_dir():
                raise
        _make_durable(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return final


def load_identity(folder: Path, *, development: bool, now: datetime.datetime | None = None) -> SigningIdentity:
    """Return the chain and key in a folder (`chain.pem`, `key.pem`), checked to be able to sign a claim now.

    Raises: NoSigner, BadSigner, SignerExpired.
    """
    chain_pem, key_pem = _read(folder / "chain.pem"), _read(folder / "key.pem")
    hint = f"{folder}: chain.pem holds the leaf first, then its intermediates; key.pem its key, PKCS#8, no password"
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise BadSigner(f"cannot be read: {error}", hint=hint) from None
    leaf = chain[0]
    if not isinstance(key, (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)):
        raise BadSigner(f"a key of this kind cannot sign a claim; {PRIVATE_ALGORITHMS} can", hint=hint)
    if _public_bytes(key.public_key()) != _public_bytes(leaf.public_key()):
        raise BadSigner("the key is not the key of the first certificate", hint=hint)
    _check_leaf(leaf, hint)
    _check_time(leaf, development=development, now=now)
    return SigningIdentity(
        chain_pem=chain_pem,
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        algorithm=_algorithm(key),
        name=_name_of(leaf),
        fingerprint=leaf.fingerprint(hashes.SHA256()),
        not_after=leaf.not_valid_after_utc,
        development=development,
    )


def load_anchors(folder: Path) -> Anchors:
    """Return the roots to verify against. Nothing is fetched; a folder that is not there holds none.

    Raises: BadAnchors for a file in `anchors/` that is no PEM of certificates.
    """
    own = [_read(path).decode("ascii", "replace") for path in sorted(folder.glob("development*/root.pem"))]
    theirs = []
    for path in sorted((folder / "anchors").glob("*.pem")):
        content = _read(path)
        try:
            x509.load_pem_x509_certificates(content)
        except ValueError as error:
            raise BadAnchors(f"{path.name}: {error}", hint="remove the file, or put PEM certificates into it") from None
        theirs.append(content.decode("ascii", "replace"))
    return Anchors(development_pem="\n".join(own), operator_pem="\n".join(theirs))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(PEM_LIMIT + 1)
    except FileNotFoundError:
        raise NoSigner(f"{path} is not there", hint="`memoryd pki init` makes a development chain") from None
    if len(content) > PEM_LIMIT:
        raise BadSigner(f"{path.name} is larger than {PEM_LIMIT} bytes (PEM_LIMIT)", hint="is it the right file?")
    return content


def _check_leaf(leaf: x509.Certificate, hint: str) -> None:
    # The shapes that c2pa-rs refuses, told before signing and in words. Source: measured matrix of 31 shapes.
    extensions = leaf.extensions
    try:
        usages = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        key_usage = extensions.get_extension_for_class(x509.KeyUsage).value
        extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound as error:
        raise BadSigner(f"the certificate lacks an extension that C2PA asks for: {error}", hint=hint) from None
    allowed = {ExtendedKeyUsageOID.EMAIL_PROTECTION, CLAIM_SIGNING, x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")}
    if not usages & allowed:
        raise BadSigner("its extended key usage has none of emailProtection, documentSigning, c2pa-kp-claimSigning")
    if not key_usage.digital_signature:
        raise BadSigner("its key usage does not allow digital signatures", hint=hint)
    if leaf.issuer == leaf.subject:
        raise BadSigner(
            "it is signed by itself, which C2PA refuses", hint="use a leaf issued by a certificate authority"
        )


def _check_time(leaf: x509.Certificate, *, development: bool, now: datetime.datetime | None) -> None:
    moment = now or datetime.datetime.now(datetime.UTC)
    renewal = "`memoryd pki init --renew`" if development else "ask your certificate authority for a new one"
    if moment > leaf.not_valid_after_utc:
        raise SignerExpired(f"it expired at {leaf.not_valid_after_utc.isoformat()}", hint=renewal)
    if moment < leaf.not_valid_before_utc:
        raise SignerExpired(f"it is valid from {leaf.not_valid_before_utc.isoformat()}", hint="is the clock right?")


def _algorithm(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> str:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if key.curve.name not in curves:
        raise BadSigner(f"the curve {key.curve.name} cannot sign a claim", hint=f"use {PRIVATE_ALGORITHMS}")
    return curves[key.curve.name]


def _public_bytes(key: object) -> bytes:
    assert hasattr(key, "public_bytes")
    spelled: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return spelled


def _name_of(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _make_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _development_files() -> dict[str, bytes]:
    root_key, intermediate_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _authority(DEVELOPMENT_ROOT_NAME, root_key, issuer=None, path_length=1)
    intermediate = _authority(DEVELOPMENT_INTERMEDIATE_NAME, intermediate_key, issuer=(root, root_key), path_length=0)
    leaf = _leaf(leaf_key, intermediate, intermediate_key)
    pem = serialization.Encoding.PEM
    return {
        "chain.pem": leaf.public_bytes(pem) + intermediate.public_bytes(pem),
        "root.pem": root.public_bytes(pem),
        "key.pem": leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    }


def _builder(name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name | None) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, DEVELOPMENT_ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A little back, for machines of one studio whose clocks differ.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DEVELOPMENT_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    path_length: int,
) -> x509.Certificate:
    builder = (
        _builder(name, key, issuer[0].subject if issuer else None)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    if issuer:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
        builder = builder.add_extension(authority, critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


def _leaf(
    key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION, CLAIM_SIGNING])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        _builder(DEVELOPMENT_NAME, key, issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(usages, critical=False)
        .add_extension(authority, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=not signs_certificates,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
