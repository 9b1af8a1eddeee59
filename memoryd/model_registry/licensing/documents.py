"""Terms as JSON documents (`schemas/licence.v1.schema.json`): checked, read, changed."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from memoryd.foundation.canonical_json import Json, canonical_bytes, read_json
from memoryd.foundation.errors import MemorydError, NotAcceptable
from memoryd.foundation.texts import storable
from memoryd.model_registry.licensing.terms import (
    AboveCap,
    Answer,
    Attribution,
    AttributionWhen,
    Clause,
    Confidence,
    RevenueCap,
    Terms,
)
from memoryd.shipped import shipped

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

SCHEMA = "licence.v1.schema.json"
DOCUMENT_LIMIT = 64 * 1024
LINE_LIMIT = 500
"""Characters of a line, as the schema has them."""
"""Bytes of one licence's document; the longest that ships has about 4,000."""
FIXED = ("schema", "id", "aliases", "models")
"""Members that say which licence it is: never overridden."""
OVERRIDE_SECTION = "override"
"""Stands as the section of a clause that a person of the tenant changed."""

_TERRITORIES = {"UK": "GB"}


class BadTerms(NotAcceptable):
    """These are no terms of a licence."""


def check_document(document: Json) -> dict[str, Json]:
    """Return a licence's document when the schema accepts it. Raises: BadTerms."""
    try:
        spelled = canonical_bytes(document)
    except MemorydError as unspelled:
        raise BadTerms(f"not plain JSON: {unspelled.detail[:200]}", hint=_see()) from None
    if storable(json.dumps(document, ensure_ascii=False))[1]:
        raise BadTerms("half of a character (a lone surrogate) stands in it", hint="save the file as UTF-8")
    if len(spelled) > DOCUMENT_LIMIT:
        raise BadTerms(
            f"{len(spelled)} bytes (DOCUMENT_LIMIT is {DOCUMENT_LIMIT})", hint="terms only; the text stays where it is"
        )
    wrong = sorted(_validator().iter_errors(document), key=lambda error: [str(part) for part in error.absolute_path])
    if wrong:
        place = ".".join(str(part) for part in wrong[0].absolute_path) or "the document"
        raise BadTerms(f"{place}: {str(wrong[0].message)[:300]}", hint=_see())
    assert isinstance(document, dict)
    _date(str(document["verified_at"]))
    return document


def read_terms(document: Mapping[str, Any], *, version: str | None = None) -> Terms:
    """Return the terms that a checked document states; `version` in place of its own."""
    text, cap, attribution = document.get("text"), document.get("revenue_cap"), document.get("attribution")
    return Terms(
        id=document["id"],
        version=version if version is not None else document.get("version", document["verified_at"]),
        title=document["title"],
        spdx=document.get("spdx", f"LicenseRef-memoryd-{document['id']}"),
        url=document.get("url"),
        text_sha256=bytes.fromhex(text["sha256"]) if text else None,
        outputs_commercial=Answer(document["outputs_commercial"]),
        model_commercial=Answer(document["model_commercial"]),
        revenue_cap=RevenueCap(amount=cap["amount"], currency=cap["currency"], above=AboveCap(cap["above"]))
        if cap
        else None,
        users_cap=document.get("users_cap"),
        registration=document.get("registration", False),
        territory_excluded=tuple(
            dict.fromkeys(_TERRITORIES.get(code, code) for code in document.get("territory_excluded", ()))
        ),
        outputs_bound_to_territory=document.get("outputs_bound_to_territory", False),
        attribution=Attribution(text=attribution["text"], when=AttributionWhen(attribution["when"]))
        if attribution
        else None,
        derivative_naming=document.get("derivative_naming"),
        derivatives_allowed=document.get("derivatives_allowed", True),
        share_alike=document.get("share_alike", False),
        training_ban=document.get("training_ban", False),
        use_restrictions=document.get("use_restrictions", False),
        aup_url=document.get("aup_url"),
        hosting_restricted=document.get("hosting_restricted", False),
        disclosure_duty=document.get("disclosure_duty"),
        disputed=document.get("disputed"),
        confidence=Confidence(document["confidence"]),
        verified_at=_date(document["verified_at"]),
        verified_by=document["verified_by"],
        clauses=MappingProxyType(
            {
                term: Clause(section=clause["section"], says=clause["says"])
                for term, clause in sorted(document.get("clauses", {}).items())
            }
        ),
        notes=document.get("notes", ""),
    )


def changed_document(document: Mapping[str, Json], changes: Mapping[str, Json], reason: str) -> dict[str, Json]:
    """Return a licence's document with members replaced; the clause of each changed term is the person's reason.

    Raises: BadTerms where a member cannot be changed, or the result is none that the schema accepts.
    """
    fixed = [name for name in changes if name in FIXED]
    if fixed:
        raise BadTerms(
            f"{fixed[0]} cannot be overridden", hint="add a licence of your own: `memoryd licences add FILE`"
        )
    clauses = dict(document["clauses"]) if isinstance(document.get("clauses"), dict) else {}  # type: ignore[arg-type]
    for term in changes:
        if term in clause_terms():
            clauses[term] = {"section": OVERRIDE_SECTION, "says": reason}
    # Who is surer than the table says so: nothing that memoryd read makes it so.
    surer = (
        {"verified_by": f"a person here: {' '.join(reason.split())}"[:LINE_LIMIT]} if "confidence" in changes else {}
    )
    return check_document({**document, "clauses": clauses, **surer, **changes})


def read_value(written: str) -> Json:
    """Return the value that a person writes for a term: JSON, else the word as it stands."""
    try:
        return read_json(written)
    except MemorydError:
        return written.strip()


@functools.cache
def clause_terms() -> frozenset[str]:
    """Return the names of the terms that a clause can stand for."""
    return frozenset(_schema()["$defs"]["term"]["enum"])


@functools.cache
def _schema() -> dict[str, Any]:
    read = read_json((shipped("schemas") / SCHEMA).read_bytes())
    assert isinstance(read, dict)
    return read


@functools.cache
def _validator() -> Draft202012Validator:
    # It takes a second to load, and few processes ever check a licence.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(_schema())


def _date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise BadTerms(f"verified_at: {text!r} is no day", hint="write it as 2026-11-22") from None


def _see() -> str:
    return f"see schemas/{SCHEMA} and docs/licences.md; `memoryd licences show apache-2.0 --json` is an example"
