"""What grants a licence to a model: the file, what lies beside it, its hash, its base, what it was made from, a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from memoryd.foundation.database import Session
from memoryd.model_registry.facts import LicenceSource
from memoryd.model_registry.licences import list_all
from memoryd.model_registry.licensing.terms import Grant, GrantSource, unknown_key

_SOURCES = {LicenceSource.FILE: GrantSource.HEADER, LicenceSource.PERSON: GrantSource.PERSON}


def grants_of(session: Session, sha256s: Iterable[bytes]) -> dict[bytes, tuple[Grant, ...]]:
    """Return for each model what grants it a licence; nothing where nobody granted anything (INV-7).

    A person's statement with a reason replaces the file's own ones. Inherited ones always stay.
    """
    wanted = list(dict.fromkeys(sha256s))
    found: defaultdict[bytes, list[Grant]] = defaultdict(list)
    for sha256, stated in list_all(session, wanted).items():
        for one in stated:
            found[sha256].append(
                Grant(
                    model=sha256,
                    terms=None,
                    name=one.name,
                    source=_SOURCES[one.source],
                    licence_id=unknown_key(one.name),
                    text_sha256=one.text_sha256,
                    by=one.person_id,
                    at=one.at,
                )
            )
    return {sha256: tuple(found[sha256]) for sha256 in wanted}
