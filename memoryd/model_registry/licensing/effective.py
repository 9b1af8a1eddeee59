"""The terms that count in a tenant: the shipped table, with what people of the tenant added and changed."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound
from memoryd.model_registry.licensing import queries, shipped_table
from memoryd.model_registry.licensing.civitai import permissions_of, terms_of_permissions
from memoryd.model_registry.licensing.documents import changed_document, read_terms
from memoryd.model_registry.licensing.names import known_names, plain_name
from memoryd.model_registry.licensing.terms import Terms


class LicenceNotKnown(NotFound):
    """Nobody knows terms of such a licence."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LicenceVersion:
    """What a person made of a licence, and why."""

    version: int
    added: bool
    """A licence that the person brought, instead of a change of the shipped one."""
    changes: Mapping[str, Json]
    reasons: Mapping[str, str]
    reason: str
    by: UUID | None
    at: datetime.datetime
    ended_at: datetime.datetime | None


class TermsTable:
    """Every licence of a tenant as it counts now: one reading serves a whole question."""

    def __init__(self, session: Session) -> None:
        """Read what people of the tenant changed; the shipped table is in memory."""
        self._documents: dict[str, Mapping[str, Any]] = dict(shipped_table.documents())
        self._local: dict[str, int] = {}
        for row in queries.list_present(session):
            document = row.document if row.document is not None else self._documents.get(row.licence)
            if document is None:
                continue  # the shipped licence that it changed is no longer shipped
            self._documents[row.licence] = changed(document, row.changes, row.reasons)
            self._local[row.licence] = row.version
        # What people of the tenant call a licence counts before what everybody calls one.
        own = known_names(self._documents[licence] for licence in self._local)
        self._names = {**shipped_table.names(), **own}
        self._terms: dict[str, Terms] = {}

    @property
    def ids(self) -> list[str]:
        """The ids of all licences, in order."""
        return sorted(self._documents)

    def find(self, id_: str) -> Terms | None:
        """Return the terms of the licence with this id."""
        if id_ not in self._terms:
            permissions = permissions_of(id_)
            document = self._documents.get(id_)
            if document is not None:
                local = self._local.get(id_)
                own = str(document.get("version", document["verified_at"]))
                self._terms[id_] = read_terms(document, version=own if local is None else f"{own}+local.{local}")
            elif permissions is not None:
                self._terms[id_] = terms_of_permissions(permissions)
        return self._terms.get(id_)

    def match(self, name: str, url: str | None = None) -> Terms | None:
        """Return the terms of the licence that somebody named so, None where nobody knows one of that name (INV-7).

        Nobody knows either where name and address mean two licences.
        """
        named, addressed = self._names.get(plain_name(name)), self._names.get(plain_name(url)) if url else None
        if named is not None and addressed is not None and named != addressed:
            return None
        return self.find(named or addressed or name)

    def document(self, id_: str) -> Mapping[str, Any] | None:
        """Return a licence's document as it counts now; None where it has none."""
        return self._documents.get(id_)

    def is_local(self, id_: str) -> bool:
        """Tell whether a person of the tenant added or changed it."""
        return id_ in self._local


def changed(document: Mapping[str, Any], changes: Mapping[str, Any], reasons: Mapping[str, Any]) -> dict[str, Json]:
    """Return a document with a person's changes, each with its own reason. Raises: BadTerms."""
    result = dict(document)
    for name, value in sorted(changes.items()):
        result = changed_document(result, {name: value}, str(reasons.get(name, "")))
    return result


def find_licence(session: Session, ref: str) -> tuple[TermsTable, Terms]:
    """Return the licence that `ref` names by id or any other name it goes by, and its table. Raises: LicenceNotKnown."""
    table = TermsTable(session)
    terms = table.find(ref) or table.match(ref)
    if terms is None:
        raise LicenceNotKnown(
            f"no licence goes by {ref[:200]!r}",
            hint="`memoryd licences list` shows them; add one: `memoryd licences add FILE`",
        )
    return table, terms


def list_versions(session: Session, licence: str) -> list[LicenceVersion]:
    """Return every version that people made of a licence, the latest first."""
    return [
        LicenceVersion(
            version=row.version,
            added=row.document is not None,
            changes=dict(row.changes),  # type: ignore[arg-type]
            reasons={name: str(reason) for name, reason in row.reasons.items()},
            reason=row.reason,
            by=row.person_id,
            at=row.at,
            ended_at=row.ended_at,
        )
        for row in queries.list_versions(session, licence)
    ]
