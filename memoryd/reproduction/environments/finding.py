"""The environments that a tenant knows: those its runs had, and those that the workers serving it stated."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Mapping, Sequence

from memoryd.access.facts import Caller
from memoryd.catalog import environments as recorded
from memoryd.catalog.environments import EnvironmentNotFound, RunCount, RunWithEnvironment
from memoryd.dispatch import stated_environments
from memoryd.dispatch.stated_environments import Stated
from memoryd.foundation.canonical_json import Json, canonical_digest
from memoryd.foundation.database import Session, take_farm, take_tenant
from memoryd.foundation.errors import Conflict
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.reproduction.environments.nearness import Nearness, nearness

PREFIX_DIGITS = 8
"""Hex digits of an environment's hash that name it at least."""
_DIGITS = 64
_HEX = re.compile(rf"[0-9a-fA-F]{{{PREFIX_DIGITS},{_DIGITS}}}")


class EnvironmentAmbiguous(Conflict):
    """More than one environment could be meant."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownEnvironment:
    """An environment with who had it. `at`: when it was known first; `stated`: the workers that had it, newest first."""

    sha256: bytes
    document: Mapping[str, Json]
    at: datetime.datetime
    runs: RunCount
    stated: tuple[Stated, ...]


def list_environments(
    session: Session, caller: Caller, *, cursor: str | None, limit: int | None
) -> Page[KnownEnvironment]:
    """Return a page of the tenant's environments, newest first. Raises: BadCursor; BadPageSize."""
    size, before = page_size(limit), _before(cursor)
    documents = {}
    found = {}
    for each in recorded.list_recorded(session, before=before, limit=size + 1):
        found[each.sha256], documents[each.sha256] = each.recorded_at, each.document
    stated = _stated(session, caller)
    # A worker's that no run had yet; one that a run had stands at the time of its first run, maybe on another page.
    known = recorded.find_recorded(session, [digest for digest in stated if digest not in found])
    for digest, workers in stated.items():
        at = min(each.first_at for each in workers)
        if digest not in found and digest not in known and (before is None or (at, digest) < before):
            found[digest] = at
    order = sorted(found, key=lambda digest: (found[digest], digest), reverse=True)[: size + 1]
    documents |= _stated_documents(session, caller, [digest for digest in order if digest not in documents])
    counts = recorded.count_runs(session, order[:size], caller.sees)
    rows = [
        KnownEnvironment(
            sha256=digest,
            document=documents[digest],
            at=found[digest],
            runs=counts.get(digest, RunCount()),
            stated=tuple(stated.get(digest, ())),
        )
        for digest in order[:size]
    ]
    last = rows[-1] if len(order) > size else None
    return Page(rows=rows, next_cursor=encode_cursor(last.at.isoformat(), last.sha256.hex()) if last else None)


def find_environment(session: Session, caller: Caller, ref: str) -> KnownEnvironment:
    """Return the environment that `ref` means: at least PREFIX_DIGITS hex digits of its hash.

    Raises: EnvironmentNotFound, also for another tenant's; EnvironmentAmbiguous.
    """
    if not _HEX.fullmatch(ref):
        raise _unknown(ref)
    first, last = (bytes.fromhex(ref.ljust(_DIGITS, digit)) for digit in "0f")
    digests = set(recorded.list_hashes(session, first, last, limit=2))
    stated = _stated(session, caller, between=(first, last))
    digests |= set(stated)
    if len(digests) > 1:
        raise EnvironmentAmbiguous(
            f"{ref!r} could be {', '.join(sorted(one.hex()[:16] for one in digests))}", hint="give more digits"
        )
    for digest in digests:
        found = recorded.find_recorded(session, [digest]).get(digest)
        workers = tuple(stated.get(digest, ()))
        document = found.document if found is not None else _stated_documents(session, caller, [digest]).get(digest)
        if document is None:
            break
        at = found.recorded_at if found is not None else min(each.first_at for each in workers)
        counts = recorded.count_runs(session, [digest], caller.sees)
        return KnownEnvironment(
            sha256=digest, document=document, at=at, runs=counts.get(digest, RunCount()), stated=workers
        )
    raise _unknown(ref)


def list_runs(
    session: Session, caller: Caller, ref: str, *, cursor: str | None, limit: int | None
) -> Page[RunWithEnvironment]:
    """Return a page of the runs that had an environment, newest first, as far as the caller may see them.

    Raises: EnvironmentNotFound; EnvironmentAmbiguous; BadCursor; BadPageSize.
    """
    found = find_environment(session, caller, ref)
    return recorded.list_runs(session, found.sha256, caller.sees, cursor=cursor, limit=limit)


def compare(
    session: Session, caller: Caller, then: str, now: str
) -> tuple[KnownEnvironment, KnownEnvironment, Nearness]:
    """Return two environments and every difference between them. Raises: EnvironmentNotFound; EnvironmentAmbiguous."""
    before, after = find_environment(session, caller, then), find_environment(session, caller, now)
    return before, after, nearness(before.document, after.document)


def unregistered(document: Mapping[str, Json]) -> KnownEnvironment:
    """Return a document that nobody registered, as an environment. Raises: NotCanonical."""
    return KnownEnvironment(
        sha256=canonical_digest(document),
        document=document,
        at=datetime.datetime.now(datetime.UTC),
        runs=RunCount(),
        stated=(),
    )


def _stated(
    session: Session, caller: Caller, *, between: tuple[bytes, bytes] | None = None
) -> dict[bytes, list[Stated]]:
    take_farm(session)
    found: dict[bytes, list[Stated]] = {}
    for each in stated_environments.list_stated(session, tenant_id=caller.tenant.id, between=between):
        found.setdefault(each.sha256, []).append(each)
    take_tenant(session, caller.tenant)
    return found


def _stated_documents(session: Session, caller: Caller, digests: Sequence[bytes]) -> dict[bytes, dict[str, Json]]:
    if not digests:
        return {}
    take_farm(session)
    documents = stated_environments.find_documents(session, digests, tenant_id=caller.tenant.id)
    take_tenant(session, caller.tenant)
    return documents


def _unknown(ref: str) -> EnvironmentNotFound:
    return EnvironmentNotFound(
        f"environment {ref[:100]!r}",
        hint=f"`memoryd environment list` shows them; {PREFIX_DIGITS} hex digits of the hash are enough",
    )


def _before(cursor: str | None) -> tuple[datetime.datetime, bytes] | None:
    if cursor is None:
        return None
    moment, digest = decode_cursor(cursor, 2)
    try:
        return datetime.datetime.fromisoformat(str(moment)), bytes.fromhex(str(digest))
    except ValueError:
        raise BadCursor("the cursor names no environment", hint="start again without a cursor") from None


def names_of(stated: Sequence[Stated], *, present: bool) -> list[str]:
    """Return the labels of workers that have an environment at present, or had it before."""
    return sorted({each.label for each in stated if each.present is present})
