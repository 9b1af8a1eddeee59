"""A scan of a folder on the server's own disk, recorded as it goes: broken off, the next one continues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memoryd.access.facts import Caller
from memoryd.foundation.database import Database
from memoryd.model_registry.facts import Observation, PresentName, Recorded, ScanProgress
from memoryd.model_registry.recording import PRESENT_PAGE, list_present, record_observations
from memoryd.model_registry.scanning import gone_names, is_batch_full, scan, survey_folder, this_machine


def scan_folder(
    database: Database, caller: Caller, folder: Path, *, worker: str | None = None
) -> Iterator[ScanProgress | Recorded]:
    """Scan a folder and record it in the caller's tenant; yield progress after each batch, at last what changed.

    Hashing happens between transactions, never in one. Raises: ModelsFolderMissing, DatabaseDown.
    """
    survey = survey_folder(folder)
    machine, root = worker or this_machine(), survey.root_name
    known = _known(database, caller, machine, root)
    total, latest = Recorded(), None
    batch: list[Observation] = []

    def record(gone: list[tuple[str, str]]) -> Recorded:
        with database.tenant_work(caller.tenant) as session:
            return record_observations(session, caller, worker=machine, root=root, observations=batch, gone=gone)

    progress: list[ScanProgress] = []
    for seen in scan(survey.files, known, on_progress=progress.append):
        batch.append(seen)
        latest = progress[-1]
        progress.clear()
        if is_batch_full(batch):
            total += record([])
            batch.clear()
            yield latest
    total += record(gone_names(survey, known, folder))
    if progress:
        yield progress[-1]
    yield total


def _known(database: Database, caller: Caller, worker: str, root: str) -> dict[tuple[str, str], PresentName]:
    known: dict[tuple[str, str], PresentName] = {}
    after: tuple[str, str] | None = None
    with database.tenant_work(caller.tenant) as session:
        while True:
            page = list_present(session, worker, root, after=after)
            known |= {(name.folder, name.path): name for name in page}
            if len(page) < PRESENT_PAGE:
                return known
            after = (page[-1].folder, page[-1].path)
