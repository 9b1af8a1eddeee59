"""Detached signatures over what is handed out (reports, receipts): who signed, when, and that not one byte was changed.

The signature is canonical JSON, verified offline. Signed is the canonical spelling of everything in it but the signature
itself, so that neither the content, nor the time, nor the chain can be exchanged.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import itertools

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from memoryd.disclosure.facts import SealState, SealVerdict
from memoryd.disclosure.pki import DEVELOPMENT_NAME, Anchors, SigningIdentity
from memoryd.foundation.canonical_json import Json, canonical_bytes, read_json
from memoryd.foundation.errors import MemorydError

FORMAT = "memoryd.detached-signature/1"
SIGNATURE_BYTES_LIMIT = 200_000
"""Bytes of a signature that is read: a chain of CHAIN_LIMIT certificates is below 40 kB."""
CHAIN_LIMIT = 8
"""Certificates of one chain."""

_HASHES: dict[str, type[hashes.SHA256] | type[hashes.SHA384] | type[hashes.SHA512]] = {
    "es256": hashes.SHA256,
    "es384": hashes.SHA384,
    "es512": hashes.SHA512,
    "ps256": hashes.SHA256,
}

_UNREADABLE = (MemorydError, ValueError, TypeError, KeyError)
_UNREADABLE_CERTIFICATE = (
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What reading a damaged certificate raises, found by damaging every byte of one."""


def seal(content: bytes, identity: SigningIdentity, *, now: datetime.datetime | None = None) -> bytes:
    """Return the signature of these bytes (canonical JSON, ASCII, one newline at the end)."""
    chain = x509.load_pem_x509_certificates(identity.chain_pem)
    moment = (now or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC)
    payload: dict[str, Json] = {
        "format": FORMAT,
        "algorithm": identity.algorithm,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "signed_at": moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "signer": identity.name,
        "chain": [base64.b64encode(each.public_bytes(serialization.Encoding.DER)).decode("ascii") for each in chain],
    }
    signature = _sign(identity, canonical_bytes(payload))
    return canonical_bytes({**payload, "signature": base64.b64encode(signature).decode("ascii")}) + b"\n"


def verify_seal(content: bytes, sealed: bytes, anchors: Anchors) -> SealVerdict:
    """Return the verdict on these bytes and their signature's. Raises nothing for what they hold."""
    try:
        return _verify(content, sealed, anchors)
    except (*_UNREADABLE, *_UNREADABLE_CERTIFICATE) as error:
        return SealVerdict(state=SealState.UNREADABLE, detail=f"the signature cannot be read: {type(error).__name__}")


def _verify(content: bytes, sealed: bytes, anchors: Anchors) -> SealVerdict:
    parsed = read_json(sealed)
    if not isinstance(parsed, dict) or parsed.get("format") != FORMAT:
        return SealVerdict(state=SealState.UNREADABLE, detail=f"not a signature of the form {FORMAT}")
    if canonical_bytes(parsed) + b"\n" != sealed:
        return _changed("the signature file was changed: it is not in its one spelling")
    payload = {name: value for name, value in parsed.items() if name != "signature"}
    listed = payload["chain"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= CHAIN_LIMIT:
        return SealVerdict(state=SealState.UNREADABLE, detail="the signature names no chain")
    chain = [x509.load_der_x509_certificate(base64.b64decode(str(each), validate=True)) for each in listed]
    signature = base64.b64decode(str(parsed["signature"]), validate=True)
    if base64.b64encode(signature).decode("ascii") != parsed["signature"]:
        # The last character before the padding has bits that decoding drops.
        return _changed("the signature file was changed: its signature is not in its one spelling")
    if not _fits(chain[0], str(payload["algorithm"]), signature, canonical_bytes(payload)):
        return _changed("the signature does not fit: the signature file was changed")
    digest = hashlib.sha256(content).hexdigest()
    if payload["sha256"] != digest or payload["size"] != len(content):
        return _changed("the content was changed after it was signed")
    signed_at = str(payload["signed_at"])
    by = _trusted_by(chain, anchors, datetime.datetime.fromisoformat(signed_at.replace("Z", "+00:00")))
    return SealVerdict(
        state=SealState.INTACT if by else SealState.INTACT_UNKNOWN_SIGNER,
        detail="not one byte was changed since it was signed",
        signer=_signer(chain[0]),
        signed_at=signed_at,
        trusted_by=by,
        sha256=digest,
    )


def _changed(detail: str) -> SealVerdict:
    return SealVerdict(state=SealState.CHANGED, detail=detail)


def _sign(identity: SigningIdentity, message: bytes) -> bytes:
    key = serialization.load_pem_private_key(identity.key_pem, password=None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    digest = _HASHES[identity.algorithm]()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.sign(message, ec.ECDSA(digest))


def _fits(leaf: x509.Certificate, algorithm: str, signature: bytes, message: bytes) -> bool:
    key = leaf.public_key()
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        elif isinstance(key, rsa.RSAPublicKey):
            digest = _HASHES[algorithm]()
            key.verify(signature, message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(_HASHES[algorithm]()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _trusted_by(chain: list[x509.Certificate], anchors: Anchors, moment: datetime.datetime) -> str | None:
    for pem, words in (
        (anchors.operator_pem, "an anchor that the operator of this installation trusts"),
        (anchors.development_pem, "this installation's own development root, which is not a public identity"),
    ):
        roots = x509.load_pem_x509_certificates(pem.encode()) if pem else []
        if any(_leads_to(chain, root, moment) for root in roots):
            return words
    return None


def _leads_to(chain: list[x509.Certificate], root: x509.Certificate, moment: datetime.datetime) -> bool:
    links = [*chain, root] if chain[-1] != root else chain
    for below, above in itertools.pairwise(links):
        try:
            below.verify_directly_issued_by(above)
            authority = above.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        if not authority:
            return False
    return all(each.not_valid_before_utc <= moment <= each.not_valid_after_utc for each in links)


def _signer(leaf: x509.Certificate) -> str:
    names = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = str(names[0].value) if names else leaf.subject.rfc4514_string()
    return name if name != DEVELOPMENT_NAME else f"{name} (development certificate)"
