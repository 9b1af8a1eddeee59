"""What people of a tenant say of licences: bring one that is not in the table, replace terms with a reason, take it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAcceptable
from memoryd.foundation.reasons import checked_reason
from memoryd.model_registry.licensing import queries, shipped_table
from memoryd.model_registry.licensing.changes import note_change
from memoryd.model_registry.licensing.civitai import permissions_of
from memoryd.model_registry.licensing.documents import check_document
from memoryd.model_registry.licensing.effective import TermsTable, changed, find_licence
from memoryd.model_registry.licensing.terms import Terms, licence_key, unknown_key


class NothingToRestore(Conflict):
    """Nobody changed this licence."""


class NothingChanges(NotAcceptable):
    """This changes nothing."""


class NameTaken(Conflict):
    """Another licence goes by this name."""


def add_licence(session: Session, caller: Caller, document: Json, reason: str) -> Terms:
    """Keep a licence that a person brings, as the present version of its id; one of that id is succeeded.

    Changes that people made of it before end with this. Raises: BadTerms, ReasonMissing, NameTaken.
    """
    reason, checked = checked_reason(reason), check_document(document)
    id_ = str(checked["id"])
    if permissions_of(id_) is not None:
        raise NothingChanges(f"{id_} spells Civitai permissions by itself", hint="give it another id")
    _check_names(session, id_, checked)
    queries.lock_licence(session, id_)
    _succeed(session, caller, id_, {"document": checked, "changes": {}, "reasons": {}}, reason)
    audit.note(session, caller, "licence.add", id_, {"reason": reason, "title": checked["title"]})
    _tell(session, id_, checked)
    return find_licence(session, id_)[1]


def override(session: Session, caller: Caller, ref: str, changes: Mapping[str, Json], reason: str) -> Terms:
    """Replace terms of a licence for this tenant; terms that were replaced before and are not named stay so.

    Raises: LicenceNotKnown, BadTerms, ReasonMissing, NothingChanges.
    """
    reason = checked_reason(reason)
    id_ = _own_id(session, ref)
    queries.lock_licence(session, id_)
    if not changes:
        raise NothingChanges("no term was named", hint="name one: `--term outputs_commercial=no`")
    before = _present(session, id_)
    kept = {**before["changes"], **changes}
    reasons = {**before["reasons"], **dict.fromkeys(changes, reason)}
    document = before["document"] if before["document"] is not None else shipped_table.documents()[id_]
    changed(document, kept, reasons)
    _succeed(session, caller, id_, {"document": before["document"], "changes": kept, "reasons": reasons}, reason)
    audit.note(session, caller, "licence.override", id_, {"reason": reason, "terms": dict(changes)})
    _tell(session, id_, document)
    return find_licence(session, id_)[1]


def restore(session: Session, caller: Caller, ref: str, reason: str, terms: Sequence[str] = ()) -> Terms | None:
    """Take back what people changed of a licence, or some terms of it; of an added one that is unchanged, itself.

    Returns what counts now, None where that was the only thing known. Raises: LicenceNotKnown, NothingToRestore,
    ReasonMissing.
    """
    reason = checked_reason(reason)
    id_ = _own_id(session, ref)
    queries.lock_licence(session, id_)
    before = _present(session, id_)
    missing = [term for term in terms if term not in before["changes"]]
    if missing or not (before["changes"] or before["document"]):
        what = f"{missing[0]} of {id_}" if missing else id_
        raise NothingToRestore(f"{what} is as it ships", hint=f"`memoryd licences show {id_}` tells what was changed")
    kept = {name: value for name, value in before["changes"].items() if terms and name not in terms}
    reasons = {name: value for name, value in before["reasons"].items() if name in kept}
    if kept or (before["document"] is not None and before["changes"]):
        _succeed(session, caller, id_, {"document": before["document"], "changes": kept, "reasons": reasons}, reason)
    else:
        queries.end_version(session, id_)
    audit.note(session, caller, "licence.restore", id_, {"reason": reason, "terms": list(terms)})
    _tell(session, id_, before["document"] or {})
    return TermsTable(session).find(id_)


def _check_names(session: Session, id_: str, document: Mapping[str, Any]) -> None:
    """Return where no name of the document means another licence: every file stated under it would change hands."""
    table = TermsTable(session)
    aliases = document.get("aliases") or ()
    for name in (id_, document["title"], document.get("spdx"), document.get("url"), *aliases):
        other = table.match(name) if name else None
        if other is not None and other.id != id_:
            raise NameTaken(
                f"{name[:200]!r} means {other.id}",
                hint=f"leave it out; `memoryd licences override {other.id}` changes what that one says here",
            )


def _own_id(session: Session, ref: str) -> str:
    table, terms = find_licence(session, ref)
    if table.document(terms.id) is None:
        raise NothingChanges(
            f"{terms.id} is what a page's permissions say", hint="state a licence for the model instead, with a reason"
        )
    return terms.id


def _present(session: Session, id_: str) -> dict[str, Any]:
    row = next((row for row in queries.list_versions(session, id_) if row.ended_at is None), None)
    if row is None:
        return {"document": None, "changes": {}, "reasons": {}}
    return {"document": row.document, "changes": dict(row.changes), "reasons": dict(row.reasons)}


def _succeed(session: Session, caller: Caller, id_: str, row: dict[str, object], reason: str) -> None:
    queries.end_version(session, id_)
    queries.insert_version(session, {"licence": id_, **row, "reason": reason, "person_id": caller.person_id})


def _tell(session: Session, id_: str, document: Mapping[str, Any]) -> None:
    # Names that were unknown until now may be this licence's: verdicts on them are others, too.
    names = [id_, document.get("title"), document.get("spdx"), document.get("url"), *document.get("aliases", ())]
    unknown = [unknown_key(name) for name in names if isinstance(name, str)]
    note_change(session, licence_ids=[licence_key(id_), *unknown])
