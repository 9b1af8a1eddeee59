"""Watched folders and their state; files that could not be read, and why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.guards import IngesterCaller, Office, Reader
from memoryd.catalog import roots
from memoryd.ingest import quarantine
from memoryd.ingest.facts import Reason, Recorded
from memoryd.ingest.retrying import try_again
from memoryd.storage.blob_store import blob_store
from memoryd.web.rendering import page

SHOWN_FILES = 100

NEXT_STEPS: Mapping[str, str] = MappingProxyType(
    {
        Reason.BROKEN: "Save the picture again, or delete the file: as it is, no program can read all of it.",
        Reason.CUT_OFF: "Copy the file again: its end is missing.",
        Reason.OUTSIDE_FOLDER: "Watch the folder that it really lies in.",
        Reason.SYMLINK_LOOP: "Remove the link that leads back to itself.",
        Reason.UNREADABLE: "Give the account that runs memoryd the right to read it.",
        Reason.NOT_A_FILE: "Move it out of the folder: it is a pipe, a socket or a device.",
        Reason.TOO_LARGE: "Move it out of the folder, or make it smaller.",
        Reason.CHANGING: "Wait until the program that writes it has ended, then try again.",
        Reason.FAULT: "Try again; if it stays, the server's log tells more, and we want to know.",
    }
)
"""What a person can do about a file, by the reason why it is here."""

OUTCOMES: Mapping[str, str] = MappingProxyType(
    {
        "recorded": "The file could be read: it is in the memory now.",
        "gone": "The file is no longer there.",
        "ignored": "The file is nothing to be remembered.",
        "again": "The file still cannot be read.",
    }
)
"""What became of another try, by the word in the page's address: an address can say nothing else."""

router = APIRouter()


@router.get("/intake")
def show_intake(request: Request, work: Reader, cursor: str | None = None, tried: str = "") -> Response:
    """The folders one may see, and what waits in quarantine."""
    sees = work.caller.sees
    watched = [root for root in roots.list_roots(work.session) if sees is None or root.project_id in sees]
    files = quarantine.list_quarantine(work.session, sees=sees, cursor=cursor, limit=SHOWN_FILES)
    return page(
        request,
        "intake.html",
        caller=work.caller,
        roots=watched,
        quarantined=files.rows,
        next_cursor=files.next_cursor,
        next_steps=NEXT_STEPS,
        outcome=OUTCOMES.get(tried),
        tried=tried,
    )


@router.post("/intake/quarantine/{quarantine_id}/retry")
def retry(quarantine_id: UUID, caller: IngesterCaller, office: Office) -> Response:
    """Read a file again now, and say what became of it."""
    with office.database.tenant_work(caller.tenant) as session:
        file = quarantine.find(session, quarantine_id)
    if caller.sees is not None and file.project_id not in caller.sees:
        raise quarantine.QuarantineNotFound(str(quarantine_id), hint="`memoryd quarantine list` shows what is there")
    outcome = try_again(office.database, caller.tenant, blob_store(office.store), file, caller)
    return RedirectResponse(f"/intake?tried={_word(outcome)}", status_code=303)


def _word(outcome: Recorded) -> str:
    if outcome.new or outcome.known:
        return "recorded"
    if outcome.vanished:
        return "gone"
    return "ignored" if outcome.ignored else "again"
