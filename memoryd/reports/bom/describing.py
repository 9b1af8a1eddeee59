"""Models as a bill of materials tells them: what the registry knows of each, who named which licence, and recalls."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from memoryd.clearance.recalls.standing import recalled
from memoryd.foundation.database import Session
from memoryd.model_registry import looking_up, origins
from memoryd.model_registry.facts import ModelDetail, OriginView
from memoryd.model_registry.licensing.granting import grants_of
from memoryd.model_registry.licensing.terms import Grant, GrantSource
from memoryd.reports.bom.facts import BomLicence, BomModel

TOLD_OF_FILES = {
    "modelspec.title": "title",
    "modelspec.author": "author",
    "modelspec.description": "description",
    "modelspec.architecture": "stated-architecture",
    "modelspec.date": "date",
    "modelspec.usage_hint": "usage-hint",
    "modelspec.trigger_phrase": "trigger-phrase",
    "modelspec.resolution": "resolution",
    "ss_base_model_version": "stated-base",
    "ss_training_started_at": "training-started",
    "ss_num_train_images": "training-images",
}
"""What a file says of itself that belongs on its card. Source: Stability-AI/ModelSpec; kohya-ss, train_network."""

CARD_TEXT_LIMIT = 500
"""Characters of one text on a card: what a file says of itself is hostile, and long."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A model as something names it."""

    role: str
    name: str
    sha256: bytes | None
    identified: str | None
    uses: int | None = None

    @property
    def ref(self) -> str:
        """Its name inside the bill: that of its bytes, where they are known."""
        return BomModel(role=self.role, name=self.name, sha256=self.sha256, identified=None).ref


def describe_models(session: Session, uses: Sequence[Use]) -> tuple[BomModel, ...]:
    """Return what is known of each; of several names of one file the first."""
    once: dict[str, Use] = {}
    for use in uses:
        known = once.get(use.ref)
        if known is None:
            once[use.ref] = use
        elif use.uses is not None:
            once[use.ref] = dataclasses.replace(known, uses=(known.uses or 0) + use.uses)
    sha256s = [use.sha256 for use in once.values() if use.sha256 is not None]
    known_here = set(looking_up.describe_names(session, sha256s)) if sha256s else set()
    grants = grants_of(session, sha256s) if sha256s else {}
    stopped = recalled(session, sha256s) if sha256s else {}
    parents = origins.list_parents(session, sha256s)
    return tuple(
        _described(
            use,
            looking_up.show_model(session, use.sha256) if use.sha256 in known_here and use.sha256 else None,
            grants.get(use.sha256, ()) if use.sha256 else (),
            parents.get(use.sha256, ()) if use.sha256 else (),
            stopped[use.sha256].in_words() if use.sha256 in stopped and use.sha256 else None,
        )
        for use in once.values()
    )


def _described(
    use: Use,
    detail: ModelDetail | None,
    grants: Sequence[Grant],
    parents: Sequence[OriginView],
    recalled_for: str | None,
) -> BomModel:
    plain = BomModel(
        role=use.role,
        name=use.name,
        sha256=use.sha256,
        identified=use.identified,
        licences=tuple(_licence(grant) for grant in grants),
        parents=tuple(dict.fromkeys(each.parent or each.stated for each in parents)),
        recalled=recalled_for,
        uses=use.uses,
    )
    if detail is None:
        return plain
    model, version = detail.model, detail.model.version
    return dataclasses.replace(
        plain,
        size=model.size,
        kind=model.kind,
        base=model.base,
        format=model.format,
        version=None if version is None else version.version,
        url=None if version is None else version.url,
        aliases={name: value for name, value in detail.aliases.items() if name in detail.measured},
        card=_card(detail.stated),
    )


def _licence(grant: Grant) -> BomLicence:
    terms = grant.terms
    return BomLicence(
        name=grant.name if terms is None else terms.title,
        spdx=None if terms is None else terms.spdx,
        url=None if terms is None else terms.url,
        declared=grant.source in (GrantSource.HEADER, GrantSource.SIDECAR, GrantSource.KNOWN_FILE),
        inherited=grant.inherited,
        text_sha256=grant.text_sha256,
    )


def _card(stated: Mapping[str, Any]) -> dict[str, str]:
    metadata = stated.get("metadata")
    if not isinstance(metadata, Mapping):
        return {}
    return {
        told: value[:CARD_TEXT_LIMIT]
        for key, told in TOLD_OF_FILES.items()
        if isinstance(value := metadata.get(key), str) and value.strip()
    }
