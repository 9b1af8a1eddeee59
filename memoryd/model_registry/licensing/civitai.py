"""The permissions of a Civitai page as terms. They are a licence of their own beside that of the base, which stays.

Source: github.com/civitai/civitai, prisma enum CommercialUse and components/PermissionIndicator.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from types import MappingProxyType

from memoryd.foundation.canonical_json import Json
from memoryd.model_registry.licensing.terms import Answer, Attribution, AttributionWhen, Clause, Confidence, Terms
from memoryd.weights.sidecars import Permissions

USES = ("Image", "RentCivit", "Rent", "Sell")
"""In this order; until 2024 a page had one of them, which included those before it."""

_VERSION = "2026-11-22"
_ID = re.compile(
    r"^civitai-(credit|nocredit|askcredit)-(ask|none|[irts]+)-(merge|nomerge|askmerge)-(same|any|asklicence)$"
)
_LETTERS = {"Image": "i", "RentCivit": "r", "Rent": "t", "Sell": "s"}
_NAMED = {
    "Image": "selling what was made",
    "RentCivit": "running it on Civitai",
    "Rent": "running it on other services",
    "Sell": "selling the model",
}


def read_permissions(stated: Mapping[str, Json]) -> Permissions:
    """Return permissions as a page's JSON states them, under either way of writing their names; None: not said."""

    def flag(*names: str) -> bool | None:
        return next((value for name in names if isinstance(value := stated.get(name), bool)), None)

    return Permissions(
        allow_no_credit=flag("allowNoCredit", "allow_no_credit"),
        allow_commercial_use=read_uses(stated.get("allowCommercialUse", stated.get("allow_commercial_use"))),
        allow_derivatives=flag("allowDerivatives", "allow_derivatives"),
        allow_different_license=flag("allowDifferentLicense", "allow_different_license"),
    )


def read_uses(stated: Json) -> tuple[str, ...] | None:
    """Return the commercial uses that a page allows, however it writes them; None where it does not say, or says another word.

    A list (`["Image", "Rent"]`), Postgres's own spelling of one (`{Image,Rent}`), a set of bits (1 image … 8 sell), or the
    one word of older pages, which includes those before it.
    """
    if isinstance(stated, bool) or stated is None:
        return () if stated is False else None
    if isinstance(stated, int):
        return tuple(use for bit, use in enumerate(USES) if stated >> bit & 1) if 0 <= stated < 2 ** len(USES) else None
    if isinstance(stated, str):
        text = stated.strip()
        if text.startswith("{") and text.endswith("}"):
            return read_uses([part.strip().strip('"') for part in text[1:-1].split(",") if part.strip()])
        return _included(text)
    if isinstance(stated, (list, tuple)):
        words = [str(word).strip().casefold() for word in stated]
        known = {use.casefold(): use for use in USES}
        if any(word not in known and word != "none" for word in words):
            return None
        return tuple(use for use in USES if use.casefold() in words)
    return None


def permissions_id(permissions: Permissions) -> str:
    """Return the id of the licence that these permissions are: equal permissions, equal id."""
    uses = permissions.allow_commercial_use
    letters = "ask" if uses is None else "".join(_LETTERS[use] for use in USES if use in uses) or "none"
    return "-".join(
        (
            "civitai",
            _word(permissions.allow_no_credit, "nocredit", "credit", "askcredit"),
            letters,
            _word(permissions.allow_derivatives, "merge", "nomerge", "askmerge"),
            _word(permissions.allow_different_license, "any", "same", "asklicence"),
        )
    )


def permissions_of(id_: str) -> Permissions | None:
    """Return the permissions that an id spells, None where it is none of these."""
    match = _ID.match(id_)
    if match is None:
        return None
    credit, letters, merge, licence = match.groups()
    uses = None if letters == "ask" else tuple(u for u in USES if letters != "none" and _LETTERS[u] in letters)
    return Permissions(
        allow_no_credit={"nocredit": True, "credit": False}.get(credit),
        allow_commercial_use=uses,
        allow_derivatives={"merge": True, "nomerge": False}.get(merge),
        allow_different_license={"any": True, "same": False}.get(licence),
    )


def terms_of_permissions(permissions: Permissions) -> Terms:
    """Return what these permissions say, as terms. What a page does not say stays unclear."""
    uses = permissions.allow_commercial_use
    clauses = {
        "outputs_commercial": Clause(section="allowCommercialUse: Image", says=_told(uses, ("Image",))),
        "model_commercial": Clause(section="allowCommercialUse", says=_told(uses, ("RentCivit", "Rent", "Sell"))),
        "hosting_restricted": Clause(section="allowCommercialUse: Rent", says=_told(uses, ("RentCivit", "Rent"))),
    }
    attribution = None
    if permissions.allow_no_credit is not True:
        unsaid = permissions.allow_no_credit is None
        text = "whether the creator is to be credited is not said" if unsaid else "credit the creator of the model"
        attribution = Attribution(text=text, when=AttributionWhen.OUTPUTS)
        clauses["attribution"] = Clause(section="allowNoCredit", says=text)
    if permissions.allow_derivatives is False:
        clauses["derivatives_allowed"] = Clause(section="allowDerivatives", says="merges of it may not be shared")
    if permissions.allow_different_license is False:
        clauses["share_alike"] = Clause(section="allowDifferentLicense", says="merges of it keep these permissions")
    return Terms(
        id=permissions_id(permissions),
        version=_VERSION,
        title=f"Civitai permissions: {_summary(permissions)}",
        spdx=f"LicenseRef-memoryd-{permissions_id(permissions)}",
        url="https://civitai.com/content/tos",
        text_sha256=None,
        outputs_commercial=Answer.UNCLEAR if uses is None else Answer.YES if "Image" in uses else Answer.NO,
        model_commercial=_model(uses),
        attribution=attribution,
        derivatives_allowed=permissions.allow_derivatives is not False,
        share_alike=permissions.allow_different_license is False,
        hosting_restricted=uses is None or "Rent" not in uses,
        confidence=Confidence.HIGH,
        verified_at=datetime.date(2026, 11, 22),
        verified_by="the page's own flags, as the file beside the model states them",
        clauses=MappingProxyType(clauses),
        notes="The licence of the base counts besides.",
    )


def _model(uses: tuple[str, ...] | None) -> Answer:
    if uses is None:
        return Answer.UNCLEAR
    # Using a model in one's own work is neither renting nor selling it: whoever may sell what it makes may use it.
    return Answer.YES if "Image" in uses else Answer.NO


def _included(word: str) -> tuple[str, ...] | None:
    if word.casefold() in ("none", ""):
        return () if word else None
    known = [use.casefold() for use in USES]
    return USES[: known.index(word.casefold()) + 1] if word.casefold() in known else None


def _word(said: bool | None, yes: str, no: str, unsaid: str) -> str:
    return unsaid if said is None else yes if said else no


def _told(uses: tuple[str, ...] | None, wanted: tuple[str, ...]) -> str:
    if uses is None:
        return "the page's permissions are not known"
    allowed = [_NAMED[use] for use in wanted if use in uses]
    denied = [_NAMED[use] for use in wanted if use not in uses]
    told = [f"{', '.join(names)} is {word}" for names, word in ((allowed, "allowed"), (denied, "not allowed")) if names]
    return "; ".join(told)


def _summary(permissions: Permissions) -> str:
    uses = permissions.allow_commercial_use
    return ", ".join(
        (
            _word(permissions.allow_no_credit, "no credit needed", "credit", "credit not said"),
            "commercial use not said" if uses is None else f"commercial use {'/'.join(uses) or 'none'}",
            _word(permissions.allow_derivatives, "merges", "no merges", "merges not said"),
            _word(permissions.allow_different_license, "any licence", "same permissions", "licence not said"),
        )
    )
