"""The C2PA library, as this room uses it: its settings in one place, its errors in our words.

Unknown settings are silently ignored by the library, and a Context does not survive a fork: each call makes its own.
Nothing is ever fetched: by default the library would follow an address inside an uploaded file.
Source: c2pa-python 0.38.1, measured.
"""

from __future__ import annotations

import json
from typing import BinaryIO

from c2pa import (  # type: ignore[import-untyped]
    Builder,
    C2paError,
    C2paSignerInfo,
    C2paSigningAlg,
    Context,
    Reader,
    Signer,
)

from memoryd.disclosure.manifest import CREATED_LABELS, IngredientSource, ManifestPlan
from memoryd.disclosure.pki import SigningIdentity
from memoryd.foundation.canonical_json import Json

_USAGES = "1.3.6.1.5.5.7.3.4\n1.3.6.1.5.5.7.3.36\n1.3.6.1.4.1.62558.2.1\n"
"""Extended key usages a signer may have, one a line: emailProtection, documentSigning, c2pa-kp-claimSigning.

Without the last, a chain of the C2PA programme is reported as *invalid*.
"""

_ALGORITHMS = {
    "es256": C2paSigningAlg.ES256,
    "es384": C2paSigningAlg.ES384,
    "es512": C2paSigningAlg.ES512,
    "ed25519": C2paSigningAlg.ED25519,
    "ps256": C2paSigningAlg.PS256,
}


def make_context(anchors_pem: str = "") -> Context:
    """Return a context that fetches nothing, makes no thumbnail and trusts the given roots alone."""
    settings: dict[str, Json] = {
        "verify": {
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
            "verify_after_sign": True,
            "verify_trust": True,
        },
        "builder": {"thumbnail": {"enabled": False}, "created_assertion_labels": list(CREATED_LABELS)},
    }
    trust: dict[str, Json] = {"trust_config": _USAGES}
    if anchors_pem:
        trust["trust_anchors"] = anchors_pem
    settings["trust"] = trust
    return Context.from_dict(settings)


def open_reader(file: BinaryIO, media_type: str, anchors_pem: str = "") -> Reader | None:
    """Return a reader of a file's manifest store, or None where the file carries none. Raises: C2paError."""
    file.seek(0)
    return Reader.try_create(media_type, file, context=make_context(anchors_pem))


def embed(
    plan: ManifestPlan, identity: SigningIdentity, media_type: str, source: BinaryIO, destination: BinaryIO
) -> None:
    """Write the source with the signed manifest put in; `destination` must be readable. Raises: C2paError, OSError."""
    definition = dict(plan.definition)
    described: list[Json] = [_described(item) for item in plan.ingredients if item.path is None]
    if described:
        definition["ingredients"] = described
    info = C2paSignerInfo(_ALGORITHMS[identity.algorithm], identity.chain_pem, identity.key_pem, None)
    with Signer.from_info(info) as signer, Builder(definition, context=make_context()) as builder:
        for item in plan.ingredients:
            if item.path is not None:
                with item.path.open("rb") as file:
                    builder.add_ingredient(json.dumps(_named(item)), item.media_type, file)
        builder.sign(signer, media_type, source, destination)


def _named(item: IngredientSource) -> dict[str, Json]:
    return {"title": item.title, "relationship": item.relationship, "label": item.label}


def _described(item: IngredientSource) -> dict[str, Json]:
    # Its bytes are not here; its content is named by hash, so that whoever has it can tell.
    described: dict[str, Json] = {**_named(item), "format": item.media_type}
    if item.sha256 is not None:
        described["instance_id"] = f"sha256:{item.sha256.hex()}"
    return described


__all__ = ["C2paError", "Reader", "embed", "make_context", "open_reader"]
