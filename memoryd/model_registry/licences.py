"""Licences as somebody named them. What they allow is not decided here, and a model nobody named one for has none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd.foundation.reasons import checked_reason
from memoryd.foundation.texts import storable
from memoryd.model_registry.facts import LicenceSource, LicenceStated
from memoryd.model_registry.licensing.changes import note_change
from memoryd.model_registry.queries import licences as queries
from memoryd.weights.describing import LICENCE_LIMIT

URL_LIMIT = 2_000
VERSION_LIMIT = 100


class BadLicence(NotAcceptable):
    """This names no licence."""


class LicenceNotStated(NotFound):
    """Nobody made this statement, or it was withdrawn."""


def licence_of(session: Session, sha256s: Iterable[bytes]) -> dict[bytes, LicenceStated | None]:
    """Return for each model the licence named for it, None where nobody named one or the model is not known.

    A person's statement counts before the file's, the newest first; others that were named stand in `also`.
    """
    wanted = list(dict.fromkeys(sha256s))
    return {sha256: stated[0] if stated else None for sha256, stated in _statements(session, wanted).items()}


def list_licences(session: Session, sha256: bytes) -> tuple[LicenceStated, ...]:
    """Return every licence that is named for a model, the one that counts first."""
    return tuple(_statements(session, [sha256])[sha256])


def state_licence(
    session: Session,
    caller: Caller,
    sha256: bytes,
    name: str,
    *,
    version: str = "",
    url: str | None = None,
    reason: str | None = None,
) -> None:
    """Record that a person names this licence for a model that is known.

    With a reason it counts instead of what the file says of itself, without one beside that. Raises: BadLicence,
    ReasonMissing.
    """
    reason = checked_reason(reason) if reason is not None and reason.strip() else None
    name, version = storable(" ".join(name.split()))[0], storable(version.strip())[0]
    url = storable(url.strip())[0] if url and url.strip() else None
    if not name or len(name) > LICENCE_LIMIT or len(version) > VERSION_LIMIT or len(url or "") > URL_LIMIT:
        raise BadLicence(
            f"a name of {len(name)}, a version of {len(version)}, an address of {len(url or '')} characters",
            hint=f"a name of 1 to {LICENCE_LIMIT} characters, such as an SPDX id; version and address may be left out",
        )
    if url is not None and not url.startswith(("https://", "http://")):
        # It is shown as a link: a `javascript:` address would run in somebody's page.
        raise BadLicence(f"{url[:100]!r} is no web address", hint="begin it with https://")
    licence = queries.ensure_licence(session, name, version=version, url=url)
    row = {
        "model": sha256,
        "licence_id": licence,
        "source": LicenceSource.PERSON.value,
        "person_id": caller.person_id,
        "reason": reason,
    }
    note_change(session, models=queries.insert_grants(session, [row]))
    facts = {"name": name, "version": version, "url": url, "reason": reason}
    audit.note(session, caller, "model.licence", sha256.hex(), facts)


def withdraw_licence(session: Session, caller: Caller, sha256: bytes, grant_id: UUID) -> None:
    """End a person's statement; what the file states stands for as long as the file does. Raises: LicenceNotStated."""
    if not queries.withdraw_grant(session, grant_id, sha256, LicenceSource.PERSON.value):
        raise LicenceNotStated(
            f"{grant_id} is no person's standing statement about this model", hint="see `memoryd models show`"
        )
    note_change(session, models=[sha256])
    audit.note(session, caller, "model.licence.withdraw", sha256.hex(), {"grant": str(grant_id)})


def keep_stated(session: Session, stated: Sequence[tuple[bytes, str]]) -> None:
    """Record the licences that files themselves name: (model, name)."""
    licences = {name: queries.ensure_licence(session, name) for name in sorted({name for _, name in stated})}
    rows = [
        {"model": sha256, "licence_id": licences[name], "source": LicenceSource.FILE.value, "person_id": None}
        for sha256, name in sorted(stated)
    ]
    note_change(session, models=queries.insert_grants(session, rows))


def _statements(session: Session, sha256s: Sequence[bytes]) -> dict[bytes, list[LicenceStated]]:
    rows = queries.list_grants(session, sha256s) if sha256s else ()
    by_model = defaultdict(list)
    for row in rows:
        by_model[row.model].append(row)
    return {
        sha256: [
            LicenceStated(
                grant_id=row.id,
                name=row.name,
                version=row.version,
                url=row.url,
                text_sha256=row.text_sha256,
                source=LicenceSource(row.source),
                person_id=row.person_id,
                at=row.at,
                also=tuple(dict.fromkeys(r.name for r in by_model[sha256] if r.name != row.name)),
            )
            for row in by_model[sha256]
        ]
        for sha256 in sha256s
    }
