"""What grants a licence to a model: the file, what lies beside it, its hash, its base, what it was made from, a person."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memoryd.foundation.database import Session
from memoryd.model_registry import origins
from memoryd.model_registry.facts import Ancestor, LicenceSource
from memoryd.model_registry.licensing import queries, shipped_table
from memoryd.model_registry.licensing.bases import ADAPTERS, bases_of, find_base, terms_of_base
from memoryd.model_registry.licensing.civitai import permissions_id, read_permissions
from memoryd.model_registry.licensing.effective import TermsTable
from memoryd.model_registry.licensing.names import lower
from memoryd.model_registry.licensing.terms import Grant, GrantSource, Terms, unknown_key
from memoryd.weights.kinds import ModelKind
from memoryd.weights.sidecars import Permissions

STATED_LIMIT = 500
"""Characters of a stated name that a grant shows."""

_KNOWING = frozenset({GrantSource.PERSON, GrantSource.KNOWN_FILE})
"""Who can say of an adapter which of a family's models it was made from, by how it is licensed."""

_SOURCES = {LicenceSource.FILE: GrantSource.HEADER, LicenceSource.PERSON: GrantSource.PERSON}


def grants_of(session: Session, sha256s: Iterable[bytes]) -> dict[bytes, tuple[Grant, ...]]:
    """Return for each model what grants it a licence; nothing where nobody granted anything (INV-7).

    A person's statement with a reason replaces the file's own ones. Inherited ones (of its base, of what it was made from)
    always stay, and can only restrict. A name that nobody knows terms for is a grant without terms.
    """
    wanted = list(dict.fromkeys(sha256s))
    if not wanted:
        return {}
    known = _Known(session, wanted)
    return {sha256: (*(own := known.own(sha256)), *known.inherited(sha256, own)) for sha256 in wanted}


def shown_of(grants: Iterable[Grant]) -> Grant | None:
    """Return the grant that a line has room for: a person's before others; never an inherited one, which grants nothing."""
    own = [grant for grant in grants if not grant.inherited]
    return min(own, key=lambda grant: grant.source is not GrantSource.PERSON, default=None)


@dataclasses.dataclass(frozen=True, slots=True)
class _Model:
    """What a model says of itself."""

    kind: str = ModelKind.UNKNOWN.value
    family: str | None = None
    bases: tuple[str, ...] = ()
    licence: str | None = None
    licence_url: str | None = None
    permissions: Permissions | None = None


class _Known:
    """What is known of some models and of all they were made from."""

    def __init__(self, session: Session, wanted: Sequence[bytes]) -> None:
        self.table = TermsTable(session)
        self.ancestors = origins.ancestors(session, wanted)
        met = {*wanted, *(one.sha256 for line in self.ancestors.values() for one in line if one.sha256 is not None)}
        self.models = {bytes(row.sha256): _read(row) for row in queries.list_models(session, sorted(met))}
        self.statements: defaultdict[bytes, list[Any]] = defaultdict(list)
        for row in queries.list_statements(session, sorted(met)):
            self.statements[bytes(row.model)].append(row)

    def own(self, sha256: bytes) -> tuple[Grant, ...]:
        """What grants a licence to the file itself."""
        stated = [self._stated(sha256, row) for row in self.statements[sha256]]
        people = [grant for grant in stated if grant.source is GrantSource.PERSON]
        if any(grant.reason for grant in people):
            return tuple(people)
        found = [*people, *(grant for grant in stated if grant.source is GrantSource.HEADER)]
        found += self._beside(sha256)
        for file in shipped_table.known_files().get(sha256, ()):
            terms = self.table.find(file.licence)
            if terms is not None:
                sure = dataclasses.replace(terms, confidence=lower(terms.confidence, file.confidence))
                found.append(_grant(sha256, sure, terms.title, GrantSource.KNOWN_FILE, reason=file.source))
        return tuple(found)

    def inherited(self, sha256: bytes, own: Sequence[Grant]) -> tuple[Grant, ...]:
        """What its base and its parents restrict."""
        has = {grant.licence_id for grant in own}
        found: dict[object, Grant] = {}
        for ancestor in self.ancestors[sha256]:
            for grant in self._of_parent(sha256, ancestor):
                found.setdefault(grant.licence_id, grant)
        for grant in self._of_base(sha256, own):
            found.setdefault(grant.licence_id, grant)
        return tuple(grant for licence, grant in found.items() if licence not in has)

    def _stated(self, sha256: bytes, row: Any) -> Grant:
        terms = self.table.match(row.name, row.url)
        grant = _grant(sha256, terms, row.name, _SOURCES[LicenceSource(row.source)], reason=row.reason)
        said = dataclasses.replace(grant, statement=row.id, by=row.person_id, at=row.at)
        return said if said.text_sha256 else dataclasses.replace(said, text_sha256=row.text_sha256)

    def _beside(self, sha256: bytes) -> list[Grant]:
        model, found = self.models.get(sha256, _Model()), []
        if model.licence:
            terms = self.table.match(model.licence, model.licence_url)
            found.append(_grant(sha256, terms, model.licence, GrantSource.SIDECAR))
        if model.permissions is not None:
            terms = self.table.find(permissions_id(model.permissions))
            assert terms is not None
            found.append(_grant(sha256, terms, terms.title, GrantSource.SIDECAR))
        return found

    def _of_parent(self, sha256: bytes, ancestor: Ancestor) -> list[Grant]:
        if ancestor.sha256 is None:
            return []
        why = f"made from {ancestor.sha256.hex()[:12]} ({ancestor.via.value})"
        own = self.own(ancestor.sha256)
        if not own:
            return [_grant(sha256, None, f"{why}, whose licence nobody named", GrantSource.DERIVED, reason=why)]
        return [
            dataclasses.replace(
                grant, model=sha256, source=GrantSource.DERIVED, inherited=True, reason=why, by=None, statement=None
            )
            for grant in own
        ]

    def _of_base(self, sha256: bytes, own: Sequence[Grant]) -> list[Grant]:
        model, names = self.models.get(sha256, _Model()), []
        for ancestor in self.ancestors[sha256]:
            if ancestor.sha256 is None:
                names.append(ancestor.stated)
            else:
                names += self.models.get(ancestor.sha256, _Model()).bases
        names = [*model.bases, *names]
        bases = bases_of(model.kind, model.family, names)
        certain = any(find_base(name) is not None for name in names)
        granted = {
            grant.terms.id
            for grant in own
            if grant.terms is not None and (model.kind not in ADAPTERS or grant.source in _KNOWING)
        }
        if not certain and granted & {base.licence for base in bases}:
            return []  # which of the family's models it was made from is settled by what it is licensed under itself
        found = []
        for base in bases:
            terms = self.table.find(base.licence)
            if terms is not None:
                sure = terms_of_base(terms, base, () if certain else bases)
                found.append(
                    _grant(sha256, sure, terms.title, GrantSource.KNOWN_BASE, reason=f"its base is {base.title}")
                )
        return found


def _grant(sha256: bytes, terms: Terms | None, name: str, source: GrantSource, *, reason: str | None = None) -> Grant:
    return Grant(
        model=sha256,
        terms=terms,
        name=name[:STATED_LIMIT],
        source=source,
        inherited=source in (GrantSource.KNOWN_BASE, GrantSource.DERIVED),
        licence_id=unknown_key(name) if terms is None else terms.key,
        text_sha256=None if terms is None else terms.text_sha256,
        reason=reason,
    )


def _read(row: Any) -> _Model:
    sidecar: Mapping[str, Any] = row.sidecar if isinstance(row.sidecar, dict) else {}
    stated = sidecar.get("permissions")
    permissions = read_permissions(stated) if isinstance(stated, dict) else None
    parents = sidecar.get("parents")
    names = [row.base_name, sidecar.get("base_model"), *(parents if isinstance(parents, list) else ())]
    return _Model(
        kind=row.kind,
        family=row.base,
        bases=tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name.strip())),
        licence=_text(sidecar.get("licence")),
        licence_url=_text(sidecar.get("licence_url")),
        permissions=None if permissions is None or permissions == Permissions() else permissions,
    )


def _text(value: object) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None
