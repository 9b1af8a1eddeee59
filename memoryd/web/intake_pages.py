"""Watched folders and their state; files that could not be read, and why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.guards import IngesterCaller, Office, Reader, ReaderCaller
from memoryd.catalog import roots
from memoryd.foundation.errors import NotAcceptable
from memoryd.ingest import quarantine
from memoryd.ingest.facts import Reason, Recorded
from memoryd.ingest.retrying import try_again
from memoryd.ingest.runs import SERVER_RUNS
from memoryd.storage.blob_store import blob_store
from memoryd.web.rendering import is_part, page

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

SHOWN_RUNS = 10

router = APIRouter()


class NoSuchWish(NotAcceptable):
    """A taking-in is stopped or resumed."""


@router.get("/intake")
def show_intake(request: Request, work: Reader, office: Office, cursor: str | None = None, tried: str = "") -> Response:
    """The folders one may see, and what waits in quarantine."""
    sees = work.caller.sees
    watched = [root for root in roots.list_roots(work.session) if sees is None or root.project_id in sees]
    files = quarantine.list_quarantine(work.session, sees=sees, cursor=cursor, limit=SHOWN_FILES)
    return page(
        request,
        "intake.html",
        caller=work.caller,
        roots=watched,
        runs=SERVER_RUNS.list_for(office.database, work.caller)[:SHOWN_RUNS],
        quarantined=files.rows,
        next_cursor=files.next_cursor,
        next_steps=NEXT_STEPS,
        outcome=OUTCOMES.get(tried),
        tried=tried,
    )


@router.get("/intake/runs")
def show_runs(request: Request, caller: ReaderCaller, office: Office) -> Response:
    """The newest takings-in that one may know of, and how far they are; asks again by itself while one goes on."""
    if not is_part(request):
        return RedirectResponse("/intake", status_code=303)
    return page(
        request, "intake_runs.html", caller=caller, runs=SERVER_RUNS.list_for(office.database, caller)[:SHOWN_RUNS]
    )


@router.post("/intake/runs/{run_id}/{wish}")
def change_run(run_id: UUID, wish: str, caller: IngesterCaller, office: Office) -> Response:
    """Stop a taking-in after its present batch, or go on with one that ended before its end."""
    run = SERVER_RUNS.find_for(office.database, caller, run_id)
    if wish == "stop":
        run.stop.set()
    elif wish == "resume":
        SERVER_RUNS.resume(office.database, caller.tenant, blob_store(office.store), run.id, caller)
    else:
        raise NoSuchWish(wish[:40], hint="stop or resume")
    return RedirectResponse("/intake", status_code=303)


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
