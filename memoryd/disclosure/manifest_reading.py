"""What a manifest store says, read from the library's JSON: hostile texts clipped, loops and depth bounded. Pure."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from memoryd.disclosure.facts import (
    ActionShown,
    GeneratedByAi,
    ManifestShown,
    Reason,
    Share,
    SignerShown,
    SourceType,
    Trust,
)
from memoryd.disclosure.manifest import GENERATION_LABEL
from memoryd.disclosure.pki import DEVELOPMENT_NAME
from memoryd.foundation.canonical_json import Json

TEXT_LIMIT = 300
"""Characters of one text from a manifest that are shown."""

MANIFEST_LIMIT = 500
"""Manifests of one file that are walked. The longest honest history known to us is below 30."""

DEPTH_LIMIT = 100
"""Steps back in a file's history that are walked."""

NOT_DEFECTS = frozenset({"signingCredential.untrusted", "timeStamp.untrusted", "timeStamp.untrustedCredential"})
"""Codes that tell who vouches for a signer, not that something was changed."""

_AI_TYPES = {
    SourceType.TRAINED.word: GeneratedByAi.YES,
    "trainedAlgorithmicData": GeneratedByAi.YES,
    SourceType.COMPOSITE_TRAINED.word: GeneratedByAi.PARTLY,
    "compositeSynthetic": GeneratedByAi.PARTLY,
}

_WORDS = {
    "signingCredential.untrusted": "nobody whom this installation trusts vouches for the signer",
    "signingCredential.invalid": "the certificate may not sign content credentials",
    "signingCredential.expired": "the certificate has expired, and no trusted time-stamp says that it was signed before",
    "signingCredential.revoked": "the certificate was revoked",
    "claimSignature.mismatch": "the signature does not fit the claim: it was changed, or signed with another key",
    "claimSignature.outsideValidity": "it was signed while the certificate was not valid",
    "assertion.dataHash.mismatch": "the file was changed after it was signed",
    "assertion.bmffHash.mismatch": "the file was changed after it was signed",
    "assertion.boxesHash.mismatch": "the file was changed after it was signed",
    "assertion.hashedURI.mismatch": "a statement in the manifest was changed after it was signed",
    "assertion.missing": "a statement that was signed is missing",
    "assertion.action.malformed": "the list of actions breaks the rules",
    "manifest.multipleParents": "the manifest names two parents, which the rules forbid",
    "ingredient.manifest.missing": "the record of something it was made from is missing",
    "ingredient.hashedURI.mismatch": "the record of something it was made from was changed",
    "claim.missing": "the manifest holds no claim",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """One edge of the history: what the manifest says of something that went into it."""

    relationship: str
    title: str
    label: str | None
    failures: tuple[Reason, ...]


def clip(value: object, limit: int = TEXT_LIMIT) -> str:
    """Return a text from a manifest fit to be shown: without control characters, at most `limit` characters."""
    text = "".join(mark if mark.isprintable() else " " for mark in str(value)[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def in_words(code: str, explanation: str = "") -> str:
    """Return a validation code in a sentence for people; a code we have no sentence for, with the library's own words."""
    return _WORDS.get(code, clip(f"{code}: {explanation}" if explanation else code))


def members(value: object) -> Mapping[str, Json]:
    """Return a JSON object's members, none where it is no object."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Json]:
    """Return a JSON array's items, none where it is no array."""
    return value if isinstance(value, list) else []


def failures_in(results: object, layer: str) -> tuple[Reason, ...]:
    """Return the failures of a `validation_results` object or a list of statuses, each in words."""
    if isinstance(results, list):
        statuses = results
    else:
        statuses = items(members(members(results).get("activeManifest")).get("failure"))
    found: dict[str, Reason] = {}
    for status in map(members, statuses):
        code = clip(status.get("code", "unknown"))
        detail = in_words(code, str(status.get("explanation", "")))
        found.setdefault(code, Reason(layer=layer, code=code, detail=detail, bad=code not in NOT_DEFECTS))
    return tuple(found.values())


def ingredients_of(manifest: Mapping[str, Json]) -> Iterator[Ingredient]:
    """Yield what a manifest says it was made from, with what is wrong about each."""
    for ingredient in map(members, items(manifest.get("ingredients"))):
        label = ingredient.get("active_manifest")
        title = clip(ingredient.get("title", "an unnamed ingredient"))
        layer = f"history: {title}"
        results = ingredient.get("validation_results")
        failures = failures_in(results, layer)
        for delta in map(members, items(members(results).get("ingredientDeltas"))):
            failures += failures_in({"activeManifest": delta.get("validationDeltas")}, layer)
        failures += failures_in(items(ingredient.get("validation_status")), layer)
        yield Ingredient(
            relationship=clip(ingredient.get("relationship", "")),
            title=title,
            label=label if isinstance(label, str) else None,
            failures=tuple({failure.code: failure for failure in failures}.values()),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One manifest met on the way back. `edge` is None for the file's own; `manifest` is empty where there is none."""

    depth: int
    label: str
    edge: Ingredient | None
    share: Share
    manifest: Mapping[str, Json]


def walk(store: Mapping[str, Json]) -> Iterator[Step]:
    """Yield the file's own manifest, then back through everything it was made from, breadth first.

    Each manifest is yielded once; a store that names itself in a circle ends. Bounded by MANIFEST_LIMIT and DEPTH_LIMIT.
    """
    manifests = members(store.get("manifests"))
    active = store.get("active_manifest")
    if not isinstance(active, str):
        return
    waiting: deque[tuple[int, str, Ingredient | None, Share]] = deque([(0, active, None, Share.WHOLE)])
    seen: set[str] = set()
    for _ in range(MANIFEST_LIMIT):
        if not waiting:
            return
        depth, label, edge, share = waiting.popleft()
        manifest = members(manifests.get(label)) if label not in seen else {}
        seen.add(label)
        yield Step(depth=depth, label=label, edge=edge, share=share, manifest=manifest)
        if depth < DEPTH_LIMIT:
            waiting += [
                (depth + 1, below.label or "", below, _share(share, below.relationship))
                for below in ingredients_of(manifest)
            ]


def _share(above: Share, relationship: str) -> Share:
    if above is Share.NOTHING or relationship == "inputTo":
        return Share.NOTHING
    return above if relationship == "parentOf" else Share.PART


def shown(step: Step, trust: Trust) -> ManifestShown:
    """Return one manifest of the history as it is shown."""
    edge, manifest = step.edge, step.manifest
    generators = [members(entry) for entry in items(manifest.get("claim_generator_info"))]
    names = [clip(f"{entry.get('name', '')} {entry.get('version', '')}".strip()) for entry in generators[:3]]
    return ManifestShown(
        label=clip(step.label),
        depth=step.depth,
        title=edge.title if edge else clip(manifest.get("title") or ""),
        relationship=edge.relationship if edge else None,
        signer=signer_of(manifest, trust),
        generator=", ".join(names) or clip(manifest.get("claim_generator") or ""),
        share=step.share,
        actions=actions_of(manifest),
        verifies=edge is None or not any(failure.bad for failure in edge.failures),
    )


def signer_of(manifest: Mapping[str, Json], trust: Trust) -> SignerShown | None:
    """Return who signed a manifest, as its certificate says, or None where it is not said."""
    signature = members(manifest.get("signature_info"))
    if not signature:
        return None
    name = clip(signature.get("common_name") or signature.get("issuer") or "unnamed")
    time = signature.get("time")
    return SignerShown(
        name=name,
        organisation=clip(signature.get("issuer") or ""),
        serial=clip(signature.get("cert_serial_number") or ""),
        algorithm=clip(signature.get("alg") or ""),
        trust=trust,
        development=name == DEVELOPMENT_NAME,
        signed_at=clip(time) if isinstance(time, str) else None,
    )


def actions_of(manifest: Mapping[str, Json]) -> tuple[ActionShown, ...]:
    """Return a manifest's actions, in order."""
    actions = []
    for assertion in map(members, items(manifest.get("assertions"))):
        if not str(assertion.get("label", "")).startswith("c2pa.actions"):
            continue
        for action in map(members, items(members(assertion.get("data")).get("actions"))[:MANIFEST_LIMIT]):
            source_type, when = action.get("digitalSourceType"), action.get("when")
            actions.append(
                ActionShown(
                    action=clip(action.get("action", "")),
                    source_type=clip(source_type) if isinstance(source_type, str) else None,
                    software=_software(action.get("softwareAgent")),
                    when=clip(when) if isinstance(when, str) else None,
                )
            )
    return tuple(actions)


def generation_in(manifest: Mapping[str, Json]) -> dict[str, Json] | None:
    """Return our own generation assertion of a manifest, or None."""
    for assertion in map(members, items(manifest.get("assertions"))):
        data = assertion.get("data")
        if assertion.get("label") == GENERATION_LABEL and isinstance(data, dict):
            return data
    return None


def said_about_ai(manifests: Iterable[ManifestShown]) -> GeneratedByAi:
    """Return what the whole history says about a trained model's part: yes beats partly beats no beats silence.

    What the file was made from counts as far as it is in the file: a parent wholly, a component as a part, and what
    only steered not at all.
    """
    said: set[GeneratedByAi] = set()
    for manifest in manifests:
        for action in manifest.actions:
            if action.source_type is None or manifest.share is Share.NOTHING:
                continue
            answer = _AI_TYPES.get(action.source_type.rsplit("/", 1)[-1], GeneratedByAi.NO)
            if manifest.share is Share.PART and answer is GeneratedByAi.YES:
                answer = GeneratedByAi.PARTLY
            said.add(answer)
    for answer in (GeneratedByAi.YES, GeneratedByAi.PARTLY, GeneratedByAi.NO):
        if answer in said:
            return answer
    return GeneratedByAi.SILENT


def _software(agent: object) -> str | None:
    if isinstance(agent, str):
        return clip(agent)
    named = members(agent)
    if not named:
        return None
    return clip(f"{named.get('name', '')} {named.get('version', '') or ''}".strip())
