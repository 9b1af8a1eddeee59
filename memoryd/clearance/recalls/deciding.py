"""Recalling a model and lifting that again: an act of those who answer for the whole tenant, with a reason, audited.

From the commit on it is refused at submission and at the claim. Marks, and jobs that wait or run, are chores.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from uuid import UUID

from memoryd.access import audit
from memoryd.access.changes.noting import Changed, hold_off_submissions, note_change
from memoryd.access.facts import Caller, Scope
from memoryd.clearance.recalls.facts import MarkingState, RecallKind, RecallView
from memoryd.clearance.recalls.queries import recalls as queries
from memoryd.dispatch import chores, waking
from memoryd.foundation.database import Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import Conflict, NotAllowed, NotFound
from memoryd.foundation.ids import new_id
from memoryd.foundation.paging import Page, decode_id, encode_cursor, page_size
from memoryd.foundation.reasons import checked_reason
from memoryd.model_registry import licence_changes, looking_up, origins

RECIPE = "v1"
MARK = "recall-mark"
"""The chore that marks lines, or takes marks away; its subject is the recall."""
END_JOBS = "recall-end-jobs"
"""The chore that ends jobs; a room above knows what jobs ask for. Its subject is the recall."""

_WHOLE = re.compile(r"[0-9a-f]{64}")


class RecallNotYours(NotAllowed):
    """A recall concerns every project: it is decided by who answers for all of them."""


class RecallNotFound(NotFound):
    """There is no such recall."""


class AlreadyRecalled(Conflict):
    """This model is recalled already."""


class NotRecalled(Conflict):
    """This recall was lifted already."""


def find_weights(session: Session, ref: str) -> bytes:
    """Return the SHA-256 that `ref` names: a model of the registry, or any whole SHA-256.

    Raises: ModelNotFound, ModelAmbiguous.
    """
    whole = ref.strip().lower()
    return bytes.fromhex(whole) if _WHOLE.fullmatch(whole) else looking_up.find_model(session, ref)


def recall(session: Session, caller: Caller, sha256: bytes, kind: RecallKind, reason: str) -> UUID:
    """Recall a model and return the recall; what was made of it comes under it.

    Its last act takes the farm and then the tenant again; commit soon, since submissions wait. Raises: RecallNotYours,
    ReasonMissing, AlreadyRecalled.
    """
    _check_answers_for_all(caller)
    told = checked_reason(reason)
    recall_id = new_id()
    if not queries.insert_recall(
        session,
        id=recall_id,
        model=sha256,
        kind=kind.value,
        reason=told,
        by_person=caller.person_id,
        marking=MarkingState.MARKING.value,
    ):
        raise AlreadyRecalled(
            f"model {sha256.hex()[:12]}", hint="`memoryd models recalls` shows it; lift it first to give another reason"
        )
    concerned: dict[bytes, str | None] = {one.sha256: one.via.value for one in origins.descendants(session, sha256)}
    concerned[sha256] = None
    queries.insert_recalled(session, recall_id, concerned)
    facts = {"model": sha256.hex(), "kind": kind.value, "reason": told, "made_of_it": len(concerned) - 1}
    audit.note(session, caller, "model.recall", f"recall:{recall_id}", facts)
    # Jobs that are being written are committed by now, and found by the chore; later ones see this recall.
    hold_off_submissions(session)
    note_change(session, Changed.RECALL)
    _add_chores(session, caller.tenant, recall_id, MARK, END_JOBS)
    licence_changes.tell(session, models=concerned)
    return recall_id


def extend(session: Session, tenant: TenantScope, models: Collection[bytes]) -> int:
    """Let standing recalls come over those of these models that were found, since, to be made of theirs; return how many.

    They are refused at submission without it. With it what they touched is marked and jobs that wait for them are ended.
    """
    if not models or not queries.is_any_standing(session):
        return 0
    above = origins.ancestors(session, models)
    parents = {one.sha256 for each in above.values() for one in each if one.sha256 is not None}
    concerned = {bytes(row.sha256) for row in queries.list_standing(session, sorted(parents))} if parents else set()
    come: dict[UUID, dict[bytes, str | None]] = {}
    for model, each in above.items():
        for one in each:
            if one.sha256 in concerned:
                for row in queries.list_standing(session, [one.sha256]):
                    come.setdefault(row.recall_id, {}).setdefault(model, one.via.value)
    new = 0
    for recall_id, made in come.items():
        # In the order in which a recall itself is locked: its row, then what it concerns.
        if queries.lock_standing(session, recall_id) and (some := queries.insert_recalled(session, recall_id, made)):
            new += some
            queries.restart_marking(session, recall_id, marking=MarkingState.MARKING.value)
            _add_chores(session, tenant, recall_id, MARK, END_JOBS)
    return new


def unrecall(session: Session, caller: Caller, recall_id: UUID, reason: str) -> None:
    """Lift a recall: its weights may be used again, unless another recall concerns them too, and its marks go.

    Its last act takes the farm and then the tenant again. Raises: RecallNotYours, ReasonMissing, RecallNotFound, NotRecalled.
    """
    _check_answers_for_all(caller)
    told = checked_reason(reason)
    view = find_recall(session, caller, recall_id)
    if not queries.lift_recall(
        session, recall_id, person_id=caller.person_id, reason=told, marking=MarkingState.LIFTING.value
    ):
        raise NotRecalled(f"recall {recall_id}", hint="`memoryd models recalls --standing` shows those that stand")
    facts = {"model": view.model.hex(), "reason": told}
    audit.note(session, caller, "model.unrecall", f"recall:{recall_id}", facts)
    note_change(session, Changed.RECALL)
    _add_chores(session, caller.tenant, recall_id, MARK)
    licence_changes.tell(session, models=queries.list_concerned(session, recall_id))


def find_standing(session: Session, ref: str) -> UUID:
    """Return the standing recall that `ref` names: its id, or its model.

    Raises: RecallNotFound, ModelNotFound, ModelAmbiguous.
    """
    try:
        return UUID(ref)
    except ValueError:
        found = queries.find_standing(session, find_weights(session, ref))
    if found is None:
        raise RecallNotFound(f"{ref[:100]!r} is not recalled", hint="`memoryd models recalls` shows what is")
    return found


def find_recall(session: Session, caller: Caller, recall_id: UUID) -> RecallView:
    """Return a recall. Raises: RecallNotFound."""
    for row in queries.list_recalls(session, recall_id=recall_id, standing=None, before=None, limit=1):
        return _view(row, caller)
    raise RecallNotFound(f"recall {recall_id}", hint="`memoryd models recalls` shows them")


def list_recalls(
    session: Session,
    caller: Caller,
    *,
    standing: bool | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[RecallView]:
    """Return recalls, the newest first; `standing` False: those that were lifted. Raises: BadCursor, BadPageSize."""
    size, before = page_size(limit), decode_id(cursor)
    rows = queries.list_recalls(session, recall_id=None, standing=standing, before=before, limit=size + 1)
    shown = [_view(row, caller) for row in rows[:size]]
    return Page(rows=shown, next_cursor=encode_cursor(str(shown[-1].id)) if len(rows) > size else None)


def answers_for_all(caller: Caller) -> bool:
    """Tell whether somebody may recall: officers and administrators of the whole tenant."""
    return Scope.DISCLOSE in caller.everywhere


def _check_answers_for_all(caller: Caller) -> None:
    if not answers_for_all(caller):
        raise RecallNotYours(
            f"{caller.name} is no officer or administrator of the whole studio",
            hint="ask one of them; `memoryd models blast-radius MODEL` shows you what it would touch",
        )


def _add_chores(session: Session, tenant: TenantScope, recall_id: UUID, *kinds: str) -> None:
    take_farm(session)
    for kind in kinds:
        chores.add(session, tenant, kind, RECIPE, [recall_id], priority=1)
    waking.chores_after_commit(session)
    take_tenant(session, tenant)


def _view(row: queries.AnyRow, caller: Caller) -> RecallView:
    whole = caller.sees is None
    return RecallView(
        id=row.id,
        model=bytes(row.model),
        kind=RecallKind(row.kind),
        reason=row.reason,
        by=row.by_name,
        at=row.at,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by_name,
        lifted_reason=row.lifted_reason,
        made_of_it=row.made_of_it,
        marking=MarkingState(row.marking),
        lines_marked=row.lines_marked if whole else None,
        lines=int(row.lines or 0) if whole else None,
        jobs_ended=row.jobs_ended if whole else None,
    )
