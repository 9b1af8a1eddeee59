"""`models scan`: model files read where they lie, and recorded on the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from memoryd.model_registry.facts import Observation, PresentName, Recorded, ScanProgress
from memoryd.model_registry.scanning import Survey, gone_names, is_batch_full, scan, survey_folder, this_machine
from memoryd_cli.client import Client, server
from memoryd_cli.output import as_json, errors, plain, say

INTERRUPTED_EXIT_CODE = 130
SHOWN_EVERY_S = 0.1


def scan_models(
    folder: Annotated[Path, typer.Argument(help="A ComfyUI, its models folder, or any folder with model files.")],
    worker: Annotated[str | None, typer.Option(help="Name of the machine whose folder it is.")] = None,
    streams: Annotated[
        int | None, typer.Option(min=1, max=64, help="Files read at once; 1 for a share on a single disk.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Describe unchanged files anew, without hashing: sidecars may have changed.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hash the model files of a folder and record them. Unchanged files are passed over; Ctrl-C loses nothing."""
    survey = survey_folder(folder)
    scanned = _Scan(server(), worker or this_machine(), survey)
    scanned.run(folder, streams=streams, again=again)
    if json:
        as_json(scanned.outcome())
    else:
        _say_outcome(scanned.outcome())
    if scanned.interrupted:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)


class _Scan:
    """One scan: read here, recorded there."""

    def __init__(self, client: Client, worker: str, survey: Survey) -> None:
        self.client, self.worker, self.survey = client, worker, survey
        self.total, self.read, self.interrupted = Recorded(), 0, False
        self.findings = [finding.as_json() for finding in survey.findings]

    def run(self, folder: Path, *, streams: int | None, again: bool) -> None:
        known = _known(self.client, self.worker, self.survey.root_name)
        batch: list[Observation] = []
        with _progress(sum(file.size for file in self.survey.files)) as tell:
            try:
                for seen in scan(self.survey.files, known, on_progress=tell, streams=streams, again=again):
                    batch.append(seen)
                    if is_batch_full(batch):
                        self.post(batch)
                        batch = []
            except KeyboardInterrupt:
                self.interrupted = True
        gone = [] if self.interrupted else gone_names(self.survey, known, folder)
        if batch or gone:
            self.post(batch, gone)

    def post(self, batch: Sequence[Observation], gone: Sequence[tuple[str, str]] = ()) -> None:
        # The shapes bring the server's rooms with them: half a second that a scan of nothing new does without.
        from memoryd.model_registry.wire import ObservationShape

        for seen in batch:
            self.findings += [{**finding.as_json(), "where": seen.path} for finding in seen.facts.findings]
        body = {
            "worker": self.worker,
            "root": self.survey.root_name,
            "items": [ObservationShape.of(seen).model_dump(mode="json") for seen in batch],
            "gone": [{"folder": folder, "path": path} for folder, path in gone],
        }
        self.total += Recorded(**self.client.post("/models/observations", json=body))
        self.read += len(batch)

    def outcome(self) -> dict[str, Any]:
        return {
            "root": self.survey.root_name,
            "worker": self.worker,
            "files": len(self.survey.files),
            "files_read": self.read,
            "models_new": self.total.models_new,
            "names_new": self.total.names_new,
            "names_changed": self.total.names_changed,
            "names_gone": self.total.names_gone,
            "complete": not self.interrupted,
            "findings": self.findings,
        }


def _known(client: Client, worker: str, root: str) -> dict[tuple[str, str], PresentName]:
    # A hundred thousand rows: checking each against its shape would take seconds, and the server's are its own.
    known: dict[tuple[str, str], PresentName] = {}
    cursor: str | None = None
    while True:
        page = client.get("/models/names", worker=worker, root=root, cursor=cursor)
        for item in page["items"]:
            sha256 = item["sha256"]
            known[item["folder"], item["path"]] = PresentName(
                folder=item["folder"],
                path=item["path"],
                size=item["size"],
                mtime_ns=int(item["mtime_ns"]),
                sha256=None if sha256 is None else bytes.fromhex(sha256),
            )
        cursor = page["next_cursor"]
        if cursor is None:
            return known


@contextmanager
def _progress(total: int) -> Iterator[Callable[[ScanProgress], None]]:
    """A bar on standard error where that is a terminal; nothing otherwise."""
    if not errors.is_terminal:
        yield lambda _: None
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.description}", markup=False), console=errors, transient=True) as bar:
        task, shown_at = bar.add_task("", total=total), 0.0

        def show(told: ScanProgress) -> None:
            nonlocal shown_at
            if time.monotonic() - shown_at > SHOWN_EVERY_S:
                shown_at = time.monotonic()
                bar.update(task, completed=told.bytes_done, description=plain(told.current))

        yield show


def _say_outcome(outcome: dict[str, Any]) -> None:
    say(
        f"{outcome['root']}: {outcome['files']} files, {outcome['files_read']} read;"
        f" {outcome['models_new']} new models, {outcome['names_new']} new names,"
        f" {outcome['names_changed']} changed, {outcome['names_gone']} gone"
    )
    for finding in outcome["findings"]:
        say(f"finding  {finding['where']}: {finding['code']}: {finding['detail']}")
    if not outcome["complete"]:
        say("interrupted: what was read is recorded; the same command goes on from there")
